// SPDX-License-Identifier: Apache-2.0
/** All nodes of a sandbox: what they stand on, and what runs on them. */
import {mkdirSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {KubeStatusError} from '../../errors.ts'
import {type KubeObject, RESOURCES} from '../../model/kube.ts'
import type {Clock, Commands, Informers, Kube, Log, Netns, ResourcePath} from '../../ports.ts'
import type {NodeRecord, SandboxPaths} from '../state.ts'
import type {AddressPlan} from './addresses.ts'
import {makeCgroup} from './cgroups.ts'
import {isMounted} from './clean.ts'
import {daemonFiles, keepDaemon, MESH_NAMESPACE} from './daemon-pod.ts'
import {startKubelet} from './kubelet.ts'
import {type KubeletTls, startKubeletServer} from './kubelet-server.ts'
import {createNetwork, type Network} from './network.ts'
import type {NodeContext} from './node-context.ts'
import {nodeObject, nodeStatus} from './node-object.ts'
import {startServiceProxy} from './service-proxy.ts'

/** What exists before the API answers inside the nodes. */
export interface Ground {
  readonly network: Network
  readonly nodes: readonly NodeRecord[]
}

export interface GroundOptions {
  readonly paths: SandboxPaths
  readonly plan: AddressPlan
  readonly nodeNames: readonly string[]
  readonly commands: Commands
}

/** Namespaces, cgroups and the bpffs. */
export async function layGround(options: GroundOptions): Promise<Ground> {
  const {paths, plan, nodeNames, commands} = options
  const network = createNetwork(commands, paths, plan)
  await network.build(nodeNames)
  mkdirSync(paths.bpfDir, {recursive: true})
  if (!isMounted(paths.bpfDir)) {
    await commands.run({file: 'mount', args: ['-t', 'bpf', '-o', 'mode=0700', 'bpffs', paths.bpfDir]})
  }
  const nodes = nodeNames.map((name, index) => ({
    name,
    addresses: plan.nodeAddresses(index + 1).map(({address}) => address),
    podCidrs: plan.podCidrs(index + 1),
    networkNamespace: network.nodeNamespace(name),
    cgroup: join(paths.cgroupRoot, name),
    bpfDir: join(paths.bpfDir, name),
  }))
  for (const node of nodes) {
    makeCgroup(join(node.cgroup, 'kubepods'))
    makeCgroup(join(node.cgroup, 'system'))
    mkdirSync(node.bpfDir, {recursive: true})
  }
  return {network, nodes}
}

export interface ClusterOptions {
  readonly ground: Ground
  readonly paths: SandboxPaths
  readonly plan: AddressPlan
  readonly commands: Commands
  readonly netns: Netns
  readonly kube: Kube
  readonly informers: Informers
  readonly clock: Clock
  readonly log: Log
  readonly stopping: AbortSignal
  readonly echoProgram: readonly string[]
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
  const {ground, kube, informers, plan, commands, clock, log} = options
  const closers: {close(): void}[] = []
  for (const name of ['default', 'kube-system', MESH_NAMESPACE]) {
    await ensure(kube, RESOURCES.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata: {name}})
  }
  closers.push(
    await startServiceProxy({
      nodes: ground.nodes.map(({name, networkNamespace}, index) => ({
        name,
        namespacePath: networkNamespace,
        addresses: plan.nodeAddresses(index + 1),
      })),
      plan,
      informers,
      commands,
      clock,
      log,
    }),
  )
  for (const [index, record] of ground.nodes.entries()) {
    closers.push(...(await startNode(options, record, index + 1)))
  }
  return {
    close: () => {
      for (const closer of closers.reverse()) closer.close()
    },
  }
}

async function startNode(
  options: ClusterOptions,
  record: NodeRecord,
  index: number,
): Promise<{close(): void}[]> {
  const {kube, informers} = options
  const node: NodeContext = {
    ...options,
    network: options.ground.network,
    name: record.name,
    index,
    addresses: options.plan.nodeAddresses(index),
    namespacePath: record.networkNamespace,
    cgroup: record.cgroup,
    bpfDir: record.bpfDir,
  }
  const kubelet = startKubelet(node, informers)
  const server = await startKubeletServer(node, kubelet, await options.tlsOf(record))
  await ensure(kube, RESOURCES.nodes, nodeObject(node))
  await kube.mergePatch(
    {...RESOURCES.nodes, name: node.name, subresource: 'status'},
    {status: nodeStatus(node)},
  )
  if (options.withoutDaemon.includes(node.name)) return [kubelet, server]
  const files = daemonFiles(node, options.daemonProgram)
  mkdirSync(dirname(files.kubeconfig), {recursive: true, mode: 0o700})
  writeFileSync(files.kubeconfig, options.daemonKubeconfig, {mode: 0o600})
  return [kubelet, server, keepDaemon(node, files, informers)]
}

async function ensure(kube: Kube, path: ResourcePath, object: KubeObject): Promise<void> {
  try {
    await kube.create(path, object)
  } catch (error) {
    if (!(error instanceof KubeStatusError && error.status === 409)) throw error
  }
}
