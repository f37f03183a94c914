// SPDX-License-Identifier: Apache-2.0
/** One port of a service, judged for one client after the other: its endpoints by kind, and what was found before. Pure. */
import type {IstioPolicies} from './client-tls.ts'
import type {
  CheckCell,
  CheckedEndpoint,
  CheckedPod,
  CheckedPort,
  CheckItem,
  CheckVerdict,
} from './interop-check.ts'
import {PAIR_TEXTS} from './pair-text.ts'
import {type PairServer, type PairVerdict, type PodCapture, pairVerdict} from './pair-verdict.ts'

export type Judged = Pick<CheckItem, 'verdict' | 'share' | 'cells'>

/** Endpoints for which every verdict is the same. */
interface EndpointKind {
  readonly server: PairServer
  count: number
  readonly examples: string[]
}

const EXAMPLES = 3
const NOBODY: PodCapture = {kmesh: false, sidecar: false, bypassed: false, ambient: false}

export class PortJudge {
  readonly server: CheckItem['server']
  private readonly port: CheckedPort
  private readonly policies: IstioPolicies | undefined
  private readonly kinds: readonly EndpointKind[]
  /** The endpoints of the whole service, one of each kind: a headless service is judged by all of them. */
  private readonly all: readonly PairServer[]
  private readonly known = new Map<string, Judged>()

  constructor(port: CheckedPort, policies: IstioPolicies | undefined) {
    this.port = port
    this.policies = policies
    const {namespace, name, service, endpoints, others} = port
    this.server = {namespace, name, port: port.port, direct: service === null}
    this.kinds = kindsOf(port, endpoints)
    this.all = [...this.kinds, ...kindsOf(port, others)].map(({server}) => server)
  }

  /** @param kind - clients of one kind get the same answer */
  judge(kind: string, client: CheckedPod): Judged {
    const known = this.known.get(kind)
    if (known !== undefined) return known
    const judged = this.judgeAnew(client)
    this.known.set(kind, judged)
    return judged
  }

  private judgeAnew(client: CheckedPod): Judged {
    const share = {works: 0, fails: 0, unknown: 0}
    const cells = new Map<string, {verdict: PairVerdict; count: number; examples: string[]}>()
    for (const {server, count, examples} of this.kinds) {
      const verdict = pairVerdict(this.policies, client, this.port.service, server, this.all)
      share[verdict.result] += count
      const key = JSON.stringify(verdict)
      const cell = cells.get(key) ?? {verdict, count: 0, examples: []}
      cells.set(key, cell)
      cell.count += count
      cell.examples.push(...examples.slice(0, EXAMPLES - cell.examples.length))
    }
    return {
      verdict: verdictOf(share),
      share,
      cells: [...cells.values()].map(cellOf).sort(byResult),
    }
  }
}

export function captureKey({kmesh, sidecar, bypassed, ambient}: PodCapture): string {
  return [kmesh, sidecar, bypassed, ambient].join()
}

function kindsOf(port: CheckedPort, endpoints: readonly CheckedEndpoint[]): EndpointKind[] {
  const kinds = new Map<string, EndpointKind>()
  for (const endpoint of endpoints) {
    const server = serverOf(port, endpoint)
    const key = serverKey(server)
    const kind = kinds.get(key) ?? {server, count: 0, examples: []}
    kinds.set(key, kind)
    kind.count += 1
    if (kind.examples.length < EXAMPLES) kind.examples.push(endpoint.pod?.name ?? endpoint.address)
  }
  return [...kinds.values()]
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
