// SPDX-License-Identifier: Apache-2.0
/** What `sandbox status` and `sandbox up` tell; unknown is null. */
import type {Backend} from '../model/api.ts'
import type {Service} from '../model/kube.ts'
import type {NodeRecord, PodRecord, SandboxState} from './state.ts'

export interface SandboxService {
  readonly namespace: string
  readonly name: string
  readonly clusterIPs: readonly string[]
  readonly ports: readonly number[]
}

export interface SandboxPod {
  readonly namespace: string
  readonly name: string
  readonly node: string
  readonly addresses: readonly string[]
  readonly ready: boolean
  readonly terminating: boolean
  readonly restarts: number
  readonly networkNamespace: string
  /** Why it is not ready, else ''. */
  readonly message: string
  readonly containers: readonly {
    readonly name: string
    readonly pid: number | null
    readonly outputFile: string
    readonly cgroup: string
  }[]
}

export interface SandboxStatus {
  readonly name: string
  /** null where nothing tells it any more. */
  readonly backend: Backend | null
  /** `dead`: its things are there, its process is not. */
  readonly phase: SandboxState['phase'] | 'dead'
  readonly message: string
  readonly pid: number | null
  readonly startedAt: string | null
  readonly server: string | null
  readonly kubeconfig: string
  readonly logFile: string
  readonly nodes: readonly (NodeRecord & {readonly daemon: string | null; readonly daemonReady: boolean})[]
  readonly pods: readonly SandboxPod[]
  /** null where the API does not answer. */
  readonly services: readonly SandboxService[] | null
}

export interface StatusInput {
  readonly name: string
  readonly state: SandboxState | undefined
  readonly isAlive: boolean
  readonly kubeconfig: string
  readonly logFile: string
  readonly pods: readonly PodRecord[]
  readonly services: readonly Service[] | null
}

export function statusOf(input: StatusInput): SandboxStatus {
  const {state, isAlive} = input
  const pods = input.pods.map(podOf)
  const nodes = (state?.nodes ?? []).map((node) => {
    const daemon = pods.find((pod) => pod.node === node.name && pod.namespace === 'kmesh-system')
    return {...node, daemon: daemon?.name ?? null, daemonReady: daemon?.ready ?? false}
  })
  const isFailed = state?.phase === 'failed'
  return {
    name: input.name,
    backend: state === undefined ? null : (state.backend ?? 'kernel'),
    phase: state !== undefined && (isAlive || isFailed) ? state.phase : 'dead',
    message: isAlive || isFailed ? (state?.message ?? '') : 'its process is gone',
    pid: isAlive ? (state?.pid ?? null) : null,
    startedAt: state?.startedAt ?? null,
    server: isAlive && state?.server ? state.server : null,
    kubeconfig: input.kubeconfig,
    logFile: input.logFile,
    nodes,
    pods,
    services: input.services?.map(serviceOf) ?? null,
  }
}

function podOf(record: PodRecord): SandboxPod {
  return {
    namespace: record.namespace,
    name: record.name,
    node: record.node,
    addresses: record.addresses,
    ready: record.ready,
    terminating: record.terminating,
    restarts: record.containers.reduce((sum, {restartCount}) => sum + restartCount, 0),
    networkNamespace: record.networkNamespace,
    message: record.containers.find(({ready}) => !ready)?.message ?? '',
    containers: record.containers.map(({name, pid, outputFile, cgroup}) => ({name, pid, outputFile, cgroup})),
  }
}

function serviceOf(service: Service): SandboxService {
  return {
    namespace: service.metadata.namespace ?? '',
    name: service.metadata.name ?? '',
    clusterIPs: service.spec?.clusterIPs ?? [],
    ports: (service.spec?.ports ?? []).map(({port}) => port),
  }
}
