// SPDX-License-Identifier: Apache-2.0
/**
 * Verdicts for groups of clients and ports of services: clients of one namespace that are alike for Istio and
 * Kmesh are one group, so that a cluster of any size is a table that can be read. Pure.
 */

import {captureKey, PortJudge} from './check-port.ts'
import type {CalledService, IstioPolicies} from './client-tls.ts'
import {hasSelector, selects} from './istio-policy.ts'
import type {ClientRow, PairVerdict, PodCapture, ServerColumn} from './pair-verdict.ts'
import {compareText} from './report.ts'

/** `depends`: some endpoints work and others do not. */
export type CheckVerdict = 'works' | 'unknown' | 'depends' | 'fails'
/** From good to bad. */
export const VERDICTS: readonly CheckVerdict[] = ['works', 'unknown', 'depends', 'fails']

export interface CheckedPod {
  readonly namespace: string
  readonly name: string
  /** `deployment/cart`, or the pod itself where nobody makes it again. */
  readonly workload: string
  readonly labels: Readonly<Record<string, string>>
  readonly capture: PodCapture
  /** A label of the pod or its namespace asks for a short-circuit of its sidecar. */
  readonly asksBypass: boolean
}

export interface CheckedEndpoint {
  /** Null: an address without a pod. */
  readonly pod: CheckedPod | null
  readonly address: string
  readonly targetPort: number
}

/** A port of a service; `service` null: a pod's own address. */
export interface CheckedPort {
  readonly namespace: string
  /** Name of the service, or of the pod. */
  readonly name: string
  readonly port: number
  readonly service: CalledService | null
  readonly endpoints: readonly CheckedEndpoint[]
  /** Of the same service, not asked about: a headless service is judged as a whole. */
  readonly others: readonly CheckedEndpoint[]
}

/** Endpoints that a client meets in the same way. */
export interface CheckCell {
  readonly row: ClientRow | null
  readonly column: ServerColumn | null
  readonly result: PairVerdict['result']
  readonly reason: PairVerdict['reason']
  readonly sent: PairVerdict['sent']
  readonly mtls: PairVerdict['mtls']
  readonly rule: string | null
  readonly why: string
  readonly fix: string | null
  readonly endpoints: number
  /** The first few, by name or address. */
  readonly examples: readonly string[]
}

export interface CheckItem {
  readonly client: {
    readonly namespace: string
    readonly pods: number
    readonly workloads: readonly string[]
  }
  readonly server: {
    readonly namespace: string
    readonly name: string
    readonly port: number
    readonly direct: boolean
  }
  readonly verdict: CheckVerdict
  /** Endpoints by result. */
  readonly share: {readonly works: number; readonly fails: number; readonly unknown: number}
  /** Worst first. */
  readonly cells: readonly CheckCell[]
}

/** What all pairs come to; `items` are those that were asked for. */
export interface CheckedPairs {
  /** Of every pair. */
  readonly verdicts: Readonly<Record<CheckVerdict, number>>
  /** Worst first; then by client and server. */
  readonly items: readonly CheckItem[]
}

/**
 * A cluster has millions of pairs and few kinds of them: each port is judged once for all clients that it cannot
 * tell apart, and only what is listed is kept.
 *
 * @param policies - undefined where they may not be read
 */
export function checkPairs(
  clients: readonly CheckedPod[],
  ports: readonly CheckedPort[],
  policies: IstioPolicies | undefined,
  isListed: (verdict: CheckVerdict) => boolean,
): CheckedPairs {
  const verdicts = {works: 0, unknown: 0, depends: 0, fails: 0}
  const found: Record<CheckVerdict, CheckItem[]> = {works: [], unknown: [], depends: [], fails: []}
  const judges = ports
    .filter(({endpoints}) => endpoints.length > 0)
    .sort(byPort)
    .map((port) => new PortJudge(port, policies))
  for (const {kind, first, pods} of clientGroups(clients, policies)) {
    const client = clientOf(first, pods)
    for (const judge of judges) {
      const judged = judge.judge(kind, first)
      const {verdict} = judged
      verdicts[verdict] += 1
      if (isListed(verdict)) found[verdict].push({client, server: judge.server, ...judged})
    }
  }
  return {verdicts, items: VERDICTS.toReversed().flatMap((verdict) => found[verdict])}
}

function byPort(a: CheckedPort, b: CheckedPort): number {
  return compareText(a.namespace, b.namespace) || compareText(a.name, b.name) || a.port - b.port
}

export interface ClientGroup<P extends CheckedPod = CheckedPod> {
  readonly key: string
  /** Groups of one kind meet every port alike, as long as they have the same capture. */
  readonly kind: string
  readonly first: P
  readonly pods: readonly P[]
}

/**
 * Alike: same namespace, same capture, chosen by the same DestinationRules. By namespace and workload.
 *
 * @param moreOf - what else sets clients apart
 */
export function clientGroups<P extends CheckedPod>(
  clients: readonly P[],
  policies: IstioPolicies | undefined,
  moreOf: (pod: P) => string = () => '',
): readonly ClientGroup<P>[] {
  const rules = policies?.destinationRules ?? []
  const selectors = rules.filter(({spec}) => hasSelector(spec?.workloadSelector))
  // Namespaces for which rules can differ from those for everybody.
  const special = new Set([
    policies?.mesh.rootNamespace,
    ...rules.flatMap(({metadata, spec}) => [metadata.namespace, ...(spec?.exportTo ?? [])]),
  ])
  const keyOf = (pod: P): string => {
    const {namespace, labels, capture} = pod
    const chosen = selectors.map(
      ({metadata, spec}) => metadata.namespace === namespace && selects(spec?.workloadSelector, labels),
    )
    return JSON.stringify([namespace, captureKey(capture), moreOf(pod), chosen])
  }
  const groups = [...Map.groupBy(clients, keyOf)].map(([key, pods]) => {
    const first = pods[0] as P
    const kind = special.has(first.namespace) ? key : captureKey(first.capture)
    const workload = pods.reduce(
      (least, {workload}) => (compareText(workload, least) < 0 ? workload : least),
      first.workload,
    )
    return {key, kind, first, pods, workload}
  })
  return groups.sort(
    (a, b) =>
      compareText(a.first.namespace, b.first.namespace) ||
      compareText(a.workload, b.workload) ||
      compareText(a.key, b.key),
  )
}

export function clientOf({namespace}: CheckedPod, pods: readonly CheckedPod[]): CheckItem['client'] {
  const workloads = [...new Set(pods.map(({workload}) => workload))].sort(compareText)
  return {namespace, pods: pods.length, workloads}
}
