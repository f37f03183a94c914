// SPDX-License-Identifier: Apache-2.0
/** Is this pod in the mesh? One pure rule for CLI, agent and CNI (design section 4, contracts 6.1). */
import type {SidecarPolicy} from './api.ts'
import type {EnrollmentRuleSet} from './dialect.ts'
import type {ObjectMeta, Pod} from './kube.ts'

export const DATAPLANE_LABEL = 'istio.io/dataplane-mode'
export const DATAPLANE_KMESH = 'kmesh'
export const DATAPLANE_NONE = 'none'
/** What a daemon writes once the kernel has the pod. */
export const REDIRECTION_ANNOTATION = 'kmesh.net/redirection'
export const REDIRECTION_ENABLED = 'enabled'
export const SIDECAR_STATUS_ANNOTATION = 'sidecar.istio.io/status'
/** Label that asks for a sidecar to be short-circuited, without enrolling the pod. */
export const SIDECAR_BYPASS_LABEL = 'kmesh.net/bypass'
export const AMBIENT_REDIRECTION_ANNOTATION = 'ambient.istio.io/redirection'
const GATEWAY_MANAGED_LABEL = 'gateway.istio.io/managed'
const MESH_CONTROLLER = 'istio.io-mesh-controller'

/** Codes of the rule itself; `Annotation` is one of v0.4 only. */
export type EnrollmentRule =
  | 'HostNetwork'
  | 'ManagedGateway'
  | 'SidecarPresent'
  | 'PodLabelKmesh'
  | 'PodLabelNone'
  | 'Annotation'
  | 'NamespaceLabel'
  | 'NotLabelled'

/** Codes for "the rule says yes and it still does not happen". */
export type EnrollmentObstacle =
  | 'NotReady'
  | 'NoDaemonOnNode'
  | 'DaemonNotReady'
  | 'StartedBefore'
  | 'BypassUnsupported'

export interface EnrollmentDecision {
  readonly enroll: boolean
  readonly rule: EnrollmentRule
}

/** What the rule looks at; a whole pod fits. */
export interface EnrollmentSubject {
  readonly metadata: Pick<ObjectMeta, 'labels' | 'annotations'>
  readonly spec?: Pick<NonNullable<Pod['spec']>, 'hostNetwork'>
}

export type Labels = Readonly<Record<string, string>> | undefined

/**
 * First match wins.
 *
 * @param namespaceLabels - labels of the pod's namespace; undefined counts as unlabelled.
 * @param sidecarPolicy - of the daemon on the pod's node; a planner never assumes it.
 * @param rules - of that daemon's dialect.
 */
export function decideEnrollment(
  pod: EnrollmentSubject,
  namespaceLabels: Labels,
  sidecarPolicy: SidecarPolicy = 'exclude',
  rules: EnrollmentRuleSet = 'standard',
): EnrollmentDecision {
  if (rules === 'v0.4') return decideV04(pod, namespaceLabels)
  const {labels, annotations} = pod.metadata
  if (pod.spec?.hostNetwork === true) return no('HostNetwork')
  if (labels?.[GATEWAY_MANAGED_LABEL]?.toLowerCase() === MESH_CONTROLLER) return no('ManagedGateway')
  if (sidecarPolicy === 'exclude' && hasSidecar(annotations)) return no('SidecarPresent')
  const own = labels?.[DATAPLANE_LABEL]
  if (isKmesh(own)) return {enroll: true, rule: 'PodLabelKmesh'}
  if (own === DATAPLANE_NONE) return no('PodLabelNone')
  return isKmesh(namespaceLabels?.[DATAPLANE_LABEL])
    ? {enroll: true, rule: 'NamespaceLabel'}
    : no('NotLabelled')
}

/** v0.4: label of the pod, its annotation, or label of the namespace; nothing opts out (contracts 6.1). */
function decideV04({metadata}: EnrollmentSubject, namespaceLabels: Labels): EnrollmentDecision {
  if (isKmesh(metadata.labels?.[DATAPLANE_LABEL])) return {enroll: true, rule: 'PodLabelKmesh'}
  if (isAnnotatedCaptured(metadata.annotations)) return {enroll: true, rule: 'Annotation'}
  return isKmesh(namespaceLabels?.[DATAPLANE_LABEL])
    ? {enroll: true, rule: 'NamespaceLabel'}
    : no('NotLabelled')
}

/** `kmesh` in any case. */
export function isKmesh(value: string | undefined): boolean {
  return value?.toLowerCase() === DATAPLANE_KMESH
}

/** A value that looks like an opt-out and is none: the rule knows exactly `none`. */
export function isLabelCaseTrap(value: string | undefined): boolean {
  return value !== undefined && value !== DATAPLANE_NONE && value.toLowerCase() === DATAPLANE_NONE
}

export function hasSidecar(annotations: Labels): boolean {
  return annotations?.[SIDECAR_STATUS_ANNOTATION] !== undefined
}

export function isAnnotatedCaptured(annotations: Labels): boolean {
  return annotations?.[REDIRECTION_ANNOTATION] === REDIRECTION_ENABLED
}

function no(rule: EnrollmentRule): EnrollmentDecision {
  return {enroll: false, rule}
}
