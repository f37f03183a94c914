// SPDX-License-Identifier: Apache-2.0
/** The planner: from what the cluster is to what a command will write and what becomes of each pod. Pure. */
import {DATAPLANE_LABEL, isAnnotatedCaptured, isKmesh} from './enrollment.ts'
import type {Namespace, Pod} from './kube.ts'
import type {LabelChange, Plan, PlanOptions, PlanWarning, PodPlan, TargetPlan} from './plan.ts'
import {labelsAfter, namespaceChange, podChange} from './plan-label.ts'
import type {FactsByNode} from './plan-node.ts'
import {planPod} from './plan-pod.ts'
import {
  annotationRemoved,
  caseTrap,
  namespaceWarnings,
  noneUnknown,
  openConnections,
  ownerWarnings,
  podTargetWarnings,
} from './plan-warning.ts'
import {compareText} from './report.ts'

/** A pod with its namespace; undefined where that could not be read counts as unlabelled. */
export interface PodTarget {
  readonly pod: Pod
  readonly namespace: Namespace | undefined
}

/** A namespace with its pods, the finished ones included. */
export interface NamespaceTarget {
  readonly namespace: Namespace
  readonly pods: readonly Pod[]
}

export function planNamespaces(
  targets: readonly NamespaceTarget[],
  facts: FactsByNode,
  options: PlanOptions,
): Plan {
  const parts = targets.map(({namespace, pods}) =>
    planNamespace(namespace, pods.filter(isLive), facts, options),
  )
  return assemble(parts, options)
}

export function planPods(targets: readonly PodTarget[], facts: FactsByNode, options: PlanOptions): Plan {
  const planned = targets.map((target) => ({pod: target.pod, part: planOnePod(target, facts, options)}))
  const owners = ownerWarnings(planned.map(({pod, part}) => ({pod, change: part.target.change})))
  return assemble(
    planned.map(({part}) => part),
    options,
    owners,
  )
}

/** Pods that ended or are being deleted are nobody's any more. */
export function isLive(pod: Pod): boolean {
  const phase = pod.status?.phase
  return pod.metadata.deletionTimestamp === undefined && phase !== 'Succeeded' && phase !== 'Failed'
}

interface Part {
  readonly target: TargetPlan
  readonly pods: readonly PodPlan[]
  readonly unannotated: readonly Pod[]
  readonly warnings: readonly PlanWarning[]
}

function planNamespace(
  namespace: Namespace,
  pods: readonly Pod[],
  facts: FactsByNode,
  options: PlanOptions,
): Part {
  const {name = '', labels} = namespace.metadata
  const change = namespaceChange(name, labels, options)
  const namespaceAfter = labelsAfter(labels, change)
  const plans = pods.map((pod) => {
    const own = pod.metadata.labels
    const unannotate = leavesByAnnotation(pod, change, facts, options)
    return planPod(
      pod,
      {podBefore: own, podAfter: own, namespaceBefore: labels, namespaceAfter, unannotate},
      facts,
    )
  })
  const leaving = pods.filter(
    (pod) =>
      leavesByAnnotation(pod, change, facts, options) && !isKmesh(pod.metadata.labels?.[DATAPLANE_LABEL]),
  )
  const traps = pods.flatMap((pod) => caseTrap(pod, name, pod.metadata.name ?? ''))
  return {
    target: targetOf('Namespace', name, namespace, change),
    pods: change.kind === 'refuse' ? [] : plans,
    unannotated: leaving,
    warnings: [
      ...namespaceWarnings(namespace, change, options.action, pods),
      ...traps,
      ...pods.filter((pod, index) => isV04(pod, facts) && plans[index]?.after.intent).flatMap(noneUnknown),
      ...leaving.flatMap(annotationRemoved),
    ],
  }
}

function planOnePod({pod, namespace}: PodTarget, facts: FactsByNode, options: PlanOptions): Part {
  const {name = '', namespace: namespaceName = '', labels} = pod.metadata
  const around = namespace?.metadata.labels
  const annotated = isAnnotatedCaptured(pod.metadata.annotations)
  const change = podChange(
    namespaceName,
    labels,
    around,
    options,
    isV04(pod, facts) ? {annotated} : undefined,
  )
  const unannotate = leavesByAnnotation(pod, change, facts, options)
  const plan = planPod(
    pod,
    {
      podBefore: labels,
      podAfter: labelsAfter(labels, change),
      namespaceBefore: around,
      namespaceAfter: around,
      unannotate,
    },
    facts,
  )
  return {
    target: targetOf('Pod', namespaceName, pod, change),
    pods: change.kind === 'refuse' ? [] : [plan],
    unannotated: unannotate ? [pod] : [],
    warnings: [
      ...caseTrap(pod, namespaceName, name),
      ...podTargetWarnings(pod, change, plan),
      ...(change.kind === 'keep' && isV04(pod, facts) && plan.after.intent ? noneUnknown(pod) : []),
      ...(unannotate ? annotationRemoved(pod) : []),
    ],
  }
}

function isV04(pod: Pod, facts: FactsByNode): boolean {
  return facts.get(pod.spec?.nodeName ?? '')?.rules === 'v0.4'
}

/** With the label of a pod or its namespace gone, a daemon of v0.4 would keep it for its annotation. */
function leavesByAnnotation(
  pod: Pod,
  change: LabelChange,
  facts: FactsByNode,
  {action}: PlanOptions,
): boolean {
  const isWritten = action === 'unenroll' && change.kind === 'write'
  return isWritten && isV04(pod, facts) && isAnnotatedCaptured(pod.metadata.annotations)
}

function targetOf(
  kind: TargetPlan['kind'],
  namespace: string,
  object: Namespace | Pod,
  change: LabelChange,
): TargetPlan {
  const {name = '', uid = '', resourceVersion = ''} = object.metadata
  return {kind, namespace, name, uid, resourceVersion, change}
}

function assemble(parts: readonly Part[], options: PlanOptions, more: readonly PlanWarning[] = []): Plan {
  const pods = parts.flatMap((part) => part.pods).sort(byNamespaceAndName)
  const warnings = parts.flatMap((part) => part.warnings)
  return {
    action: options.action,
    targets: parts.map((part) => part.target).sort(byNamespaceAndName),
    pods,
    unannotations: parts.flatMap(({target, unannotated}) =>
      unannotated.map(({metadata: {namespace = '', name = '', uid = ''}}) => ({
        namespace,
        name,
        uid,
        targetUid: target.uid,
      })),
    ),
    warnings: [...warnings, ...more, ...openConnections(pods)],
  }
}

function byNamespaceAndName(
  a: {readonly namespace: string; readonly name: string},
  b: {readonly namespace: string; readonly name: string},
): number {
  return compareText(a.namespace, b.namespace) || compareText(a.name, b.name)
}
