// SPDX-License-Identifier: Apache-2.0
/** All nodes of a sandbox: what they stand on, and what runs on them. */
import {mkdirSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {KubeStatusError} from '../../errors.ts'
import {type KubeObject, RESOURCES} from '../../model/kube.ts'
import type {Clock, Commands, Informers, Kube, Log, ResourcePath} from '../../ports.ts'
import type {NodeRecord, SandboxPaths} from '../state.ts'
import type {AddressPlan} from './addresses.ts'
import {isMounted} from './clean.ts'
import {daemonFiles, keepDaemon} from './daemon-pod.ts'
import {startKubelet} from './kubelet.ts'
import {type KubeletTls, startKubeletServer} from './kubelet-server.ts'
import type {Machine} from './machine.ts'
import type {NodeContext} from './node-context.ts'
import {nodeObject, nodeStatus} from './node-object.ts'
import {startServiceProxy} from './service-proxy.ts'

/** What exists before the API answers inside the nodes. */
export interface Ground {
  readonly machine: Machine
  readonly nodes: readonly NodeRecord[]
}

export interface GroundOptions {
  readonly paths: SandboxPaths
  readonly plan: AddressPlan
  readonly nodeNames: readonly string[]
  readonly machine: Machine
}

/** Namespaces, cgroups and the bpffs; in memory only what the nodes are called. */
export async function layGround(options: GroundOptions): Promise<Ground> {
  const {paths, plan, nodeNames, machine} = options
  await machine.network.build(nodeNames)
  if (machine.backend === 'kernel') await mountBpf(paths.bpfDir, machine.commands)
  const nodes = nodeNames.map((name, index) => ({
    name,
    addresses: plan.nodeAddresses(index + 1).map(({address}) => address),
    podCidrs: plan.podCidrs(index + 1),
    networkNamespace: machine.network.nodeNamespace(name),
    cgroup: machine.nodeCgroup(name),
    bpfDir: join(paths.bpfDir, name),
  }))
  for (const node of nodes) {
    machine.cgroups.make(join(node.cgroup, 'kubepods'))
    machine.cgroups.make(join(node.cgroup, 'system'))
    if (machine.backend === 'kernel') mkdirSync(node.bpfDir, {recursive: true})
  }
  return {machine, nodes}
}

async function mountBpf(directory: string, commands: Commands): Promise<void> {
  mkdirSync(directory, {recursive: true})
  if (isMounted(directory)) return
  await commands.run({file: 'mount', args: ['-t', 'bpf', '-o', 'mode=0700', 'bpffs', directory]})
}

export interface ClusterOptions {
  readonly ground: Ground
  readonly paths: SandboxPaths
  readonly plan: AddressPlan
  readonly kube: Kube
  readonly informers: Informers
  readonly clock: Clock
  readonly log: Log
  readonly stopping: AbortSignal
  readonly echoProgram: readonly string[]
  /** What Istio's image `proxyv2` runs. */
  readonly sidecarProgram?: readonly string[]
  /** Path of `bin/kmesh-daemon`. */
  readonly daemonProgram: string
  /** Text of the agents' kubeconfig; holds a key. */
  readonly daemonKubeconfig: string
  readonly baseEnvironment: Readonly<Record<string, string>>
  /** Nodes that get no agent. */
  readonly withoutDaemon: readonly string[]
  tlsOf(node: NodeRecord): Promise<KubeletTls>
}

/** Registers the nodes and starts their kubelets, service rules and agents. */
export async function startNodes(options: ClusterOptions): Promise<{close(): void}> {
  const {kube} = options
  const {nodes, machine} = options.ground
  const closers: {close(): void}[] = []
  for (const name of ['default', 'kube-system']) {
    await ensure(kube, RESOURCES.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata: {name}})
  }
  // In memory no address of a service leads anywhere.
  if (machine.backend === 'kernel') closers.push(await startServices(options))
  for (const [index, record] of nodes.entries()) {
    closers.push(...(await startNode(options, record, index + 1)))
  }
  return {
    close: () => {
      for (const closer of closers.reverse()) closer.close()
    },
  }
}

async function startServices(options: ClusterOptions): Promise<{close(): void}> {
  const {ground, plan, informers, clock, log} = options
  const nodes = ground.nodes.map(({name, networkNamespace}, index) => ({
    name,
    namespacePath: networkNamespace,
    addresses: plan.nodeAddresses(index + 1),
  }))
  return await startServiceProxy({nodes, plan, informers, commands: ground.machine.commands, clock, log})
}

async function startNode(
  options: ClusterOptions,
  record: NodeRecord,
  index: number,
): Promise<{close(): void}[]> {
  const {kube, informers} = options
  const node: NodeContext = {
    ...options,
    ...options.ground.machine,
    name: record.name,
    index,
    addresses: options.plan.nodeAddresses(index),
    namespacePath: record.networkNamespace,
    cgroup: record.cgroup,
    bpfDir: record.bpfDir,
  }
  const files = daemonFiles(node, options.daemonProgram)
  mkdirSync(dirname(files.kubeconfig), {recursive: true, mode: 0o700})
  writeFileSync(files.kubeconfig, options.daemonKubeconfig, {mode: 0o600})
  const kubelet = startKubelet(node, informers)
  const server = await startKubeletServer(node, kubelet, await options.tlsOf(record))
  await ensure(kube, RESOURCES.nodes, nodeObject(node))
  await kube.mergePatch(
    {...RESOURCES.nodes, name: node.name, subresource: 'status'},
    {status: nodeStatus(node)},
  )
  if (options.withoutDaemon.includes(node.name)) return [kubelet, server]
  return [kubelet, server, keepDaemon(node, files, informers)]
}

async function ensure(kube: Kube, path: ResourcePath, object: KubeObject): Promise<void> {
  try {
    await kube.create(path, object)
  } catch (error) {
    if (!(error instanceof KubeStatusError && error.status === 409)) throw error
  }
}
