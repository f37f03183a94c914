// SPDX-License-Identifier: Apache-2.0
/** Should the agent capture this pod now, and short-circuit its sidecar? The mesh's rule, with what options add. */
import type {SidecarPolicy} from '../model/api.ts'
import {hasOrGetsSidecar, isBypassAsked} from '../model/bypass-wish.ts'
import {DATAPLANE_LABEL, decideEnrollment, isKmesh} from '../model/enrollment.ts'
import type {Namespace, Pod} from '../model/kube.ts'
import {isFinished} from './desired.ts'
import type {Decisions} from './enroll-state.ts'

export interface PodDecision {
  readonly enroll: boolean
  readonly rule: string
  /** Its sidecar is to be short-circuited: where `enroll` is true too, before the kernel has the pod. */
  readonly bypass: boolean
}

/**
 * @param namespace - undefined counts as unlabelled, and is not remembered: it may only not be known yet
 * @param remembered - by uid, what the namespace asked for when the pod was first seen; that counts then instead
 *   of its label now, and a pod that is new is added. Undefined where namespace labels act live.
 */
export function decidePod(
  pod: Pod,
  uid: string,
  namespace: Namespace | undefined,
  remembered: Decisions | undefined,
  policy: SidecarPolicy,
): PodDecision {
  const {enroll, rule} = decideCapture(pod, uid, namespace, remembered, policy)
  if (isFinished(pod)) return {enroll: false, rule, bypass: false}
  const labels = namespace?.metadata.labels
  const isAsked = (enroll && policy === 'bypass') || isBypassAsked(pod.metadata.labels, labels)
  return {enroll, rule, bypass: isAsked && hasOrGetsSidecar(pod, labels)}
}

function decideCapture(
  pod: Pod,
  uid: string,
  namespace: Namespace | undefined,
  remembered: Decisions | undefined,
  policy: SidecarPolicy,
): {readonly enroll: boolean; readonly rule: string} {
  const labels = namespace?.metadata.labels
  const {enroll, rule} = decideEnrollment(pod, labels, policy)
  const labelled = isKmesh(labels?.[DATAPLANE_LABEL])
  const first = remembered?.get(uid) ?? labelled
  if (namespace !== undefined) remembered?.set(uid, first)
  const isByNamespace = rule === 'NamespaceLabel' || rule === 'NotLabelled'
  if (!isByNamespace || first === enroll) return {enroll, rule}
  return {enroll: first, rule: first ? 'NamespaceLabel' : 'StartedBefore'}
}
