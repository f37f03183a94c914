// SPDX-License-Identifier: Apache-2.0
/** The sandbox process from start to ready; what it needs of the outside is passed in. */
import {writeFileSync} from 'node:fs'
import {KmeshError, messageOf} from '../errors.ts'
import type {Backend} from '../model/api.ts'
import type {KubeObject} from '../model/kube.ts'
import type {Clock, Commands, Informers, Kube, Log, Netns} from '../ports.ts'
import {type ControlPlaneOptions, startControlPlane} from './control-plane.ts'
import type {ControlPlane} from './control-plane-access.ts'
import {startControllers} from './controllers/start.ts'
import {collectionOf} from './manifests.ts'
import {addressPlan, type IpFamilyOption} from './nodes/addresses.ts'
import {layGround, startNodes} from './nodes/cluster.ts'
import {MESH_NAMESPACE} from './nodes/daemon-pod.ts'
import {createMachine} from './nodes/machine.ts'
import {type RealControlPlaneOptions, startRealControlPlane} from './real-control-plane/start.ts'
import {roleObjects} from './roles.ts'
import {SHOP, SHOP_PODS, shopObjects} from './shop.ts'
import {istioObjects} from './sidecar/crds.ts'
import {startDiscovery} from './sidecar/discovery.ts'
import {makeDirectories, type SandboxPaths, type SandboxState, writeJson} from './state.ts'
import {waitForPods} from './wait-for-pods.ts'

export interface RunOptions {
  readonly name: string
  readonly backend: Backend
  readonly nodes: number
  readonly ipFamily: IpFamilyOption
  readonly withShop: boolean
  /** Nodes that get no agent. */
  readonly withoutDaemon: readonly string[]
  /** Istio's PeerAuthentication and DestinationRule, and its root namespace. */
  readonly withIstio?: boolean
  /** Nothing of the mesh: no agents, no roles, no namespace of theirs. */
  readonly withoutMesh: boolean
  /** Absolute path of a folder with etcd and kube-apiserver, which then serve in place of the sandbox's own API. */
  readonly controlPlane?: string | undefined
}

export interface Outside {
  readonly commands: Commands
  /** Undefined: backend memory. */
  readonly netns: Netns | undefined
  /** SIGKILL for a process group; no error where it is gone. */
  readonly killGroup: (pid: number) => void
  readonly clock: Clock
  readonly log: Log
  readonly pid: number
  readonly version: string
  readonly echoProgram: readonly string[]
  readonly sidecarProgram: readonly string[]
  readonly daemonProgram: string
  /** Text of deploy/rbac.yaml. */
  readonly roles: string
  readonly baseEnvironment: Readonly<Record<string, string>>
  /** Client of the API server that the kubeconfig names. */
  openKube(kubeconfig: string): Promise<{readonly kube: Kube; readonly informers: Informers}>
}

export const NO_CONTROL_PLANE = 'a real control plane needs the network namespaces of backend kernel'

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
    backend: options.backend,
    pid: outside.pid,
    phase: 'starting',
    message: options.backend === 'memory' ? 'no kernel: everything in memory' : 'making network namespaces',
    startedAt: new Date(clock.nowMs()).toISOString(),
    stateDir: paths.stateDir,
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

  const machine = createMachine({...outside, paths, plan})
  const ground = await layGround({paths, plan, nodeNames: nodeNames(options.nodes), machine})
  const {controlPlane} = options
  const what = controlPlane === undefined ? 'the Kubernetes API' : `the control plane of ${controlPlane}`
  tell({message: `starting ${what}`, nodes: ground.nodes})
  const settings = {
    name: options.name,
    nodes: ground.nodes,
    serviceCidrs: plan.serviceCidrs,
    netns,
    sockets: machine.sockets,
    clock,
    log,
  }
  const control = await startControl({...settings, plan, paths, commands, stopping}, controlPlane, outside)
  writeFileSync(paths.kubeconfig, control.adminKubeconfig, {mode: 0o600})

  tell({message: 'starting nodes', server: control.server})
  const {kube, informers} = await outside.openKube(paths.kubeconfig)
  if (!options.withoutMesh) await createAll(kube, roleObjects(outside.roles))
  startControllers({kube, informers, clock, log, needs: control.needs})
  if (options.withIstio === true) await createAll(kube, istioObjects())
  // Sidecars live on redirection in network namespaces.
  if (machine.backend === 'kernel') startDiscovery({informers, clock, log, paths})
  const withoutDaemon = options.withoutMesh ? nodeNames(options.nodes) : options.withoutDaemon
  await startNodes({...outside, ...control, ground, paths, plan, kube, informers, stopping, withoutDaemon})
  if (options.withShop) await createAll(kube, shopObjects())
  tell({message: 'waiting for pods'})
  await waitForPods(kube, clock, stopping, MESH_NAMESPACE, options.nodes - withoutDaemon.length)
  if (options.withShop) await waitForPods(kube, clock, stopping, SHOP, SHOP_PODS)
  tell({phase: 'ready', message: 'ready'})
}

type Settings = Omit<RealControlPlaneOptions, 'netns' | 'directory' | 'env'> & ControlPlaneOptions

/** @param directory of a real etcd and kube-apiserver; undefined is the sandbox's own API */
async function startControl(
  settings: Settings,
  directory: string | undefined,
  outside: Outside,
): Promise<ControlPlane> {
  if (directory === undefined) return await startControlPlane(settings)
  const {netns, baseEnvironment: env} = outside
  if (netns === undefined) throw new KmeshError(NO_CONTROL_PLANE, {code: 'SandboxStart'})
  return await startRealControlPlane({...settings, netns, directory, env})
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
