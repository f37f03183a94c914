// SPDX-License-Identifier: Apache-2.0
/** What a DaemonSet does next on its nodes; pure. */
import type {NodeObject, Pod} from '../../model/kube.ts'
import {type DaemonSet, labelsMatch} from './apps.ts'
import {isAlive} from './availability.ts'
import {resolveShare} from './rollout.ts'

export const REVISION_LABEL = 'controller-revision-hash'

export interface DaemonPlan {
  /** Nodes that get a pod. */
  readonly create: readonly string[]
  readonly delete: readonly Pod[]
}

export interface DaemonState {
  readonly set: DaemonSet
  /** Hash of the template that new pods get. */
  readonly revision: string
  /** Names of the nodes that shall have one. */
  readonly nodes: ReadonlySet<string>
  /** Of the set; those on their way out are there and serve nobody. */
  readonly pods: readonly Pod[]
  isAvailable(pod: Pod): boolean
}

interface Taint {
  readonly key?: string
  readonly value?: string
  readonly effect?: string
}

interface Toleration extends Taint {
  readonly operator?: string
}

/** Taints of nodes in trouble; agents have to run there, so Kubernetes tolerates them in every DaemonSet. */
const TOLERATED =
  /^node\.kubernetes\.io\/(not-ready|unreachable|disk-pressure|memory-pressure|pid-pressure|unschedulable)$/

/** Also where it is cordoned or not Ready: an agent is part of its node. */
export function isWanted(set: DaemonSet, node: NodeObject): boolean {
  const spec = set.spec?.template?.spec as
    | {nodeSelector?: Record<string, string>; tolerations?: readonly Toleration[]}
    | undefined
  const selector = spec?.nodeSelector ?? {}
  const isSelected = Object.keys(selector).length === 0 || labelsMatch(selector, node.metadata.labels)
  const taints = (node.spec as {readonly taints?: readonly Taint[]} | undefined)?.taints ?? []
  const isTolerated = (taint: Taint): boolean =>
    taint.effect === 'PreferNoSchedule' ||
    TOLERATED.test(taint.key ?? '') ||
    (spec?.tolerations ?? []).some((toleration) => tolerates(toleration, taint))
  return isSelected && node.metadata.deletionTimestamp === undefined && taints.every(isTolerated)
}

function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.operator === 'Exists') return !toleration.key || toleration.key === taint.key
  return toleration.key === taint.key && (toleration.value ?? '') === (taint.value ?? '')
}

export function planDaemons(state: DaemonState): DaemonPlan {
  const {nodes, pods} = state
  const byNode = Map.groupBy(pods, (pod) => pod.spec?.nodeName ?? '')
  const create = [...nodes].filter((node) => !byNode.has(node))
  const astray = pods.filter((pod) => !nodes.has(pod.spec?.nodeName ?? ''))
  const extra = [...byNode.values()].flatMap((ofNode) => ofNode.filter(isAlive).sort(oldestFirst).slice(1))
  const ended = pods.filter(
    (pod) =>
      pod.metadata.deletionTimestamp === undefined && /^(Failed|Succeeded)$/.test(pod.status?.phase ?? ''),
  )
  const going = new Set([...astray, ...extra, ...ended, ...outdated(state, byNode)])
  return {create, delete: [...going].filter((pod) => pod.metadata.deletionTimestamp === undefined)}
}

function oldestFirst(left: Pod, right: Pod): number {
  return (left.metadata.creationTimestamp ?? '') < (right.metadata.creationTimestamp ?? '') ? -1 : 1
}

export function isCurrent(pod: Pod, revision: string): boolean {
  return pod.metadata.labels?.[REVISION_LABEL] === revision
}

/** Old pods that may go now: those that serve nobody, and of the others as many as may be missing. */
function outdated(state: DaemonState, byNode: ReadonlyMap<string, readonly Pod[]>): Pod[] {
  const {set, revision, nodes, isAvailable} = state
  const strategy = set.spec?.updateStrategy
  if (strategy?.type === 'OnDelete') return []
  const serving = (pod: Pod): boolean => isAlive(pod) && isAvailable(pod)
  const ofNodes = [...nodes].map((node) => byNode.get(node) ?? [])
  const unavailable = ofNodes.filter((pods) => !pods.some(serving)).length
  const old = ofNodes.flat().filter((pod) => isAlive(pod) && !isCurrent(pod, revision))
  const allowed = resolveShare(strategy?.rollingUpdate?.maxUnavailable ?? 1, nodes.size, true)
  const idle = old.filter((pod) => !serving(pod))
  return [...idle, ...old.filter(serving).slice(0, Math.max(0, allowed - unavailable))]
}
