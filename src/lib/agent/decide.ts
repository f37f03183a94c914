// SPDX-License-Identifier: Apache-2.0
/** Should the agent capture this pod now? The mesh's rule, with what the option `existing-pods` adds. */
import {DATAPLANE_LABEL, decideEnrollment, isKmesh, type Labels} from '../model/enrollment.ts'
import type {Pod} from '../model/kube.ts'
import {isFinished} from './desired.ts'

/**
 * @param remembered - by uid, what the namespace asked for when the pod was first seen; that counts then instead
 *   of its label now, and a pod that is new is added. Undefined where namespace labels act live.
 */
export function decidePod(
  pod: Pod,
  uid: string,
  namespaceLabels: Labels,
  remembered: Map<string, boolean> | undefined,
): {readonly enroll: boolean; readonly rule: string} {
  const {enroll, rule} = decideEnrollment(pod, namespaceLabels)
  const labelled = isKmesh(namespaceLabels?.[DATAPLANE_LABEL])
  const first = remembered?.get(uid) ?? labelled
  remembered?.set(uid, first)
  const isByNamespace = rule === 'NamespaceLabel' || rule === 'NotLabelled'
  if (!isByNamespace || first === enroll) return {enroll: enroll && !isFinished(pod), rule}
  return {enroll: first && !isFinished(pod), rule: first ? 'NamespaceLabel' : 'StartedBefore'}
}
