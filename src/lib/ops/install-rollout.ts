// SPDX-License-Identifier: Apache-2.0
/** Follows the agents of a DaemonSet, node by node. */
import {isPodReady, type NodeObject, type Pod, RESOURCES} from '../model/kube.ts'
import {DAEMON_NAME, TEMPLATE_ANNOTATION} from '../model/manifests-settings.ts'
import type {DaemonSet} from '../model/manifests-workload.ts'
import {compareText} from '../model/report.ts'
import type {Clock, Kube} from '../ports.ts'
import {findObject} from './install-objects.ts'

export interface NodeProgress {
  readonly node: string
  readonly isReady: boolean
  /** Its container ended with an error, or cannot be started. */
  readonly hasFailed: boolean
  readonly pod: string | null
  /** Why it is not ready; empty when it is. */
  readonly reason: string
}

export interface RolloutRequest {
  readonly kube: Kube
  readonly namespace: string
  readonly clock: Clock
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Whenever more nodes, or fewer, are ready. */
  readonly onProgress: (ready: number, total: number) => void
}

const FIRST_PAUSE_MS = 200
const MAX_PAUSE_MS = 2000

/**
 * @returns every node that shall have an agent, by name, when all are ready or time is up
 * @throws what a look throws once time is up, or when the signal is aborted its reason
 */
export async function waitForAgents(request: RolloutRequest): Promise<readonly NodeProgress[]> {
  const {clock, timeoutMs, signal} = request
  const deadlineMs = clock.monotonicMs() + timeoutMs
  const look = watcherOf(request)
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, MAX_PAUSE_MS)) {
    const isLast = clock.monotonicMs() >= deadlineMs
    try {
      const {nodes, isSettled} = await look()
      if (isLast || (isSettled && nodes.every(({isReady}) => isReady))) return nodes
    } catch (error) {
      if (isLast || signal.aborted) throw error
    }
    await clock.sleep(Math.min(pauseMs, Math.max(0, deadlineMs - clock.monotonicMs())), signal)
  }
}

/** Looks that know what the ones before have seen, and tell when there is something to tell. */
function watcherOf({kube, namespace, signal, onProgress}: RolloutRequest): () => Promise<Look> {
  const failures = new Map<string, string>()
  let told = -1
  return async () => {
    const {nodes, isSettled} = await lookAtAgents(kube, namespace, signal)
    for (const {node, pod, hasFailed, reason} of nodes) if (hasFailed) failures.set(`${node}/${pod}`, reason)
    const ready = nodes.filter(({isReady}) => isReady).length
    if (ready !== told) onProgress(ready, nodes.length)
    told = ready
    return {nodes: nodes.map((node) => remembered(node, failures)), isSettled}
  }
}

/** One that fails again and again looks well for the moment in which it is started anew. */
function remembered(node: NodeProgress, failures: ReadonlyMap<string, string>): NodeProgress {
  const reason = failures.get(`${node.node}/${node.pod}`)
  return node.isReady || node.hasFailed || reason === undefined ? node : {...node, hasFailed: true, reason}
}

interface Look {
  readonly nodes: readonly NodeProgress[]
  /** The controller has seen the newest DaemonSet and has a pod of it on every node. */
  readonly isSettled: boolean
}

async function lookAtAgents(kube: Kube, namespace: string, signal: AbortSignal): Promise<Look> {
  const set = await findObject<DaemonSet>(
    kube,
    {...RESOURCES.daemonsets, namespace, name: DAEMON_NAME},
    signal,
  )
  if (set === undefined) return {nodes: [], isSettled: true}
  const [pods, nodes] = await Promise.all([podsOf(kube, set, signal), nodesOf(kube, set, signal)])
  const byNode = Map.groupBy(pods, nodeNameOf)
  const names = new Set([...nodes.keys(), ...[...byNode.keys()].filter((name) => name !== '')])
  const wanted = set.spec?.template?.metadata?.annotations?.[TEMPLATE_ANNOTATION]
  const {observedGeneration = 0, desiredNumberScheduled = 0} = set.status ?? {}
  const isSeen = observedGeneration >= (set.metadata.generation ?? 0)
  return {
    nodes: [...names]
      .sort(compareText)
      .map((node) => progressOf(node, nodes.get(node), byNode.get(node) ?? [], wanted)),
    isSettled: isSeen && byNode.size >= desiredNumberScheduled,
  }
}

export async function podsOf(kube: Kube, set: DaemonSet, signal: AbortSignal): Promise<Pod[]> {
  const {namespace, uid} = set.metadata
  const labelSelector = Object.entries(set.spec?.selector?.matchLabels ?? {app: DAEMON_NAME})
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
  const {items} = await kube.list<Pod>({...RESOURCES.pods, namespace}, {labelSelector, signal})
  return items.filter((pod) => pod.metadata.ownerReferences?.some((owner) => owner.uid === uid) ?? false)
}

async function nodesOf(
  kube: Kube,
  set: DaemonSet,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, NodeObject>> {
  const selector = Object.entries(set.spec?.template?.spec?.nodeSelector ?? {})
  const labelSelector = selector.map(([key, value]) => `${key}=${value}`).join(',')
  const {items} = await kube.list<NodeObject>(RESOURCES.nodes, {
    ...(labelSelector === '' ? {} : {labelSelector}),
    signal,
  })
  return new Map(items.map((node) => [node.metadata.name ?? '', node]))
}

interface Affinity {
  readonly affinity?: {
    readonly nodeAffinity?: {
      readonly requiredDuringSchedulingIgnoredDuringExecution?: {
        readonly nodeSelectorTerms?: readonly {
          readonly matchFields?: readonly {readonly key: string; readonly values?: readonly string[]}[]
        }[]
      }
    }
  }
}

/** Before the scheduler bound it, the controller's affinity tells; '' where nothing does. */
function nodeNameOf(pod: Pod): string {
  const required = (pod.spec as Affinity | undefined)?.affinity?.nodeAffinity
    ?.requiredDuringSchedulingIgnoredDuringExecution
  const fields = required?.nodeSelectorTerms?.flatMap((term) => term.matchFields ?? []) ?? []
  return pod.spec?.nodeName ?? fields.find(({key}) => key === 'metadata.name')?.values?.[0] ?? ''
}

function progressOf(
  node: string,
  object: NodeObject | undefined,
  pods: readonly Pod[],
  wanted: string | undefined,
): NodeProgress {
  const isCurrent = (pod: Pod): boolean =>
    pod.metadata.deletionTimestamp === undefined && pod.metadata.annotations?.[TEMPLATE_ANNOTATION] === wanted
  const pod = pods.find(isCurrent)
  const base = {node, pod: pod?.metadata.name ?? pods[0]?.metadata.name ?? null}
  if (pod !== undefined && isPodReady(pod)) return {...base, isReady: true, hasFailed: false, reason: ''}
  const isNodeReady = object?.status?.conditions?.some(
    ({type, status}) => type === 'Ready' && status === 'True',
  )
  if (object !== undefined && !isNodeReady) {
    return {...base, isReady: false, hasFailed: false, reason: 'the node is not Ready'}
  }
  const failure = pod === undefined ? undefined : failureOf(pod)
  const waiting =
    pods.length === 0 ? 'it has no pod yet' : pod === undefined ? 'the old pod is there' : 'starting'
  return {...base, isReady: false, hasFailed: failure !== undefined, reason: failure ?? waiting}
}

interface LastState {
  readonly lastState?: {
    readonly terminated?: {readonly exitCode: number; readonly reason?: string; readonly message?: string}
  }
}

/** What keeps its container from running, in the words of kubelet and program. */
function failureOf(pod: Pod): string | undefined {
  const status = pod.status?.containerStatuses?.[0] as
    | (NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number] & LastState)
    | undefined
  const waiting = status?.state?.waiting
  const ended = status?.state?.terminated ?? status?.lastState?.terminated
  const said = (ended as {message?: string} | undefined)?.message?.trim().split('\n').at(-1)
  const exit = ended === undefined || ended.exitCode === 0 ? undefined : `exit status ${ended.exitCode}`
  const parts = [waiting?.reason, waiting?.message, exit, said].filter(
    (part) => part !== undefined && part !== '',
  )
  const isStarting =
    waiting === undefined || /^(ContainerCreating|PodInitializing)$/.test(waiting.reason ?? '')
  if (isStarting && exit === undefined) {
    return pod.status?.conditions?.find(({reason}) => reason === 'Unschedulable')?.message
  }
  return parts.join(': ')
}
