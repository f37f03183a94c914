// SPDX-License-Identifier: Apache-2.0
/** What a pod is now and what it will be once the planned labels stand. */
import {
  decideEnrollment,
  type EnrollmentDecision,
  type EnrollmentObstacle,
  hasSidecar,
  isAnnotatedCaptured,
  type Labels,
  REDIRECTION_ANNOTATION,
} from './enrollment.ts'
import {isPodReady, type Pod} from './kube.ts'
import type {Capture, CaptureSource, PodPlan} from './plan.ts'
import {absentNode, enrollsReadyPodsOnly, type FactsByNode, type NodeFacts} from './plan-node.ts'
import {isAmbientCaptured} from './sidecar.ts'

/** Labels of pod and namespace, before and after. */
export interface LabelsAround {
  readonly podBefore: Labels
  readonly podAfter: Labels
  readonly namespaceBefore: Labels
  readonly namespaceAfter: Labels
  /** The redirection annotation goes with the label. */
  readonly unannotate?: boolean
}

/** @param facts - of all nodes; a node that is not in it has no daemon. */
export function planPod(pod: Pod, labels: LabelsAround, facts: FactsByNode): PodPlan {
  const nodeName = pod.spec?.nodeName ?? null
  const node = nodeName === null ? null : (facts.get(nodeName) ?? absentNode(nodeName))
  const before = decide(pod, labels.podBefore, labels.namespaceBefore, node)
  const later = labels.unannotate ? withoutRedirection(pod) : pod
  const after = decide(later, labels.podAfter, labels.namespaceAfter, node)
  const now = captureNow(pod, node)
  const obstacle = obstacleOf(pod, before, after, now.kmesh, node)
  const expected = obstacle === null ? after.enroll : now.kmesh
  return {
    namespace: pod.metadata.namespace ?? '',
    name: pod.metadata.name ?? '',
    uid: pod.metadata.uid ?? '',
    node: nodeName,
    now: {capture: now.capture, source: now.source, intent: before.enroll, rule: before.rule},
    after: {capture: captureWith(pod, expected), intent: after.enroll},
    reason: isPolicyUnknown(after, node) ? null : after.rule,
    obstacle,
    follow: obstacle === null && now.kmesh !== after.enroll,
  }
}

function withoutRedirection(pod: Pod): Pod {
  const {[REDIRECTION_ANNOTATION]: _claim, ...annotations} = pod.metadata.annotations ?? {}
  return {...pod, metadata: {...pod.metadata, annotations}}
}

export interface CaptureNow {
  /** Does Kmesh have the pod? Null: not known. */
  readonly kmesh: boolean | null
  readonly source: CaptureSource
  readonly capture: Capture | null
}

/**
 * Kernel before annotation: the map is the truth, the annotation a claim. A daemon that does not
 * answer may be about to write the annotation, so its absence then says nothing.
 */
export function captureNow(pod: Pod, node: NodeFacts | null): CaptureNow {
  const entry = node?.enrollment?.get(pod.metadata.uid ?? '')
  const annotated = isAnnotatedCaptured(pod.metadata.annotations)
  if (entry !== undefined) return capture(pod, entry.captured, node?.backend ?? 'kernel')
  if (annotated) return capture(pod, true, 'annotation')
  return node?.daemon === 'unreachable' ? capture(pod, null, 'none') : capture(pod, false, 'annotation')
}

function capture(pod: Pod, kmesh: boolean | null, source: CaptureSource): CaptureNow {
  return {kmesh, source, capture: captureWith(pod, kmesh)}
}

function captureWith(pod: Pod, kmesh: boolean | null): Capture | null {
  if (kmesh === true) return 'kmesh'
  if (hasSidecar(pod.metadata.annotations)) return 'sidecar'
  if (isAmbientCaptured(pod.metadata.annotations)) return 'ambient'
  return kmesh === null ? null : 'none'
}

function decide(
  pod: Pod,
  labels: Labels,
  namespaceLabels: Labels,
  node: NodeFacts | null,
): EnrollmentDecision {
  const {annotations} = pod.metadata
  const subject = {
    metadata: {...(labels ? {labels} : {}), ...(annotations ? {annotations} : {})},
    ...(pod.spec ? {spec: pod.spec} : {}),
  }
  return decideEnrollment(subject, namespaceLabels, node?.sidecarPolicy ?? 'exclude', node?.rules)
}

/** Only pods with a sidecar need the policy; where no daemon told it, nobody knows what would happen. */
function isPolicyUnknown(after: EnrollmentDecision, node: NodeFacts | null): boolean {
  return after.rule === 'SidecarPresent' && (node?.sidecarPolicy ?? null) === null
}

function obstacleOf(
  pod: Pod,
  before: EnrollmentDecision,
  after: EnrollmentDecision,
  kmesh: boolean | null,
  node: NodeFacts | null,
): EnrollmentObstacle | null {
  if (after.enroll === kmesh && !isPolicyUnknown(after, node)) return null
  if (node === null) return 'NotReady'
  if (node.daemon === 'absent') return 'NoDaemonOnNode'
  if (node.daemon !== 'ready') return 'DaemonNotReady'
  if (after.enroll && !isUp(pod, node)) return 'NotReady'
  return isUntouched(before, after, node) ? 'StartedBefore' : null
}

/** A daemon that leaves existing pods alone acts on pod labels only; a namespace's change is for new pods. */
function isUntouched(before: EnrollmentDecision, after: EnrollmentDecision, node: NodeFacts): boolean {
  return node.existingPods === 'untouched' && isOfNamespace(before) && isOfNamespace(after)
}

function isOfNamespace(decision: EnrollmentDecision): boolean {
  return decision.rule === 'NamespaceLabel' || decision.rule === 'NotLabelled'
}

function isUp(pod: Pod, node: NodeFacts): boolean {
  return enrollsReadyPodsOnly(node) ? isPodReady(pod) : pod.status?.phase === 'Running'
}
