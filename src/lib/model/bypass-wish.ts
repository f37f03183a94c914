// SPDX-License-Identifier: Apache-2.0
/** Is a pod's sidecar to be short-circuited? Pure; what became of it is in model/bypass.ts. */
import {hasSidecar, type Labels, SIDECAR_BYPASS_LABEL} from './enrollment.ts'
import type {Pod} from './kube.ts'
import {decideInjection} from './sidecar.ts'

const BYPASS_LABEL_ON = 'enabled'

/** The pod's own label, whatever its value, beats the namespace's. */
export function isBypassAsked(podLabels: Labels, namespaceLabels: Labels): boolean {
  return (podLabels?.[SIDECAR_BYPASS_LABEL] ?? namespaceLabels?.[SIDECAR_BYPASS_LABEL]) === BYPASS_LABEL_ON
}

/** There is one, or its namespace or own settings inject one. */
export function hasOrGetsSidecar(pod: Pod, namespaceLabels: Labels): boolean {
  if (pod.spec?.hostNetwork === true) return false
  if (hasSidecar(pod.metadata.annotations)) return true
  return decideInjection(pod, pod.metadata.namespace ?? '', namespaceLabels).inject
}
