// SPDX-License-Identifier: Apache-2.0
/** Who is meant to have a pod's traffic, who has it now, and how the two fit (design section 5). Pure. */
import type {EnrollmentEntry} from './api.ts'
import {type BypassNow, bypassNow} from './bypass-now.ts'
import {DATAPLANE_LABEL, decideEnrollment, hasSidecar, isAnnotatedCaptured, isKmesh} from './enrollment.ts'
import {intentAgeMs} from './interop-age.ts'
import {
  type CaptureCounts,
  countCaptures,
  type InteropCluster,
  type InteropService,
  type WorstState,
  worstOf,
} from './interop-sums.ts'
import {isPodReady, type Namespace, type Pod} from './kube.ts'
import type {Capture, CaptureSource} from './plan.ts'
import {absentNode, enrollsReadyPodsOnly, type FactsByNode, type NodeFacts} from './plan-node.ts'
import {type CaptureNow, captureNow} from './plan-pod.ts'
import {decideInjection, isAmbientCaptured, namespaceInjection, wantsAmbient} from './sidecar.ts'

export type InteropState = 'active' | 'pending' | 'stale' | 'conflict'

/** How old a change may be before a difference is no longer "on its way". */
export const PENDING_MS = 60_000

export interface SidecarView {
  /** The pod runs with a sidecar now; null for namespaces. */
  readonly injected: boolean | null
  /** Its next start brings one. */
  readonly nextStart: boolean
  readonly revision: string | null
  readonly rule: string
}

export interface InteropPod {
  readonly kind: 'Pod'
  readonly namespace: string
  readonly name: string
  readonly node: string | null
  readonly intent: Capture
  /** Rule of the intent. */
  readonly rule: string
  /** Null: not known. */
  readonly capture: Capture | null
  readonly source: CaptureSource
  /** Every data plane that says it has the pod; more than one is a conflict, unless Kmesh bypasses the sidecar. */
  readonly claims: readonly Capture[]
  readonly annotated: boolean
  readonly sidecar: SidecarView
  /** Short-circuit of its sidecar; null: neither wanted nor there. */
  readonly bypass: BypassNow | null
  /** Null: not known. */
  readonly state: InteropState | null
  readonly reason: string
  readonly intentAgeMs: number | null
}

export interface InteropNamespace extends WorstState {
  readonly kind: 'Namespace'
  readonly namespace: string
  readonly name: string
  readonly label: string | null
  readonly intent: Capture
  readonly sidecar: SidecarView
  readonly pods: CaptureCounts
}

export type InteropItem = InteropNamespace | InteropPod | InteropService | InteropCluster

/**
 * @param namespace - undefined where it could not be read; it then counts as unlabelled.
 * @param facts - of all nodes; a node that is not in it has no daemon.
 */
export function interopPod(
  pod: Pod,
  namespace: Namespace | undefined,
  facts: FactsByNode,
  nowMs: number,
): InteropPod {
  const nodeName = pod.spec?.nodeName ?? null
  const node = nodeName === null ? null : (facts.get(nodeName) ?? absentNode(nodeName))
  const view = lookAt(pod, namespace, node, nowMs)
  const injection = decideInjection(pod, pod.metadata.namespace ?? '', namespace?.metadata.labels)
  const {inject: nextStart, revision, rule} = injection
  return {
    kind: 'Pod',
    namespace: pod.metadata.namespace ?? '',
    name: pod.metadata.name ?? '',
    node: nodeName,
    intent: intentOf(pod, namespace, view),
    rule: view.rule,
    capture: view.capture,
    source: view.source,
    claims: claimsOf(pod, view.kmesh),
    annotated: view.annotated,
    sidecar: {injected: hasSidecar(pod.metadata.annotations), nextStart, revision, rule},
    bypass: view.bypass,
    ...stateOf(pod, view, node),
    intentAgeMs: view.ageMs,
  }
}

export function interopNamespace(namespace: Namespace, pods: readonly InteropPod[]): InteropNamespace {
  const {name = '', labels} = namespace.metadata
  const label = labels?.[DATAPLANE_LABEL] ?? null
  const {inject: nextStart, revision, rule} = namespaceInjection(name, labels)
  return {
    kind: 'Namespace',
    namespace: name,
    name,
    label,
    intent: namespaceIntent(label, nextStart),
    sidecar: {injected: null, nextStart, revision, rule},
    pods: countCaptures(pods),
    ...worstOf(pods),
  }
}

interface Look {
  readonly intent: boolean
  readonly rule: string
  readonly kmesh: boolean | null
  readonly source: CaptureSource
  readonly capture: Capture | null
  readonly annotated: boolean
  readonly bypass: BypassNow | null
  readonly ageMs: number | null
}

function lookAt(pod: Pod, namespace: Namespace | undefined, node: NodeFacts | null, nowMs: number): Look {
  const entry = node?.enrollment?.get(pod.metadata.uid ?? '')
  const policy = node?.sidecarPolicy ?? 'exclude'
  const asked = decideEnrollment(pod, namespace?.metadata.labels, policy, node?.rules)
  const {enroll: intent, rule} = untouchedDecision(asked, entry, node) ?? asked
  const annotated = isAnnotatedCaptured(pod.metadata.annotations)
  const ageMs = intentAgeMs({pod, namespace, entry, intent, nowMs})
  const now = captureNow(pod, node)
  const bypass = bypassNow(pod, namespace?.metadata.labels, node, now.kmesh)
  return {intent, rule, annotated, ageMs, bypass, ...now, capture: captureBeside(now, bypass)}
}

/** Without Kmesh a sidecar that is short-circuited leaves the traffic to nobody. */
function captureBeside({capture}: CaptureNow, bypass: BypassNow | null): Capture | null {
  if (capture !== 'sidecar' || bypass === null || bypass.active === false) return capture
  return bypass.active ? 'none' : null
}

const OF_NAMESPACE = ['NamespaceLabel', 'NotLabelled', 'StartedBefore']

/** An agent that leaves existing pods alone decided once for the pod: what its namespace says since is for new pods. */
function untouchedDecision(
  asked: {readonly enroll: boolean; readonly rule: string},
  entry: EnrollmentEntry | undefined,
  node: NodeFacts | null,
): {readonly enroll: boolean; readonly rule: string} | undefined {
  if (entry === undefined || node?.existingPods !== 'untouched') return undefined
  const ofNamespace = OF_NAMESPACE.includes(asked.rule) && OF_NAMESPACE.includes(entry.rule)
  if (!ofNamespace || entry.intent === asked.enroll) return undefined
  return {enroll: entry.intent, rule: 'StartedBefore'}
}

function intentOf(pod: Pod, namespace: Namespace | undefined, {intent, bypass}: Look): Capture {
  if (intent) return 'kmesh'
  if (hasSidecar(pod.metadata.annotations)) return bypass?.wanted ? 'none' : 'sidecar'
  return wantsAmbient(pod, namespace?.metadata.labels) ? 'ambient' : 'none'
}

function namespaceIntent(label: string | null, injects: boolean): Capture {
  if (isKmesh(label ?? undefined)) return 'kmesh'
  if (label === 'ambient') return 'ambient'
  return injects ? 'sidecar' : 'none'
}

function claimsOf(pod: Pod, kmesh: boolean | null): Capture[] {
  const {annotations} = pod.metadata
  const claims: Capture[] = kmesh === true ? ['kmesh'] : []
  if (hasSidecar(annotations)) claims.push('sidecar')
  if (isAmbientCaptured(annotations)) claims.push('ambient')
  return claims
}

function stateOf(
  pod: Pod,
  view: Look,
  node: NodeFacts | null,
): {readonly state: InteropState | null; readonly reason: string} {
  const claims = claimsOf(pod, view.kmesh)
  const {bypass} = view
  if (claims.length > 1 && !isShortCircuit(claims, bypass))
    return {state: 'conflict', reason: 'SeveralDataPlanes'}
  if (view.kmesh === null) return {state: null, reason: 'DaemonNotReady'}
  if (bypass !== null && bypass.active !== bypass.wanted) return bypassState(view, bypass)
  if (view.intent === view.kmesh) return annotationState(view)
  const reason = differenceReason(pod, view, node)
  const onItsWay = reason === 'NotReady' || isYoung(view.ageMs)
  return {state: onItsWay ? 'pending' : 'stale', reason}
}

/** Kmesh with a sidecar that is, or is about to be, out of the way. */
function isShortCircuit(claims: readonly Capture[], bypass: BypassNow | null): boolean {
  return claims.join() === 'kmesh,sidecar' && bypass !== null && bypass.wanted
}

/** Nothing brings about what is not supported: that is no matter of time. */
function bypassState(
  {ageMs}: Look,
  {wanted, active, reason}: BypassNow,
): {readonly state: InteropState | null; readonly reason: string} {
  if (active === null) return {state: null, reason: reason ?? 'BypassNotTold'}
  const isWaiting = isYoung(ageMs) && reason !== 'BypassUnsupported'
  return {
    state: isWaiting ? 'pending' : 'stale',
    reason: reason ?? (wanted ? 'NotBypassed' : 'StillBypassed'),
  }
}

/** Intent and kernel agree; the annotation may lag behind, or have been left. */
function annotationState(view: Look): {readonly state: InteropState; readonly reason: string} {
  if (!isToldByDaemon(view) || view.annotated === view.kmesh) return {state: 'active', reason: view.rule}
  return {state: isYoung(view.ageMs) ? 'pending' : 'stale', reason: 'AnnotationDiffers'}
}

function differenceReason(pod: Pod, view: Look, node: NodeFacts | null): string {
  if (node === null) return 'NotReady'
  if (node.daemon === 'absent') return 'NoDaemonOnNode'
  if (node.daemon !== 'ready') return 'DaemonNotReady'
  const up = enrollsReadyPodsOnly(node) ? isPodReady(pod) : pod.status?.phase === 'Running'
  if (view.intent && !(up && isPodReady(pod))) return 'NotReady'
  if (view.source === 'memory') return 'MemoryDiffers'
  return view.source === 'kernel' ? 'KernelDiffers' : 'AnnotationDiffers'
}

function isToldByDaemon({source}: Look): boolean {
  return source === 'kernel' || source === 'memory'
}

function isYoung(ageMs: number | null): boolean {
  return ageMs !== null && ageMs < PENDING_MS
}
