// SPDX-License-Identifier: Apache-2.0
/** What `enroll` and `unenroll` answer: the plan, and how far it came. Pure. */
import {EXIT} from '../errors.ts'
import type {Capture, CaptureSource, Plan, PodPlan, TargetPlan} from './plan.ts'
import type {WaitLevel} from './plan-node.ts'
import {compareText, type Report, type ReportError, type ReportSummary, type ReportWarning} from './report.ts'

export const DRY_RUNS = ['none', 'client', 'server'] as const
export type DryRun = (typeof DRY_RUNS)[number]

/**
 * `planned`: a dry run; `changed`: the label is stored and, as far as waited for, the kernel agrees;
 * `pending`: stored, and not (yet) seen; `skipped`: nothing will happen, `code` says why.
 */
export type EnrollState = 'planned' | 'changed' | 'unchanged' | 'pending' | 'skipped' | 'refused' | 'failed'

export interface EnrollItem {
  readonly kind: 'Namespace' | 'Pod'
  /** Of a namespace its own name. */
  readonly namespace: string
  readonly name: string
  readonly node: string | null
  /** The object's own label before and after; null where the command does not touch it. */
  readonly label: {readonly before: string | null; readonly after: string | null} | null
  /** Null for namespaces, and for pods that were refused. */
  readonly now: {
    readonly capture: Capture | null
    readonly source: CaptureSource
    readonly rule: string
  } | null
  readonly after: {readonly capture: Capture | null} | null
  /** Rule that decides afterwards; null where nobody can tell. */
  readonly reason: string | null
  readonly state: EnrollState
  /** Why it is not `changed`. */
  readonly code: string | null
  /** What a wait has seen. */
  readonly reached: WaitLevel | null
}

/** What was done about a plan. */
export interface Outcome {
  readonly dryRun: DryRun
  /** By target uid; a target that is missing was not tried. */
  readonly writes: ReadonlyMap<string, {readonly error: ReportError | null}>
  /** How each followed pod (by uid) is followed; null: nobody can tell at the level asked for. */
  readonly levels: ReadonlyMap<string, WaitLevel | null>
  readonly reached: ReadonlySet<string>
  readonly gone: ReadonlySet<string>
  /** Of finding, waiting and interruption; those of writes and refusals are added. */
  readonly errors: readonly ReportError[]
  readonly warnings: readonly ReportWarning[]
}

export function enrollReport(plan: Plan, outcome: Outcome): Report<EnrollItem> {
  const podsByUid = new Map(plan.pods.map((pod) => [pod.uid, pod]))
  const targets = plan.targets.map((target) => targetItem(target, podsByUid.get(target.uid), outcome))
  const targetPods = new Set(plan.targets.filter(isPodTarget).map((target) => target.uid))
  const namespaces = new Map(plan.targets.map((target) => [target.name, target]))
  const pods = plan.pods
    .filter((pod) => !targetPods.has(pod.uid))
    .map((pod) => podItem(pod, namespaces.get(pod.namespace), outcome))
  const errors = [...outcome.errors, ...plan.targets.flatMap((target) => targetError(target, outcome))]
  const warnings = [...plan.warnings, ...outcome.warnings]
  return {
    kind: 'EnrollResult',
    summary: summaryOf(plan, targets, pods, outcome),
    items: [...targets, ...pods].sort(byPlace),
    errors,
    warnings,
  }
}

/** By namespace, each before its pods. */
function byPlace(a: EnrollItem, b: EnrollItem): number {
  return compareText(a.namespace, b.namespace) || compareText(a.kind, b.kind) || compareText(a.name, b.name)
}

/** The plan as a dry run would show it, before anything was done. */
export function plannedReport(plan: Plan): Report<EnrollItem> {
  const none = {writes: new Map(), levels: new Map(), reached: new Set<string>(), gone: new Set<string>()}
  return enrollReport(plan, {dryRun: 'client', ...none, errors: [], warnings: []})
}

function isPodTarget(target: TargetPlan): boolean {
  return target.kind === 'Pod'
}

/** A named namespace or pod. */
function targetItem(target: TargetPlan, pod: PodPlan | undefined, outcome: Outcome): EnrollItem {
  const {change} = target
  const label = {before: change.before, after: change.kind === 'write' ? change.after : change.before}
  const own = {kind: target.kind, namespace: target.namespace, name: target.name, label}
  const status = targetStatus(target, outcome)
  if (pod === undefined)
    return {...own, node: null, now: null, after: null, reason: null, reached: null, ...status}
  const follows = status.state === 'changed' || status.state === 'unchanged'
  return {
    ...own,
    ...podView(pod),
    reached: reachedBy(pod, outcome),
    ...(follows ? podStatus(pod, outcome, status) : status),
  }
}

/** A pod that a namespace's label touches. */
function podItem(pod: PodPlan, target: TargetPlan | undefined, outcome: Outcome): EnrollItem {
  const written = target === undefined ? null : targetStatus(target, outcome)
  const isWritten = written !== null && ['changed', 'unchanged', 'planned'].includes(written.state)
  const status = isWritten ? podStatus(pod, outcome, {state: 'unchanged', code: null}) : NOT_WRITTEN
  const {namespace, name} = pod
  return {
    kind: 'Pod',
    namespace,
    name,
    label: null,
    ...podView(pod),
    reached: reachedBy(pod, outcome),
    ...status,
  }
}

interface Status {
  readonly state: EnrollState
  readonly code: string | null
}

const NOT_WRITTEN: Status = {state: 'skipped', code: 'NotWritten'}

function targetStatus(target: TargetPlan, outcome: Outcome): Status {
  const {change, uid} = target
  if (change.kind === 'keep') return {state: 'unchanged', code: change.code}
  if (change.kind === 'refuse') {
    return {state: change.code === 'SystemNamespace' ? 'skipped' : 'refused', code: change.code}
  }
  const write = outcome.writes.get(uid)
  if (write?.error) return {state: 'failed', code: write.error.code}
  if (outcome.dryRun !== 'none') return {state: 'planned', code: null}
  return write === undefined ? {state: 'skipped', code: 'Interrupted'} : {state: 'changed', code: null}
}

/** @param settled - state of a pod that needs no following. */
function podStatus(pod: PodPlan, outcome: Outcome, settled: Status): Status {
  if (pod.obstacle !== null) return {state: 'skipped', code: pod.obstacle}
  if (!pod.follow) return settled
  if (outcome.dryRun !== 'none') return {state: 'planned', code: null}
  const level = outcome.levels.get(pod.uid)
  if (outcome.gone.has(pod.uid)) return {state: 'skipped', code: 'Gone'}
  if (level === 'label' || outcome.reached.has(pod.uid)) return {state: 'changed', code: null}
  return level === null ? {state: 'skipped', code: 'CannotTell'} : {state: 'pending', code: null}
}

function podView(pod: PodPlan): Pick<EnrollItem, 'node' | 'now' | 'after' | 'reason'> {
  const {capture, source, rule} = pod.now
  return {
    node: pod.node,
    now: {capture, source, rule},
    after: {capture: pod.after.capture},
    reason: pod.reason,
  }
}

function reachedBy(pod: PodPlan, outcome: Outcome): WaitLevel | null {
  return outcome.reached.has(pod.uid) ? (outcome.levels.get(pod.uid) ?? null) : null
}

function targetError(target: TargetPlan, outcome: Outcome): ReportError[] {
  const {change, kind, name, namespace, uid} = target
  const written = outcome.writes.get(uid)?.error
  if (written) return [written]
  if (change.kind !== 'refuse' || change.code === 'SystemNamespace') return []
  return [
    {
      node: null,
      pod: kind === 'Pod' ? name : null,
      namespace,
      phase: null,
      code: change.code,
      message: kind === 'Pod' ? change.message : `namespace ${name}: ${change.message}`,
      attempts: 0,
      elapsedMs: 0,
      exitCode: change.code === 'RuleNotSupported' ? EXIT.failure : EXIT.conflict,
      hints: [],
    },
  ]
}

/** `ok` counts named objects that are as asked for; pods that lag behind are counted apart. */
function summaryOf(
  plan: Plan,
  targets: readonly EnrollItem[],
  pods: readonly EnrollItem[],
  outcome: Outcome,
): ReportSummary {
  const missing = outcome.errors.filter((error) => error.phase === 'find').length
  const counted = plan.targets.map((target) => targetStatus(target, outcome).state)
  const failed = counted.filter((state) => state === 'failed' || state === 'refused').length
  const skipped = counted.filter((state) => state === 'skipped').length
  return {
    requested: targets.length + missing,
    ok: targets.length - failed - skipped,
    failed: failed + missing,
    skipped,
    action: plan.action,
    dryRun: outcome.dryRun,
    pods: podCounts([...targets, ...pods].filter((item) => item.kind === 'Pod')),
  }
}

function podCounts(pods: readonly EnrollItem[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {
    total: pods.length,
    planned: 0,
    changed: 0,
    unchanged: 0,
    pending: 0,
  }
  for (const state of ['skipped', 'refused', 'failed']) counts[state] = 0
  for (const pod of pods) counts[pod.state] = (counts[pod.state] ?? 0) + 1
  return counts
}
