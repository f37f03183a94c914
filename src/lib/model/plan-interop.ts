// SPDX-License-Identifier: Apache-2.0
/** What a plan changes in the table of `interop check`: pairs of clients and ports whose verdict becomes another. Pure. */
import {type ClusterServers, portsOf} from './check-cluster.ts'
import {captureKey, PortJudge} from './check-port.ts'
import type {IstioPolicies} from './client-tls.ts'
import {
  type CheckCell,
  type CheckedPod,
  type CheckItem,
  type CheckVerdict,
  clientGroups,
  clientOf,
} from './interop-check.ts'
import type {PodCapture} from './pair-verdict.ts'
import type {PodPlan} from './plan.ts'

export interface PairChange {
  readonly client: CheckItem['client']
  readonly server: CheckItem['server']
  readonly from: CheckVerdict
  readonly to: CheckVerdict
  /** More endpoints fail than now. */
  readonly breaks: boolean
  /** Of the worst endpoints afterwards. */
  readonly reason: CheckCell['reason'] | null
  readonly why: string | null
  readonly fix: string | null
}

export interface InteropChange {
  /** Pairs that a pod of the plan takes part in. */
  readonly judged: number
  readonly breaks: number
  /** In order of clients, then servers. */
  readonly changes: readonly PairChange[]
}

/** @param pods - every live pod of the cluster as it is now, by `namespace/name` */
export function planInterop(
  cluster: ClusterServers,
  plans: readonly PodPlan[],
  policies: IstioPolicies | undefined,
): InteropChange {
  const later = new Map(
    plans.filter(({follow}) => follow).map((plan) => [`${plan.namespace}/${plan.name}`, plan.after.intent]),
  )
  const after = new Map(
    [...cluster.pods].map(([key, pod]) => {
      const intent = later.get(key)
      return [key, intent === undefined ? pod : {...pod, capture: captureAfter(pod, intent)}]
    }),
  )
  const isChanged = (pod: CheckedPod | null): boolean =>
    pod !== null && after.get(`${pod.namespace}/${pod.name}`) !== pod
  const laterPorts = portsOf({...cluster, pods: after})
  const ports = portsOf(cluster).flatMap((port, index) => {
    const next = laterPorts[index]
    if (port.endpoints.length === 0 || next === undefined) return []
    const changes = port.endpoints.some(({pod}) => isChanged(pod))
    return [{changes, now: new PortJudge(port, policies), later: new PortJudge(next, policies)}]
  })
  const laterOf = (pod: CheckedPod): CheckedPod => after.get(`${pod.namespace}/${pod.name}`) ?? pod
  const groups = clientGroups([...cluster.pods.values()], policies, (pod) => captureKey(laterOf(pod).capture))
  const changes: PairChange[] = []
  let judged = 0
  for (const {key, kind, first, pods} of groups) {
    const next = laterOf(first)
    const client = clientOf(first, pods)
    const laterKind = kind === key ? key : captureKey(next.capture)
    for (const port of ports) {
      if (!port.changes && next === first) continue
      judged += 1
      const change = changeOf(port.now.judge(kind, first), port.later.judge(laterKind, next))
      if (change !== undefined) changes.push({client, server: port.now.server, ...change})
    }
  }
  return {judged, breaks: changes.filter(({breaks}) => breaks).length, changes}
}

type Judged = Pick<CheckItem, 'verdict' | 'share' | 'cells'>

function changeOf(now: Judged, later: Judged): Omit<PairChange, 'client' | 'server'> | undefined {
  const breaks = later.share.fails > now.share.fails
  if (now.verdict === later.verdict && !breaks) return undefined
  const [worst] = later.cells
  const {reason = null, why = null, fix = null} = worst ?? {}
  return {from: now.verdict, to: later.verdict, breaks, reason, why, fix}
}

/** A sidecar is short-circuited with its pod's enrollment; a label of its own keeps that up afterwards. */
function captureAfter({capture, asksBypass}: CheckedPod, intent: boolean): PodCapture {
  const {sidecar, bypassed} = capture
  const stays = bypassed && asksBypass
  return {...capture, kmesh: intent, bypassed: sidecar && (intent || stays)}
}
