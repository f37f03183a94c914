// SPDX-License-Identifier: Apache-2.0
/**
 * Will Istio inject a sidecar when this pod starts? Decided from labels alone first (that is all the
 * webhook's selectors see), then from the pod's wish. Is it injected now is another question: the
 * annotation `sidecar.istio.io/status` answers it, see model/enrollment.ts.
 */
import {
  AMBIENT_REDIRECTION_ANNOTATION,
  DATAPLANE_LABEL,
  DATAPLANE_NONE,
  type EnrollmentSubject,
  hasSidecar,
  type Labels,
} from './enrollment.ts'

export const INJECTION_LABEL = 'istio-injection'
export const REVISION_LABEL = 'istio.io/rev'
/** Label, and for old pods annotation, with which a pod says `true` or `false` for itself. */
export const INJECT_LABEL = 'sidecar.istio.io/inject'
export const DEFAULT_REVISION = 'default'
const DATAPLANE_AMBIENT = 'ambient'

/** Istio's injector refuses these whatever they are labelled; istio-system is not among them. */
const NEVER_INJECTED = ['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage']

export type InjectionRule =
  | 'HostNetwork'
  | 'SystemNamespace'
  | 'NamespaceInjectionOff'
  | 'NamespaceInjection'
  | 'NamespaceRevision'
  | 'PodRevision'
  | 'PodInject'
  | 'NamespacesByDefault'
  | 'PodInjectFalse'
  | 'AnnotationInjectFalse'
  | 'RevisionNotServed'
  | 'NotSelected'

export interface InjectionDecision {
  readonly inject: boolean
  readonly rule: InjectionRule
  /** Revision that injects; null where none does. */
  readonly revision: string | null
}

/** What is not in the labels. Until somebody reads the webhooks, every revision counts as served. */
export interface InjectorSettings {
  readonly servedRevisions?: ReadonlySet<string> | undefined
  /** Helm value `enableNamespacesByDefault`. */
  readonly namespacesByDefault?: boolean | undefined
}

/** What happens at the pod's next start; `namespace` is its namespace's name. */
export function decideInjection(
  pod: EnrollmentSubject,
  namespace: string,
  namespaceLabels: Labels,
  settings: InjectorSettings = {},
): InjectionDecision {
  if (pod.spec?.hostNetwork === true) return never('HostNetwork')
  if (NEVER_INJECTED.includes(namespace)) return never('SystemNamespace')
  const selected = selectRevision(pod.metadata.labels, namespaceLabels, settings)
  if (!selected.inject) return selected
  if (settings.servedRevisions?.has(selected.revision ?? '') === false) return never('RevisionNotServed')
  // A label beats the annotation as soon as its key is there, even empty; anything but `false` leaves it at yes.
  const {labels, annotations} = pod.metadata
  const refused = labels?.[INJECT_LABEL] === undefined && annotations?.[INJECT_LABEL] === 'false'
  return refused ? never('AnnotationInjectFalse') : selected
}

/** Does the namespace ask for sidecars in its pods? */
export function namespaceInjection(namespace: string, labels: Labels): InjectionDecision {
  return decideInjection({metadata: {}}, namespace, labels)
}

/** True where Istio's ambient data plane holds the pod now. */
export function isAmbientCaptured(annotations: Labels): boolean {
  return annotations?.[AMBIENT_REDIRECTION_ANNOTATION] === 'enabled'
}

/** Do the labels ask for ambient? Its CNI leaves out pods with a sidecar, host network or label `none`. */
export function wantsAmbient(pod: EnrollmentSubject, namespaceLabels: Labels): boolean {
  if (pod.spec?.hostNetwork === true || hasSidecar(pod.metadata.annotations)) return false
  const own = pod.metadata.labels?.[DATAPLANE_LABEL]
  if (own === DATAPLANE_NONE) return false
  return own === DATAPLANE_AMBIENT || namespaceLabels?.[DATAPLANE_LABEL] === DATAPLANE_AMBIENT
}

function selectRevision(
  podLabels: Labels,
  namespaceLabels: Labels,
  settings: InjectorSettings,
): InjectionDecision {
  const injection = namespaceLabels?.[INJECTION_LABEL]
  const wish = podLabels?.[INJECT_LABEL]
  if (injection !== undefined && injection !== 'enabled') return never('NamespaceInjectionOff')
  if (wish === 'false') return never('PodInjectFalse')
  if (injection === 'enabled') return by('NamespaceInjection', DEFAULT_REVISION)
  const namespaceRevision = namespaceLabels?.[REVISION_LABEL]
  if (namespaceRevision !== undefined) return by('NamespaceRevision', namespaceRevision)
  const podRevision = podLabels?.[REVISION_LABEL]
  if (podRevision !== undefined) return by('PodRevision', podRevision)
  if (wish === 'true') return by('PodInject', DEFAULT_REVISION)
  const byDefault = settings.namespacesByDefault === true && wish === undefined
  return byDefault ? by('NamespacesByDefault', DEFAULT_REVISION) : never('NotSelected')
}

function by(rule: InjectionRule, revision: string): InjectionDecision {
  return {inject: true, rule, revision}
}

function never(rule: InjectionRule): InjectionDecision {
  return {inject: false, rule, revision: null}
}
