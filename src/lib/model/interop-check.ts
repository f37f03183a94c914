// SPDX-License-Identifier: Apache-2.0
/**
 * Verdicts for groups of clients and ports of services: clients of one namespace that are alike for Istio and
 * Kmesh are one group, so that a cluster of any size is a table that can be read. Pure.
 */
import type {CalledService, IstioPolicies} from './client-tls.ts'
import {hasSelector, selects} from './istio-policy.ts'
import {PAIR_TEXTS} from './pair-text.ts'
import {
  type ClientRow,
  type PairServer,
  type PairVerdict,
  type PodCapture,
  pairVerdict,
  type ServerColumn,
} from './pair-verdict.ts'
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

const EXAMPLES = 3
const NOBODY: PodCapture = {kmesh: false, sidecar: false, bypassed: false, ambient: false}

/** @param policies - undefined where they may not be read */
export function* checkPairs(
  clients: readonly CheckedPod[],
  ports: readonly CheckedPort[],
  policies: IstioPolicies | undefined,
): Generator<CheckItem> {
  const groups = [...clientGroups(clients, policies).values()]
  for (const group of groups) {
    for (const port of ports) if (port.endpoints.length > 0) yield checkItem(group, port, policies)
  }
}

interface ClientGroup {
  readonly first: CheckedPod
  readonly pods: readonly CheckedPod[]
}

/** Alike: same namespace, same capture, and chosen by the same DestinationRules. */
function clientGroups(
  clients: readonly CheckedPod[],
  policies: IstioPolicies | undefined,
): ReadonlyMap<string, ClientGroup> {
  const selectors = (policies?.destinationRules ?? []).filter(({spec}) => hasSelector(spec?.workloadSelector))
  const keyOf = ({namespace, labels, capture}: CheckedPod): string => {
    const chosen = selectors.map(
      ({metadata, spec}) => metadata.namespace === namespace && selects(spec?.workloadSelector, labels),
    )
    return JSON.stringify([namespace, captureKey(capture), chosen])
  }
  const byKey = Map.groupBy(clients, keyOf)
  return new Map(
    [...byKey]
      .sort(([a], [b]) => compareText(a, b))
      .map(([key, pods]) => [key, {first: pods[0] as CheckedPod, pods}]),
  )
}

function captureKey({kmesh, sidecar, bypassed, ambient}: PodCapture): string {
  return [kmesh, sidecar, bypassed, ambient].join()
}

function checkItem(group: ClientGroup, port: CheckedPort, policies: IstioPolicies | undefined): CheckItem {
  const {first, pods} = group
  const servers = port.endpoints.map((endpoint) => serverOf(port, endpoint))
  const all = [...servers, ...port.others.map((endpoint) => serverOf(port, endpoint))]
  const share = {works: 0, fails: 0, unknown: 0}
  const cells = new Map<string, {verdict: PairVerdict; count: number; examples: string[]}>()
  // Endpoints of one workload are alike: each kind is judged once.
  const known = new Map<string, PairVerdict>()
  for (const [index, endpoint] of port.endpoints.entries()) {
    const server = servers[index] as PairServer
    const kind = serverKey(server)
    const verdict = known.get(kind) ?? pairVerdict(policies, first, port.service, server, all)
    known.set(kind, verdict)
    share[verdict.result] += 1
    const key = JSON.stringify(verdict)
    const cell = cells.get(key) ?? {verdict, count: 0, examples: []}
    cells.set(key, cell)
    cell.count += 1
    if (cell.examples.length < EXAMPLES) cell.examples.push(endpoint.pod?.name ?? endpoint.address)
  }
  return {
    client: {namespace: first.namespace, pods: pods.length, workloads: workloadsOf(pods)},
    server: {namespace: port.namespace, name: port.name, port: port.port, direct: port.service === null},
    verdict: verdictOf(share),
    share,
    cells: [...cells.values()].map(cellOf).sort(byResult),
  }
}

function serverOf({namespace}: CheckedPort, {pod, targetPort}: CheckedEndpoint): PairServer {
  return {
    namespace: pod?.namespace ?? namespace,
    labels: pod?.labels,
    targetPort,
    capture: pod?.capture ?? NOBODY,
  }
}

/** What a verdict depends on. */
function serverKey({namespace, labels, targetPort, capture}: PairServer): string {
  return JSON.stringify([namespace, labels ?? null, targetPort, captureKey(capture)])
}

function workloadsOf(pods: readonly CheckedPod[]): readonly string[] {
  return [...new Set(pods.map(({workload}) => workload))].sort(compareText)
}

function verdictOf({works, fails, unknown}: CheckItem['share']): CheckVerdict {
  if (fails > 0) return works + unknown === 0 ? 'fails' : 'depends'
  return unknown > 0 ? 'unknown' : 'works'
}

function cellOf({
  verdict,
  count,
  examples,
}: {
  verdict: PairVerdict
  count: number
  examples: string[]
}): CheckCell {
  return {...verdict, ...PAIR_TEXTS[verdict.reason], endpoints: count, examples}
}

const WORST_FIRST: readonly PairVerdict['result'][] = ['fails', 'unknown', 'works']

function byResult(a: CheckCell, b: CheckCell): number {
  return WORST_FIRST.indexOf(a.result) - WORST_FIRST.indexOf(b.result) || b.endpoints - a.endpoints
}
