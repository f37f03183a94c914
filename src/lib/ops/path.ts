// SPDX-License-Identifier: Apache-2.0
/** The job of `path`: what becomes of a connection from this pod to that service or address, made now. */
import {isIP} from 'node:net'
import {KmeshError} from '../errors.ts'
import type {DaemonTarget} from '../model/api.ts'
import {memoryWarnings} from '../model/backend.ts'
import {checkedPod, type LabelsByNamespace} from '../model/check-cluster.ts'
import {hasSidecar} from '../model/enrollment.ts'
import {interopPod} from '../model/interop.ts'
import {DEFAULT_MESH} from '../model/istio-policy.ts'
import {type Namespace, type Pod, RESOURCES} from '../model/kube.ts'
import {type PathItem, pathOf} from '../model/path.ts'
import type {PathAddress} from '../model/path-connect.ts'
import {
  addressFamily,
  byAddress,
  clusterAddresses,
  type PathKube,
  type PathPod,
  pathPod,
  pathService,
} from '../model/path-kube.ts'
import type {NamedObject, PathSubject} from '../model/path-subject.ts'
import {type TracedConnection, traceOf} from '../model/path-trace.ts'
import {isLive} from '../model/plan-build.ts'
import {type Report, type ReportError, type ReportWarning, reportErrorOf} from '../model/report.ts'
import {REVISION_LABEL} from '../model/sidecar.ts'
import type {AdminDialer, Clock, Kube} from '../ports.ts'
import {type Facts, gatherFacts} from './enroll-facts.ts'
import {readPolicies} from './istio-policies.ts'
import {type Destination, findDestination, podsAt} from './path-destination.ts'
import {type KernelView, kernelOf} from './path-kernel.ts'

export interface PathDeps {
  readonly kube: Kube
  readonly dialer: AdminDialer
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface PathRequest {
  readonly client: NamedObject
  readonly subject: PathSubject
  /** Undefined: the client's primary one, then its other. */
  readonly family: 4 | 6 | undefined
  readonly findDaemons: () => Promise<readonly DaemonTarget[]>
  readonly concurrency: number
}

/**
 * One item an address: several for a headless service. Only the daemon of the client's node is read, and, where
 * servers have sidecars, the daemons of their nodes are asked who has their traffic. A kernel that could not be
 * read is an error beside items that say what Kubernetes knows.
 *
 * @throws KmeshError `NotScheduled`, `NoServiceAddress`, `NoReadyEndpoints`; KubeStatusError 404; UsageError; DeniedError
 */
export async function findPath(deps: PathDeps, request: PathRequest): Promise<Report<PathItem>> {
  const {kube, signal} = deps
  const {namespace, name} = request.client
  const [pod, namespaceObject] = await Promise.all([
    kube.get<Pod>({...RESOURCES.pods, namespace, name}, {signal}),
    kube.get<Namespace>({...RESOURCES.namespaces, name: namespace}, {signal}),
  ])
  const node = nodeOf(pod)
  const {subject, family} = request
  const destination = await findDestination(kube, {subject, family, clientFamilies: familiesOf(pod), signal})
  const facts = await askNodes(deps, request, node, [pod, ...destination.pods])
  const hasEnvoy = [pod, ...destination.pods].some(({metadata}) => hasSidecar(metadata.annotations))
  const {policies, warnings} = hasEnvoy
    ? await readPolicies(kube, signal, namespaceObject.metadata.labels?.[REVISION_LABEL] !== undefined)
    : NO_ENVOY
  const {intent, rule} = interopPod(pod, namespaceObject, facts.byNode, deps.clock.nowMs())
  const own = facts.byNode.get(node)
  const context = {pod, node, facts: own, admin: facts.admins.get(node), signal}
  const kernels = new Map<PathAddress, KernelView>()
  for (const at of destination.addresses) {
    kernels.set(at, await kernelOf(context, at.address, {intent: intent === 'kmesh', rule}))
  }
  const others = await strangers(deps, destination, kernels)
  const shown = [...destination.pods, ...others]
  const labels = await namespaceLabels(deps, namespaceObject, shown)
  const pods = shown.map((one) => pathPod(one, checkedPod(one, facts.byNode, labels)))
  const {clusterDomain} = policies?.mesh ?? DEFAULT_MESH
  const items = [...kernels].map(([at, kernel]) =>
    pathOf({
      client: checkedPod(pod, facts.byNode, labels),
      node,
      destination: at,
      kube: kubeAt(destination, pods, at, clusterDomain),
      policies,
      ...kernel,
    }),
  )
  const memory = memoryWarnings(own?.backend === 'memory' ? [node] : [], 'no connect is redirected there')
  return reportOf(items, errorsOf(facts, kernels, node), [...warnings, ...memory])
}

/** Of the client's namespace, and of those whose pods have sidecars that a label there may short-circuit. */
async function namespaceLabels(
  {kube, signal}: PathDeps,
  known: Namespace,
  pods: readonly Pod[],
): Promise<LabelsByNamespace> {
  const withSidecars = pods.filter(({metadata}) => hasSidecar(metadata.annotations))
  const names = new Set(withSidecars.map(({metadata}) => metadata.namespace ?? ''))
  names.delete(known.metadata.name ?? '')
  const others = await Promise.all(
    [...names].map((name) => kube.get<Namespace>({...RESOURCES.namespaces, name}, {signal})),
  )
  return new Map([known, ...others].map(({metadata}) => [metadata.name ?? '', metadata.labels]))
}

const NO_ENVOY = {policies: {mesh: DEFAULT_MESH, peerAuthentications: [], destinationRules: []}, warnings: []}

/** Something stale, missing or different was found, connections fail, or real ones went elsewhere. */
export function hasPathFindings({items}: Report<PathItem>): boolean {
  return items.some(
    ({findings, verdict, trace}) =>
      findings.length > 0 || verdict === 'fails' || verdict === 'depends' || trace?.agrees === false,
  )
}

/** Connects for real, from the client to where it was asked to go. */
export type Connect = (item: PathItem) => Promise<readonly TracedConnection[]>

/** Each item with what real connections did. */
export async function withTrace(report: Report<PathItem>, connect: Connect): Promise<Report<PathItem>> {
  const items: PathItem[] = []
  for (const item of report.items) items.push({...item, trace: traceOf(item.ways, await connect(item))})
  return {...report, items}
}

function nodeOf(pod: Pod): string {
  const {namespace, name} = pod.metadata
  if (!isLive(pod)) throw new KmeshError(`pod ${namespace}/${name} is over or ending`, {code: 'NotRunning'})
  if (pod.spec?.nodeName) return pod.spec.nodeName
  throw new KmeshError(`pod ${namespace}/${name} is on no node yet`, {code: 'NotScheduled'})
}

function familiesOf(pod: Pod): readonly (4 | 6)[] {
  const addresses = pod.status?.podIPs?.map(({ip}) => ip) ?? []
  return [...new Set(addresses.filter((ip) => isIP(ip) !== 0).map(addressFamily))]
}

/** The client's node, and those of sidecars: who has such a server's traffic is known there only. */
async function askNodes(
  {dialer, clock, signal}: PathDeps,
  {findDaemons, concurrency}: PathRequest,
  node: string,
  pods: readonly Pod[],
): Promise<Facts> {
  const envoys = pods.filter(({metadata}) => hasSidecar(metadata.annotations))
  const nodes = [node, ...envoys.flatMap(({spec}) => spec?.nodeName ?? [])]
  return gatherFacts({nodes, daemons: await findDaemons(), dialer, clock, concurrency, signal})
}

/** Pods elsewhere that have an address which the kernel still takes for an endpoint's. */
async function strangers(
  {kube, signal}: PathDeps,
  {pods}: Destination,
  kernels: ReadonlyMap<PathAddress, KernelView>,
): Promise<readonly Pod[]> {
  const known = new Set(
    pods.flatMap(({status}) => [status?.podIP, ...(status?.podIPs ?? []).map(({ip}) => ip)]),
  )
  const backends = [...kernels.values()].flatMap(({tables}) => [...(tables?.backends.values() ?? [])])
  const addresses = new Set(backends.flatMap(({address}) => address ?? []).filter((one) => !known.has(one)))
  return podsAt(kube, addresses, signal)
}

function kubeAt(
  {service, slices}: Destination,
  pods: readonly PathPod[],
  at: PathAddress,
  clusterDomain: string,
): PathKube {
  const podsByAddress = byAddress(pods)
  const said = service === null ? null : pathService(service, slices, at, clusterDomain)
  const isItsAddress = service !== null && clusterAddresses(service).includes(at.address)
  return {
    service: isItsAddress ? said : null,
    headless: isItsAddress ? null : said,
    pod: isItsAddress ? null : (podsByAddress.get(at.address) ?? null),
    podsByAddress,
  }
}

/** What the client's node could not tell is why this failed; other nodes only made verdicts unknown. */
function errorsOf(
  facts: Facts,
  kernels: ReadonlyMap<PathAddress, KernelView>,
  node: string,
): readonly ReportError[] {
  const thrown = [...kernels.values()].find(({error}) => error !== undefined)?.error
  const own = thrown === undefined ? [] : [reportErrorOf(thrown, {node})]
  return [...facts.errors.map((error) => (error.node === node ? error : {...error, exitCode: 0})), ...own]
}

function reportOf(
  items: readonly PathItem[],
  errors: readonly ReportError[],
  warnings: readonly ReportWarning[],
): Report<PathItem> {
  const failed = errors.some(({exitCode}) => exitCode !== 0) ? items.length : 0
  const summary = {requested: items.length, ok: items.length - failed, failed, skipped: 0}
  return {kind: 'PathList', summary, items, errors, warnings}
}
