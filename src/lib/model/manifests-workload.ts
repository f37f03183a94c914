// SPDX-License-Identifier: Apache-2.0
/** The DaemonSet of the agents. Pure. */
import {fnv1a32} from './ids.ts'
import type {Container, KubeObject, PodSpec} from './kube.ts'
import type {ManifestObject} from './manifests.ts'
import {
  ACCOUNT_NAME,
  DAEMON_NAME,
  type InstallSettings,
  ownLabels,
  PHASE_ANNOTATION,
  TEMPLATE_ANNOTATION,
} from './manifests-settings.ts'

const STATUS_PORT = 15_020
/** Where the container sees what the node has elsewhere; every other path is the same on both sides. */
const CGROUP_MOUNT = '/host/cgroup'
const PROC_MOUNT = '/host/proc'
/** containerd and CRI-O keep the network namespaces of pods here; the plugin names them by it. */
const NETNS_DIRECTORY = '/var/run/netns'

/**
 * SYS_ADMIN: setns into network namespaces. The kernel takes it for CAP_BPF and CAP_PERFMON in bpf(2) too, so these
 * would only be more. SYS_PTRACE: /proc/PID/ns of processes that run as another user or with more capabilities.
 * Measured: without either one no pod is enrolled. NET_ADMIN: rules against sidecars; NET_RAW: iptables of the legacy
 * backend asks the kernel by a raw socket. Linux 5.15 and later count no locked memory (SYS_RESOURCE).
 */
const CAPABILITIES = ['NET_ADMIN', 'NET_RAW', 'SYS_ADMIN', 'SYS_PTRACE']
/** Every program of legacy iptables on the node takes it, in whatever namespace. */
const IPTABLES_LOCK = '/run/xtables.lock'

export interface DaemonSet extends KubeObject {
  readonly spec?: {
    readonly selector?: {readonly matchLabels?: Readonly<Record<string, string>>}
    readonly template?: {readonly metadata?: KubeObject['metadata']; readonly spec?: PodSpec}
    readonly updateStrategy?: object
  }
  readonly status?: {
    readonly observedGeneration?: number
    readonly desiredNumberScheduled?: number
    readonly currentNumberScheduled?: number
    readonly updatedNumberScheduled?: number
    readonly numberReady?: number
    readonly numberAvailable?: number
    readonly numberUnavailable?: number
    readonly numberMisscheduled?: number
  }
}

export function daemonSet(settings: InstallSettings): ManifestObject {
  const spec = podSpec(settings)
  const labels = {...ownLabels(settings), app: DAEMON_NAME}
  const podLabels = {...labels, 'app.kubernetes.io/version': settings.version}
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: {name: DAEMON_NAME, namespace: settings.namespace, labels},
    spec: {
      selector: {matchLabels: {app: DAEMON_NAME}},
      updateStrategy: {type: 'RollingUpdate', rollingUpdate: {maxUnavailable: 1}},
      template: {
        metadata: {
          labels: podLabels,
          annotations: {[TEMPLATE_ANNOTATION]: hashOf([podLabels, spec])},
        },
        spec,
      },
    },
  }
}

function podSpec(settings: InstallSettings): object {
  const mounts = mountsOf(settings)
  return {
    serviceAccountName: ACCOUNT_NAME,
    hostNetwork: true,
    priorityClassName: 'system-node-critical',
    nodeSelector: {'kubernetes.io/os': 'linux', ...settings.nodeSelector},
    tolerations: [{operator: 'Exists'}],
    terminationGracePeriodSeconds: 30,
    ...(settings.imagePullSecrets.length === 0
      ? {}
      : {imagePullSecrets: settings.imagePullSecrets.map((name) => ({name}))}),
    // The default profiles of container runtimes forbid writing below /sys/fs and reading other processes.
    securityContext: {
      appArmorProfile: {type: 'Unconfined'},
      seLinuxOptions: {type: 'spc_t'},
      seccompProfile: {type: 'RuntimeDefault'},
    },
    containers: [container(settings, mounts)],
    volumes: mounts.map(({name, hostPath, type}) => ({name, hostPath: {path: hostPath, type}})),
  }
}

function container(settings: InstallSettings, mounts: readonly Mount[]): object {
  return {
    name: DAEMON_NAME,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: agentArguments(settings),
    env: [{name: 'NODE_NAME', valueFrom: {fieldRef: {fieldPath: 'spec.nodeName'}}}],
    ports: [{name: 'status', containerPort: STATUS_PORT, protocol: 'TCP'}],
    startupProbe: {httpGet: probe('/healthz'), periodSeconds: 2, failureThreshold: 60},
    livenessProbe: {httpGet: probe('/healthz'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3},
    readinessProbe: {httpGet: probe('/readyz'), periodSeconds: 5, timeoutSeconds: 5},
    terminationMessagePolicy: 'FallbackToLogsOnError',
    resources: {requests: {cpu: '50m', memory: '160Mi'}, limits: {memory: '800Mi'}},
    securityContext: {
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsUser: 0,
      capabilities: {drop: ['ALL'], add: CAPABILITIES},
    },
    volumeMounts: mounts.map(({name, mountPath, readOnly, propagates}) => ({
      name,
      mountPath,
      ...(readOnly ? {readOnly} : {}),
      ...(propagates ? {mountPropagation: 'HostToContainer'} : {}),
    })),
  }
}

/** On the loopback address of the node, whatever its families are. */
function probe(path: string): object {
  return {host: '127.0.0.1', port: STATUS_PORT, path}
}

interface Mount {
  readonly name: string
  readonly hostPath: string
  readonly mountPath: string
  readonly type: 'Directory' | 'DirectoryOrCreate' | 'FileOrCreate'
  readonly readOnly: boolean
  /** What the node mounts there later is seen too. */
  readonly propagates: boolean
}

function mountsOf({hostPaths, cni}: InstallSettings): Mount[] {
  return [
    mount('bpf', hostPaths.bpfFs, {type: 'Directory'}),
    // Attaching programs needs no writing to the cgroup's files.
    mount('cgroup', hostPaths.cgroup2, {type: 'Directory', mountPath: CGROUP_MOUNT, readOnly: true}),
    mount('proc', '/proc', {type: 'Directory', mountPath: PROC_MOUNT, readOnly: true}),
    mount('state', hostPaths.state),
    mount('run', hostPaths.run),
    mount('netns', NETNS_DIRECTORY, {propagates: true}),
    mount('iptables-lock', IPTABLES_LOCK, {type: 'FileOrCreate'}),
    ...(cni ? [mount('cni-etc', hostPaths.cniEtc), mount('cni-bin', hostPaths.cniBin)] : []),
  ]
}

function mount(name: string, hostPath: string, more: Partial<Mount> = {}): Mount {
  const defaults = {
    mountPath: hostPath,
    type: 'DirectoryOrCreate',
    readOnly: false,
    propagates: false,
  } as const
  return {name, hostPath, ...defaults, ...more}
}

/** Options that {@link agentArguments} sets by itself. */
export const MANAGED_OPTIONS: Readonly<Record<string, string | null>> = {
  'bpf-fs-path': '--bpf-fs-path',
  'cgroup2-path': '--cgroup2-path',
  'proc-path': null,
  'state-dir': '--state-dir',
  'run-dir': '--run-dir',
  'existing-pods': '--existing-pods',
  'sidecar-policy': '--sidecar-policy',
  'log-level': '--log-level',
  cni: '--cni or --no-cni',
  'cni-etc-path': '--cni-etc-path',
  'cni-bin-path': '--cni-bin-path',
  'cni-failure-policy': '--failure-policy',
  'conflist-name': '--conflist-name',
  'node-name': null,
  kubeconfig: null,
  'status-address': null,
}

function agentArguments(settings: InstallSettings): string[] {
  const {hostPaths, conflistName} = settings
  const cni = {
    cni: 'on',
    'cni-etc-path': hostPaths.cniEtc,
    'cni-bin-path': hostPaths.cniBin,
    'cni-failure-policy': settings.failurePolicy,
    ...(conflistName === undefined ? {} : {'conflist-name': conflistName}),
  }
  const options: Readonly<Record<string, string | null>> = {
    'bpf-fs-path': hostPaths.bpfFs,
    'cgroup2-path': CGROUP_MOUNT,
    'proc-path': PROC_MOUNT,
    'state-dir': hostPaths.state,
    'run-dir': hostPaths.run,
    'existing-pods': settings.existingPods,
    'sidecar-policy': settings.sidecarPolicy,
    'log-level': settings.logLevel,
    ...(settings.cni ? cni : {cni: 'off'}),
    ...settings.agentOptions,
  }
  return Object.entries(options).map(([name, value]) => (value === null ? `--${name}` : `--${name}=${value}`))
}

function hashOf(spec: unknown): string {
  return fnv1a32(JSON.stringify(spec)).toString(16).padStart(8, '0')
}

/** The merge patch that turns the agents of a DaemonSet into what takes Kmesh off their nodes, all at the same time. */
export function cleanUpPatch(set: DaemonSet): object {
  const {metadata, spec} = set
  const containers = (spec?.template?.spec?.containers ?? []).map(cleaningContainer)
  const annotations = {[TEMPLATE_ANNOTATION]: hashOf(['uninstall', containers])}
  return {
    metadata: {
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      annotations: {[PHASE_ANNOTATION]: 'uninstall'},
    },
    spec: {
      updateStrategy: {type: 'RollingUpdate', rollingUpdate: {maxUnavailable: '100%'}},
      template: {metadata: {annotations}, spec: {containers}},
    },
  }
}

function cleaningContainer(container: Container): Container {
  if (container.name !== DAEMON_NAME) return container
  return {...container, args: ['uninstall', '--hold', ...(container.args ?? [])]}
}

export function isCleaningUp({metadata}: KubeObject): boolean {
  return metadata.annotations?.[PHASE_ANNOTATION] === 'uninstall'
}
