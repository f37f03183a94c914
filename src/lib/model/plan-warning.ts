// SPDX-License-Identifier: Apache-2.0
/** What an operator should know before a plan is carried out. */
import {
  DATAPLANE_LABEL,
  DATAPLANE_NONE,
  isKmesh,
  isLabelCaseTrap,
  REDIRECTION_ANNOTATION,
} from './enrollment.ts'
import type {KubeObject, Namespace, Pod} from './kube.ts'
import type {LabelChange, PlanAction, PlanWarning, PlanWarningCode, PodPlan} from './plan.ts'
import {appliersOf, templateOwnerOf, templatePatchCommand} from './plan-owner.ts'
import {namespaceInjection} from './sidecar.ts'

/** Warnings about a namespace whose own label changes or stays. */
export function namespaceWarnings(
  namespace: Namespace,
  change: LabelChange,
  action: PlanAction,
  pods: readonly Pod[],
): PlanWarning[] {
  if (change.kind === 'refuse') return []
  const name = namespace.metadata.name ?? ''
  const injection = namespaceInjection(name, namespace.metadata.labels)
  const warnings = [...caseTrap(namespace, name, null), ...appliedByOther(namespace, change, name, null)]
  if (action === 'enroll' && injection.inject) {
    const text = `new pods of namespace ${name} get a sidecar (revision ${injection.revision}), which the sidecar policy of their daemon then decides about`
    warnings.push(warn('AlsoInjected', name, null, text))
  }
  return action === 'unenroll' ? [...warnings, ...staysEnrolled(name, pods)] : warnings
}

/** Warnings about a pod whose own label is the target. */
export function podTargetWarnings(pod: Pod, change: LabelChange, plan: PodPlan): PlanWarning[] {
  if (change.kind !== 'write') return []
  const {namespace, name} = plan
  const warnings = appliedByOther(pod, change, namespace, name)
  if (change.after === 'kmesh' && !plan.after.intent) {
    const text = `the label has no effect on pod ${namespace}/${name}: ${plan.reason ?? 'unknown'}`
    warnings.push(warn('NoEffect', namespace, name, text))
  }
  if (change.after === 'none') {
    const text = `namespace ${namespace} would enroll pod ${name} again, so its label is set to "none" and not removed`
    warnings.push(warn('NoneWritten', namespace, name, text))
  }
  return warnings
}

/** Controllers make their pods again without the change: one warning for each, however many of its pods change. */
export function ownerWarnings(
  targets: readonly {readonly pod: Pod; readonly change: LabelChange}[],
): PlanWarning[] {
  const groups = new Map<
    string,
    {readonly pods: string[]; readonly text: string; readonly namespace: string}
  >()
  for (const {pod, change} of targets) {
    const owner = change.kind === 'write' ? templateOwnerOf(pod.metadata) : undefined
    if (change.kind !== 'write' || owner === undefined) continue
    const {namespace = '', name = ''} = pod.metadata
    const command = templatePatchCommand(namespace, owner, change.after)
    const fix = command === null ? 'change the template at its source' : `to keep it: ${command}`
    const text = `${owner.kind} ${owner.name} makes it again from its template, without this change; ${fix}`
    const group = groups.get(`${namespace} ${text}`) ?? {pods: [], text, namespace}
    group.pods.push(name)
    groups.set(`${namespace} ${text}`, group)
  }
  return [...groups.values()].map(({pods: [first = '', ...others], text, namespace}) => {
    const more = others.length > 0 ? ` (and ${others.length} more)` : ''
    return warn('OwnerRecreates', namespace, first, `pod ${namespace}/${first}${more}: ${text}`)
  })
}

/** A value such as `None` reads like an opt-out and is none. */
export function caseTrap(object: KubeObject, namespace: string, pod: string | null): PlanWarning[] {
  const value = object.metadata.labels?.[DATAPLANE_LABEL]
  if (!isLabelCaseTrap(value)) return []
  const what = pod === null ? `namespace ${namespace}` : `pod ${namespace}/${pod}`
  const text = `${what} has ${DATAPLANE_LABEL}=${value}: only "none" in lower case opts out, any other value counts as no label`
  return [warn('LabelCaseTrap', namespace, pod, text)]
}

/** Of a pod whose daemon (v0.4) takes the annotation for an intent. */
export function annotationRemoved({metadata: {namespace = '', name = ''}}: KubeObject): PlanWarning[] {
  const text = `annotation ${REDIRECTION_ANNOTATION} of pod ${namespace}/${name} is removed too: for its daemon (Kmesh v0.4) it enrolls by itself`
  return [warn('AnnotationRemoved', namespace, name, text)]
}

/** Of a pod whose daemon (v0.4) does not know the value that opts out, and has it all the same. */
export function noneUnknown({metadata: {namespace = '', name = '', labels}}: KubeObject): PlanWarning[] {
  if (labels?.[DATAPLANE_LABEL] !== DATAPLANE_NONE) return []
  const text = `pod ${namespace}/${name} has the label "${DATAPLANE_NONE}", which its daemon (Kmesh v0.4) does not know: it is enrolled all the same`
  return [warn('RuleNotSupported', namespace, name, text)]
}

/** Enrolling acts on connect(2): what is open stays on its path. */
export function openConnections(pods: readonly PodPlan[]): PlanWarning[] {
  if (!pods.some((pod) => pod.follow)) return []
  return [
    warn('OpenConnections', null, null, 'connections that are open now keep their path; new ones change'),
  ]
}

function staysEnrolled(namespace: string, pods: readonly Pod[]): PlanWarning[] {
  const names = pods
    .filter((pod) => isKmesh(pod.metadata.labels?.[DATAPLANE_LABEL]))
    .map((pod) => pod.metadata.name ?? '')
  return names.map((name) =>
    warn('StaysEnrolled', namespace, name, `pod ${namespace}/${name} stays enrolled by its own label`),
  )
}

function appliedByOther(
  object: KubeObject,
  change: LabelChange,
  namespace: string,
  pod: string | null,
): PlanWarning[] {
  if (change.kind !== 'write') return []
  const what = pod === null ? `namespace ${namespace}` : `pod ${namespace}/${pod}`
  return appliersOf(object.metadata).map((manager) =>
    warn(
      'AppliedByOther',
      namespace,
      pod,
      `the label of ${what} is applied by ${manager}, which may put its value back; change it at its source too`,
    ),
  )
}

function warn(
  code: PlanWarningCode,
  namespace: string | null,
  pod: string | null,
  message: string,
): PlanWarning {
  return {code, namespace, pod, message}
}
