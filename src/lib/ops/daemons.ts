// SPDX-License-Identifier: Apache-2.0
/** Finds the daemon pods of the mesh. */
import {KmeshError, UnreachableError} from '../errors.ts'
import type {DaemonTarget} from '../model/api.ts'
import {isPodReady, type KubeObject, type NodeObject, type Pod, RESOURCES} from '../model/kube.ts'
import {compareText} from '../model/report.ts'
import type {DaemonAccess} from './access.ts'

export interface FoundDaemon {
  readonly target: DaemonTarget
  /** Of the pod, as Kubernetes sees it; true for a daemon URL. */
  readonly ready: boolean
  /** Null for a daemon URL. */
  readonly podObject: Pod | null
}

/** A node that was asked for and has no daemon. */
export interface MissingDaemon {
  readonly node: string
}

export interface DaemonSearch {
  /** One a node, by node name. */
  readonly found: readonly FoundDaemon[]
  readonly missing: readonly MissingDaemon[]
}

/**
 * Daemons of the nodes that were chosen; all of them when nothing was. `missing` holds chosen nodes without
 * one (all nodes of the cluster only when they were listed for a selector).
 *
 * @throws KmeshError `NoDaemon` when there is none at all.
 */
export async function findDaemons(access: DaemonAccess): Promise<DaemonSearch> {
  const {choice} = access
  if (choice.daemonUrl !== undefined) {
    return {found: [{target: {node: choice.daemonUrl, pod: null}, ready: true, podObject: null}], missing: []}
  }
  const daemons = await listDaemons(access)
  const wanted = await wantedNodes(access)
  if (wanted === undefined) {
    if (daemons.size === 0) throw noDaemon(access)
    return {found: sorted([...daemons.values()]), missing: []}
  }
  const found = [...wanted].map((node) => daemons.get(node)).filter((daemon) => daemon !== undefined)
  const missing = [...wanted].filter((node) => !daemons.has(node)).sort(compareText)
  return {found: sorted(found), missing: missing.map((node) => ({node}))}
}

/** Daemon pods by node. Where a node has several (a rollout), a ready one, then the youngest. */
export async function listDaemons(access: DaemonAccess): Promise<Map<string, FoundDaemon>> {
  const {choice, signal} = access
  const path = {...RESOURCES.pods, namespace: choice.meshNamespace}
  const {items} = await kubeOf(access).list<Pod>(path, {labelSelector: choice.daemonSelector, signal})
  const byNode = new Map<string, FoundDaemon>()
  for (const pod of items) {
    const daemon = daemonOf(pod)
    if (daemon === undefined) continue
    const other = byNode.get(daemon.target.node)
    if (other === undefined || isBetter(daemon, other)) byNode.set(daemon.target.node, daemon)
  }
  return byNode
}

function daemonOf(pod: Pod): FoundDaemon | undefined {
  const {name, namespace} = pod.metadata
  const node = pod.spec?.nodeName
  if (!name || !namespace || !node) return undefined
  if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return undefined
  return {target: {node, pod: {namespace, name}}, ready: isPodReady(pod), podObject: pod}
}

function isBetter(one: FoundDaemon, other: FoundDaemon): boolean {
  if (one.ready !== other.ready) return one.ready
  const [mine, theirs] = [one, other].map((daemon) => daemon.podObject?.metadata.creationTimestamp ?? '')
  return compareText(theirs, mine) < 0
}

/** Names of the chosen nodes; undefined when nothing was chosen: then it is every daemon. */
async function wantedNodes(access: DaemonAccess): Promise<ReadonlySet<string> | undefined> {
  const {nodes, nodeSelector} = access.choice
  if (nodes.length > 0) return new Set(nodes)
  if (nodeSelector === undefined) return undefined
  const {items} = await kubeOf(access).list<NodeObject & KubeObject>(RESOURCES.nodes, {
    labelSelector: nodeSelector,
    metadataOnly: true,
    signal: access.signal,
  })
  if (items.length === 0) {
    throw new KmeshError(`no node matches --node-selector ${nodeSelector}`, {code: 'NoNode'})
  }
  return new Set(items.map((node) => node.metadata.name ?? ''))
}

export function kubeOf(access: DaemonAccess): NonNullable<DaemonAccess['kube']> {
  if (access.kube !== undefined) return access.kube
  throw new KmeshError('this needs a cluster, not only --daemon-url', {code: 'NoCluster'})
}

function noDaemon({choice}: DaemonAccess): UnreachableError {
  return new UnreachableError(
    'find',
    `no daemon found: no pod in namespace ${choice.meshNamespace} matches ${choice.daemonSelector}`,
    {code: 'NoDaemon', hints: ['--mesh-namespace and --daemon-selector say where daemons are']},
  )
}

function sorted(daemons: FoundDaemon[]): FoundDaemon[] {
  return daemons.sort((a, b) => compareText(a.target.node, b.target.node))
}
