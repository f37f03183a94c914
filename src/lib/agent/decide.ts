// SPDX-License-Identifier: Apache-2.0
/** Should the agent capture this pod now? The mesh's rule, with what the option `existing-pods` adds. */
import {DATAPLANE_LABEL, decideEnrollment, isKmesh} from '../model/enrollment.ts'
import type {Namespace, Pod} from '../model/kube.ts'
import {isFinished} from './desired.ts'
import type {Decisions} from './enroll-state.ts'

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
): {readonly enroll: boolean; readonly rule: string} {
  const labels = namespace?.metadata.labels
  const {enroll, rule} = decideEnrollment(pod, labels)
  const labelled = isKmesh(labels?.[DATAPLANE_LABEL])
  const first = remembered?.get(uid) ?? labelled
  if (namespace !== undefined) remembered?.set(uid, first)
  const isByNamespace = rule === 'NamespaceLabel' || rule === 'NotLabelled'
  if (!isByNamespace || first === enroll) return {enroll: enroll && !isFinished(pod), rule}
  return {enroll: first && !isFinished(pod), rule: first ? 'NamespaceLabel' : 'StartedBefore'}
}
