// SPDX-License-Identifier: Apache-2.0
/** The job of `interop status`: who is meant to have each pod's traffic, and who has it. */
import type {DaemonTarget} from '../model/api.ts'
import {type InteropItem, type InteropPod, interopNamespace, interopPod} from '../model/interop.ts'
import {SERVICE_FIELDS, SLICE_FIELDS} from '../model/interop-fields.ts'
import {countCaptures, countStates, interopCluster, interopServices} from '../model/interop-sums.ts'
import {type EndpointSlice, type Namespace, type Pod, RESOURCES, type Service} from '../model/kube.ts'
import {isLive} from '../model/plan-build.ts'
import {unreachableNode} from '../model/plan-node.ts'
import {POD_FIELDS, PodProjection} from '../model/pod-projection.ts'
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

/** What a line of the answer is about; `pod` shows each namespace with its pods. */
export const INTEROP_VIEWS = ['pod', 'namespace', 'service', 'cluster'] as const
export type InteropBy = (typeof INTEROP_VIEWS)[number]

export interface InteropRequest {
  /** Undefined: all. */
  readonly namespace: string | undefined
  /** Of pods; of services where they are asked about. */
  readonly selector: string | undefined
  readonly by: InteropBy
  readonly findDaemons: () => Promise<readonly DaemonTarget[]>
  readonly concurrency: number
}

/**
 * Namespaces and their live pods, services, or the cluster, in order. Daemons that do not answer are listed as
 * errors and change no exit status: what they would have told is null.
 *
 * @throws DeniedError, UnreachableError, KubeStatusError when the API server does not answer the lists.
 */
export async function interopStatus(
  deps: InteropDeps,
  request: InteropRequest,
): Promise<Report<InteropItem>> {
  const {namespace, selector, by} = request
  const ofPods = by === 'service' ? undefined : selector
  const [namespaces, pods] = await Promise.all([
    readNamespaces(deps, namespace),
    readPods(deps, namespace, ofPods),
  ])
  // Not beside the pods: pages of several lists at once take 30 MB more.
  const services = by === 'service' ? await readServices(deps, namespace, selector) : undefined
  const facts = await readFacts(deps, request, pods)
  const byName = new Map(namespaces.map((item) => [item.metadata.name ?? '', item]))
  const nowMs = deps.clock.nowMs()
  const views = pods.map((pod) =>
    interopPod(pod, byName.get(pod.metadata.namespace ?? ''), facts.byNode, nowMs),
  )
  const podsOf = Map.groupBy(views, (view) => view.namespace)
  const shown =
    ofPods === undefined ? namespaces : namespaces.filter((item) => podsOf.has(item.metadata.name ?? ''))
  const items =
    services !== undefined
      ? serviceItems(services.services, services.slices, views)
      : by === 'cluster'
        ? [interopCluster(views, shown.length)]
        : namespaceItems(shown, podsOf, by === 'pod')
  return {
    kind: 'InteropStatus',
    summary: summaryOf(views, shown.length, services?.services.length),
    items,
    errors: facts.errors,
    warnings: memoryFindings(facts.byNode),
  }
}

/** Namespaces in order, each before its pods. */
export function namespaceItems(
  namespaces: readonly Namespace[],
  podsOf: ReadonlyMap<string, InteropPod[]>,
  withPods: boolean,
): InteropItem[] {
  const items: InteropItem[] = []
  for (const namespace of namespaces.toSorted(byMetadataName)) {
    const own = podsOf.get(namespace.metadata.name ?? '') ?? []
    own.sort((a, b) => compareText(a.name, b.name))
    items.push(interopNamespace(namespace, own))
    if (withPods) for (const pod of own) items.push(pod)
  }
  return items
}

/** Services in order. */
export function serviceItems(
  services: readonly Service[],
  slices: readonly EndpointSlice[],
  pods: readonly InteropPod[],
): InteropItem[] {
  return interopServices(services.toSorted(byKey), slices, pods)
}

/** Live pods, reduced to what interop looks at. */
export async function readPods(
  {kube, signal}: Pick<InteropDeps, 'kube' | 'signal'>,
  namespace: string | undefined,
  labelSelector?: string,
): Promise<readonly Pod[]> {
  const {project} = new PodProjection()
  const path = {...RESOURCES.pods, namespace}
  const {items} = await kube.list<Pod>(path, {labelSelector, signal, fields: POD_FIELDS, project})
  return items.filter(isLive)
}

async function readServices(
  {kube, signal}: InteropDeps,
  namespace: string | undefined,
  labelSelector: string | undefined,
): Promise<{readonly services: readonly Service[]; readonly slices: readonly EndpointSlice[]}> {
  const [services, slices] = await Promise.all([
    kube.list<Service>({...RESOURCES.services, namespace}, {labelSelector, signal, fields: SERVICE_FIELDS}),
    kube.list<EndpointSlice>({...RESOURCES.endpointslices, namespace}, {signal, fields: SLICE_FIELDS}),
  ])
  return {services: services.items, slices: slices.items}
}

export async function readNamespaces(
  {kube, signal}: InteropDeps,
  name: string | undefined,
): Promise<Namespace[]> {
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

function summaryOf(
  pods: readonly InteropPod[],
  namespaces: number,
  services: number | undefined,
): ReportSummary {
  const captures = countCaptures(pods)
  const states = countStates(pods)
  const ok = pods.length - states.unknown
  const counted = services === undefined ? {} : {services}
  return {
    requested: pods.length,
    ok,
    failed: 0,
    skipped: states.unknown,
    namespaces,
    ...counted,
    captures,
    states,
  }
}

function byMetadataName(a: Namespace, b: Namespace): number {
  return compareText(a.metadata.name, b.metadata.name)
}

function byKey(a: Service, b: Service): number {
  const {metadata: one} = a
  const {metadata: other} = b
  return compareText(one.namespace, other.namespace) || compareText(one.name, other.name)
}
