// SPDX-License-Identifier: Apache-2.0
/** Which label value a command writes to a namespace or pod, and when it writes nothing. */
import {DATAPLANE_KMESH, DATAPLANE_LABEL, DATAPLANE_NONE, isKmesh, type Labels} from './enrollment.ts'
import {isSystemNamespace, type LabelChange, type PlanOptions} from './plan.ts'

/** The change to a namespace's label. */
export function namespaceChange(name: string, labels: Labels, options: PlanOptions): LabelChange {
  const before = labels?.[DATAPLANE_LABEL] ?? null
  const refused = refuseSystem(name, before, options)
  if (refused) return refused
  if (options.action === 'enroll') return enrollChange(before, false, options)
  return isKmesh(before ?? undefined) ? write(before, null) : keep(before, 'NotEnrolled')
}

/**
 * The change to a pod's label. Leaving a namespace that enrolls takes the value `none`, because
 * without a label the namespace would have the pod again.
 *
 * @param v04 - the pod's daemon goes by the rule of v0.4
 */
export function podChange(
  namespace: string,
  labels: Labels,
  namespaceLabels: Labels,
  options: PlanOptions,
  v04?: {readonly annotated: boolean},
): LabelChange {
  const before = labels?.[DATAPLANE_LABEL] ?? null
  const byNamespace = isKmesh(namespaceLabels?.[DATAPLANE_LABEL])
  const refused = refuseSystem(namespace, before, options)
  if (refused) return refused
  if (options.action === 'enroll') return enrollChange(before, byNamespace, options, v04 !== undefined)
  if (v04 !== undefined) return unenrollV04(before, byNamespace, v04.annotated)
  return unenrollPodChange(before, byNamespace, options)
}

/** The labels as they are after the change. */
export function labelsAfter(labels: Labels, change: LabelChange): Labels {
  if (change.kind !== 'write') return labels
  const {[DATAPLANE_LABEL]: _before, ...others} = labels ?? {}
  return change.after === null ? others : {...others, [DATAPLANE_LABEL]: change.after}
}

function enrollChange(
  before: string | null,
  byNamespace: boolean,
  options: PlanOptions,
  noneIsUnknown = false,
): LabelChange {
  if (isKmesh(before ?? undefined)) return keep(before, 'AlreadyEnrolled')
  // Values that the rule does not know fall through to the namespace: the pod is in already.
  if (byNamespace && (before !== DATAPLANE_NONE || noneIsUnknown)) return keep(before, 'AlreadyEnrolled')
  if (before !== null && !options.overwrite) return overwriteNeeded(before, DATAPLANE_KMESH)
  return write(before, DATAPLANE_KMESH)
}

function unenrollPodChange(before: string | null, byNamespace: boolean, options: PlanOptions): LabelChange {
  if (before === DATAPLANE_NONE) return keep(before, 'NotEnrolled')
  const own = isKmesh(before ?? undefined)
  if (!byNamespace) return own ? write(before, null) : keep(before, 'NotEnrolled')
  if (before !== null && !own && !options.overwrite) return overwriteNeeded(before, DATAPLANE_NONE)
  return write(before, DATAPLANE_NONE)
}

/** v0.4 knows no value that opts a pod out of its namespace. */
function unenrollV04(before: string | null, byNamespace: boolean, annotated: boolean): LabelChange {
  if (byNamespace) {
    const message = `its namespace enrolls it, and the daemon of its node (Kmesh v0.4) does not know "${DATAPLANE_NONE}"; unenroll the namespace instead`
    return {kind: 'refuse', before, code: 'RuleNotSupported', message}
  }
  if (isKmesh(before ?? undefined)) return write(before, null)
  return annotated ? write(before, before) : keep(before, 'NotEnrolled')
}

function refuseSystem(namespace: string, before: string | null, options: PlanOptions): LabelChange | null {
  if (options.allowSystem || !isSystemNamespace(namespace, options.meshNamespace)) return null
  const message = `${namespace} is a system namespace; --allow-system changes it all the same`
  return {kind: 'refuse', before, code: 'SystemNamespace', message}
}

function overwriteNeeded(before: string, wanted: string): LabelChange {
  const message = `${DATAPLANE_LABEL} is "${before}"; --overwrite replaces it by "${wanted}"`
  return {kind: 'refuse', before, code: 'OverwriteNeeded', message}
}

function write(before: string | null, after: string | null): LabelChange {
  return {kind: 'write', before, after}
}

function keep(before: string | null, code: 'AlreadyEnrolled' | 'NotEnrolled'): LabelChange {
  return {kind: 'keep', before, code}
}
