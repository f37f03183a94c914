// SPDX-License-Identifier: Apache-2.0
/** The job of `interop status`: who is meant to have each pod's traffic, and who has it. */
import type {DaemonTarget} from '../model/api.ts'
import {type InteropItem, type InteropPod, interopNamespace, interopPod} from '../model/interop.ts'
import {type Namespace, type Pod, RESOURCES} from '../model/kube.ts'
import type {Capture} from '../model/plan.ts'
import {isLive} from '../model/plan-build.ts'
import {unreachableNode} from '../model/plan-node.ts'
import {
  compareText,
  type Report,
  type ReportError,
  type ReportSummary,
  reportErrorOf,
} from '../model/report.ts'
import type {AdminDialer, Clock, Kube} from '../ports.ts'
import {type Facts, gatherFacts, memoryFindings} from './enroll-facts.ts'

export interface InteropDeps {
  readonly kube: Kube
  readonly dialer: AdminDialer
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface InteropRequest {
  /** Undefined: all. */
  readonly namespace: string | undefined
  readonly selector: string | undefined
  readonly findDaemons: () => Promise<readonly DaemonTarget[]>
  readonly concurrency: number
}

/**
 * Namespaces and their live pods, in order. Daemons that do not answer are listed as errors and change no
 * exit status: what they would have told is null.
 *
 * @throws DeniedError, UnreachableError, KubeStatusError when the API server does not answer the lists.
 */
export async function interopStatus(
  deps: InteropDeps,
  request: InteropRequest,
): Promise<Report<InteropItem>> {
  const {namespace, selector} = request
  const [namespaces, list] = await Promise.all([
    readNamespaces(deps, namespace),
    deps.kube.list<Pod>({...RESOURCES.pods, namespace}, {labelSelector: selector, signal: deps.signal}),
  ])
  const pods = list.items.filter(isLive)
  const facts = await readFacts(deps, request, pods)
  const byName = new Map(namespaces.map((item) => [item.metadata.name ?? '', item]))
  const nowMs = deps.clock.nowMs()
  const views = pods.map((pod) =>
    interopPod(pod, byName.get(pod.metadata.namespace ?? ''), facts.byNode, nowMs),
  )
  const podsOf = Map.groupBy(views, (view) => view.namespace)
  const shown =
    selector === undefined ? namespaces : namespaces.filter((item) => podsOf.has(item.metadata.name ?? ''))
  const items = shown.sort(byMetadataName).flatMap((item): InteropItem[] => {
    const own = (podsOf.get(item.metadata.name ?? '') ?? []).sort((a, b) => compareText(a.name, b.name))
    return [interopNamespace(item, own), ...own]
  })
  return {
    kind: 'InteropStatus',
    summary: summaryOf(views, shown.length),
    items,
    errors: facts.errors,
    warnings: memoryFindings(facts.byNode),
  }
}

async function readNamespaces({kube, signal}: InteropDeps, name: string | undefined): Promise<Namespace[]> {
  if (name === undefined) return [...(await kube.list<Namespace>(RESOURCES.namespaces, {signal})).items]
  return [await kube.get<Namespace>({...RESOURCES.namespaces, name}, {signal})]
}

/** What the daemons of these pods' nodes tell; those that do not answer are findings, no failures. */
export async function readFacts(
  deps: InteropDeps,
  request: Pick<InteropRequest, 'findDaemons' | 'concurrency'>,
  pods: readonly Pod[],
): Promise<Pick<Facts, 'byNode' | 'errors'>> {
  const nodes = [...new Set(pods.map((pod) => pod.spec?.nodeName).filter((node) => node !== undefined))]
  const {dialer, clock, signal} = deps
  const {concurrency} = request
  let daemons: readonly DaemonTarget[]
  try {
    daemons = await request.findDaemons()
  } catch (thrown) {
    if (signal.aborted) throw thrown
    const byNode = new Map(nodes.map((node) => [node, unreachableNode(node)]))
    return {byNode, errors: [asFinding(reportErrorOf(thrown, {phase: 'find'}))]}
  }
  const facts = await gatherFacts({nodes, daemons, dialer, clock, concurrency, signal})
  return {byNode: facts.byNode, errors: facts.errors.map(asFinding)}
}

/** A status command has done its job when it says what it could not learn. */
function asFinding(error: ReportError): ReportError {
  return {...error, exitCode: 0}
}

function summaryOf(pods: readonly InteropPod[], namespaces: number): ReportSummary {
  const captures: Record<Capture | 'unknown', number> = {
    kmesh: 0,
    sidecar: 0,
    ambient: 0,
    none: 0,
    unknown: 0,
  }
  const states = {active: 0, pending: 0, stale: 0, conflict: 0, unknown: 0}
  for (const pod of pods) {
    captures[pod.capture ?? 'unknown'] += 1
    states[pod.state ?? 'unknown'] += 1
  }
  const ok = pods.length - states.unknown
  return {requested: pods.length, ok, failed: 0, skipped: states.unknown, namespaces, captures, states}
}

function byMetadataName(a: Namespace, b: Namespace): number {
  return compareText(a.metadata.name, b.metadata.name)
}
