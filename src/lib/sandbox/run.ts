// SPDX-License-Identifier: Apache-2.0
/** The sandbox process from start to ready; what it needs of the outside is passed in. */
import {writeFileSync} from 'node:fs'
import {KmeshError, messageOf, TimeoutError} from '../errors.ts'
import {isPodReady, type KubeObject, type Pod, RESOURCES} from '../model/kube.ts'
import type {Clock, Commands, Informers, Kube, Log, Netns} from '../ports.ts'
import {createApiServer} from './api/server.ts'
import {startControllers} from './controllers/start.ts'
import {kubeconfigText} from './kubeconfig.ts'
import {collectionOf} from './manifests.ts'
import {addressPlan, type IpFamilyOption} from './nodes/addresses.ts'
import {layGround, startNodes} from './nodes/cluster.ts'
import {DAEMON_USER, MESH_NAMESPACE} from './nodes/daemon-pod.ts'
import {nodeDialer} from './nodes/dial-node.ts'
import {createAuthority} from './pki.ts'
import {SHOP, SHOP_PODS, shopObjects} from './shop.ts'
import {makeDirectories, type SandboxPaths, type SandboxState, writeJson} from './state.ts'

/** Where the API listens inside each node. */
const NODE_API_PORT = 6443
const API_CLIENT = 'kube-apiserver-kubelet-client'
const READY_TIMEOUT_MS = 90_000
const POLL_MS = 100

export interface RunOptions {
  readonly name: string
  readonly nodes: number
  readonly ipFamily: IpFamilyOption
  readonly withShop: boolean
  /** Nodes that get no agent. */
  readonly withoutDaemon: readonly string[]
}

export interface Outside {
  readonly commands: Commands
  readonly netns: Netns
  readonly clock: Clock
  readonly log: Log
  readonly pid: number
  readonly version: string
  readonly echoProgram: readonly string[]
  readonly daemonProgram: string
  readonly baseEnvironment: Readonly<Record<string, string>>
  /** Client of the API server that the kubeconfig names. */
  openKube(kubeconfig: string): Promise<{readonly kube: Kube; readonly informers: Informers}>
}

export function nodeNames(count: number): string[] {
  return Array.from({length: count}, (_, index) => `node-${index + 1}`)
}

/** Resolves when everything asked for is Ready; the state file then says so. */
export async function runSandbox(
  options: RunOptions,
  paths: SandboxPaths,
  outside: Outside,
  stopping: AbortSignal,
): Promise<void> {
  const {clock, log, commands, netns} = outside
  const plan = addressPlan(options.name, options.ipFamily)
  makeDirectories(paths)
  let state: SandboxState = {
    name: options.name,
    pid: outside.pid,
    phase: 'starting',
    message: 'making network namespaces',
    startedAt: new Date(clock.nowMs()).toISOString(),
    version: outside.version,
    families: plan.families,
    server: '',
    serviceCidrs: plan.serviceCidrs,
    nodes: [],
  }
  const tell = (change: Partial<SandboxState>): void => {
    state = {...state, ...change}
    log.info(state.message, {phase: state.phase})
    writeJson(paths.stateFile, state)
  }
  tell({})

  const ground = await layGround({paths, plan, nodeNames: nodeNames(options.nodes), commands})
  tell({message: 'starting the Kubernetes API', nodes: ground.nodes})
  const authority = await createAuthority(`kmeshctl sandbox ${options.name}`, clock.nowMs())
  const apiClient = await authority.issueClient(API_CLIENT, [])
  const api = createApiServer({
    authorityPem: authority.certificatePem,
    serving: await authority.issueServer(['127.0.0.1', '::1', 'localhost', 'kubernetes']),
    clock,
    log,
    serviceCidrs: plan.serviceCidrs,
    dialNode: nodeDialer(ground.nodes, netns, authority.certificatePem, apiClient),
  })
  const port = await api.listen({host: '127.0.0.1', port: 0})
  for (const node of ground.nodes) {
    await api.listen({fd: netns.listen(node.networkNamespace, '127.0.0.1', NODE_API_PORT)})
  }
  const kubeconfig = async (server: string, user: string, groups: readonly string[]): Promise<string> =>
    kubeconfigText({
      name: `sandbox-${options.name}`,
      server,
      authorityPem: authority.certificatePem,
      client: await authority.issueClient(user, groups),
    })
  const server = `https://127.0.0.1:${port}`
  writeFileSync(paths.kubeconfig, await kubeconfig(server, 'sandbox-admin', ['system:masters']), {
    mode: 0o600,
  })

  tell({message: 'starting nodes', server})
  const {kube, informers} = await outside.openKube(paths.kubeconfig)
  startControllers({kube, informers, clock, log})
  await startNodes({
    ...outside,
    ground,
    paths,
    plan,
    kube,
    informers,
    stopping,
    daemonKubeconfig: await kubeconfig(`https://127.0.0.1:${NODE_API_PORT}`, DAEMON_USER, [
      'system:serviceaccounts',
      'system:serviceaccounts:kmesh-system',
    ]),
    withoutDaemon: options.withoutDaemon,
    tlsOf: async (node) => ({
      ...(await authority.issueServer([node.name, ...node.addresses])),
      authorityPem: authority.certificatePem,
      clientName: API_CLIENT,
    }),
  })
  if (options.withShop) await createAll(kube, shopObjects())
  tell({message: 'waiting for pods'})
  const daemons = options.nodes - options.withoutDaemon.length
  await waitForPods(kube, clock, stopping, MESH_NAMESPACE, daemons)
  if (options.withShop) await waitForPods(kube, clock, stopping, SHOP, SHOP_PODS)
  tell({phase: 'ready', message: 'ready'})
}

async function createAll(kube: Kube, objects: readonly KubeObject[]): Promise<void> {
  for (const object of objects) {
    try {
      await kube.create(collectionOf(object), object)
    } catch (error) {
      throw new KmeshError(`${object.kind} ${object.metadata.name} cannot be created: ${messageOf(error)}`, {
        code: 'SandboxStart',
        cause: error,
      })
    }
  }
}

/** @throws TimeoutError that names the pods that are not Ready, and why */
async function waitForPods(
  kube: Kube,
  clock: Clock,
  stopping: AbortSignal,
  namespace: string,
  count: number,
): Promise<void> {
  const end = clock.monotonicMs() + READY_TIMEOUT_MS
  for (;;) {
    const {items} = await kube.list<Pod>({...RESOURCES.pods, namespace})
    const notReady = items.filter((pod) => !isPodReady(pod))
    if (items.length >= count && notReady.length === 0) return
    if (clock.monotonicMs() > end) {
      const why = notReady.map((pod) => `${pod.metadata.name} (${whyNotReady(pod)})`).join(', ')
      throw new TimeoutError(
        `namespace ${namespace}: ${items.length - notReady.length} of ${count} pods are Ready after ${READY_TIMEOUT_MS / 1000} s; not ready: ${why || 'none'}`,
      )
    }
    await clock.sleep(POLL_MS, stopping)
  }
}

function whyNotReady(pod: Pod): string {
  const ready = pod.status?.conditions?.find((condition) => condition.type === 'Ready')
  return ready?.message ?? pod.status?.phase ?? 'no status'
}
