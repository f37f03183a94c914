// SPDX-License-Identifier: Apache-2.0
/** The job of `enroll` and `unenroll`: plan, write, follow. */
import type {DaemonTarget} from '../model/api.ts'
import {type Plan, type PlanOptions, type PodPlan, writesOf} from '../model/plan.ts'
import {planNamespaces, planPods} from '../model/plan-build.ts'
import {strongestLevel, type WaitLevel} from '../model/plan-node.ts'
import type {WaitProgress} from '../model/plan-progress.ts'
import type {DryRun, Outcome} from '../model/plan-result.ts'
import {type ReportError, reportErrorOf} from '../model/report.ts'
import type {AdminDialer, Clock, Kube} from '../ports.ts'
import {mapConcurrent} from './enroll-concurrent.ts'
import {type Facts, gatherFacts, memoryFindings} from './enroll-facts.ts'
import {findNamespaces, findPods, type Selection} from './enroll-targets.ts'
import {timeoutErrors} from './enroll-timeout.ts'
import {type WaitPod, type WaitResult, waitForPods} from './enroll-wait.ts'
import {removeRedirection, writeLabel} from './label-write.ts'

export interface EnrollDeps {
  readonly kube: Kube
  readonly dialer: AdminDialer
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface EnrollRequest {
  readonly options: PlanOptions
  readonly selection: Selection
  /** Pods of this namespace; undefined: namespaces. */
  readonly podsOf: string | undefined
  /** Asked for only when there are targets. */
  readonly findDaemons: () => Promise<readonly DaemonTarget[]>
  /** Daemons that are asked at the same time. */
  readonly concurrency: number
}

export interface Prepared {
  readonly plan: Plan
  readonly facts: Facts
  readonly errors: readonly ReportError[]
}

const NO_FACTS: Facts = {byNode: new Map(), admins: new Map(), errors: []}

/** Reads the cluster and plans; writes nothing. Throws what {@link findNamespaces} does. */
export async function prepareEnroll(deps: EnrollDeps, request: EnrollRequest): Promise<Prepared> {
  const {options, selection, podsOf} = request
  if (podsOf === undefined) {
    const {targets, errors} = await findNamespaces(deps.kube, selection, deps.signal)
    const pods = targets.flatMap((target) => target.pods)
    const facts = await factsOf(deps, request, targets.length, pods)
    return {plan: planNamespaces(targets, facts.byNode, options), facts, errors}
  }
  const {targets, errors} = await findPods(deps.kube, podsOf, selection, deps.signal)
  const pods = targets.map((target) => target.pod)
  const facts = await factsOf(deps, request, targets.length, pods)
  return {plan: planPods(targets, facts.byNode, options), facts, errors}
}

async function factsOf(
  deps: EnrollDeps,
  request: EnrollRequest,
  targetCount: number,
  pods: readonly {readonly spec?: {readonly nodeName?: string}}[],
): Promise<Facts> {
  const nodes = new Set(pods.map((pod) => pod.spec?.nodeName).filter((node) => node !== undefined))
  if (targetCount === 0 || nodes.size === 0) return NO_FACTS
  const {dialer, clock, signal} = deps
  const {concurrency} = request
  return gatherFacts({nodes, daemons: await request.findDaemons(), dialer, clock, concurrency, signal})
}

export interface CarryOutOptions {
  readonly dryRun: DryRun
  /** Null: do not wait. */
  readonly wait: {readonly level: WaitLevel | undefined; readonly timeoutMs: number} | null
  readonly onProgress: (progress: WaitProgress) => void
}

/** Writes what the plan says and follows the pods. One target's failure stops no other; an interrupt ends with what is known. */
export async function carryOut(
  deps: EnrollDeps,
  prepared: Prepared,
  options: CarryOutOptions,
): Promise<Outcome> {
  const {plan, facts} = prepared
  const writes =
    options.dryRun === 'client' ? new Map() : await writeAll(deps, plan, options.dryRun === 'server')
  const unannotated =
    options.dryRun === 'client' ? [] : await unannotateAll(deps, plan, writes, options.dryRun === 'server')
  const levels = levelsOf(plan, facts, options.wait?.level)
  const waited = await follow(deps, prepared, options, {writes, levels})
  const interrupted = deps.signal.aborted ? [reportErrorOf(deps.signal.reason, {phase: 'wait'})] : []
  return {
    dryRun: options.dryRun,
    writes,
    levels,
    reached: waited?.reached ?? new Set(),
    gone: waited?.gone ?? new Set(),
    errors: [
      ...prepared.errors,
      ...unannotated,
      ...interrupted,
      ...(waited && !deps.signal.aborted ? timeoutErrors(plan.action, waited) : []),
    ],
    warnings: [
      ...facts.errors.map(({code, message, node}) => ({code, message, node})),
      ...memoryFindings(facts.byNode),
    ],
  }
}

type Writes = Map<string, {readonly error: ReportError | null}>

const WRITE_CONCURRENCY = 8

async function writeAll(deps: EnrollDeps, plan: Plan, dryRun: boolean): Promise<Writes> {
  const writes: Writes = new Map()
  const {kube, clock, signal} = deps
  await mapConcurrent(writesOf(plan), WRITE_CONCURRENCY, async (target) => {
    if (signal.aborted) return
    try {
      await writeLabel(kube, target, {dryRun, clock, signal})
      writes.set(target.uid, {error: null})
    } catch (thrown) {
      const pod = target.kind === 'Pod' ? target.name : null
      const error = reportErrorOf(thrown, {namespace: target.namespace, pod})
      writes.set(target.uid, {error})
    }
  })
  return writes
}

/** For pods whose target was written. What fails keeps its pod enrolled, and is said. */
async function unannotateAll(
  deps: EnrollDeps,
  plan: Plan,
  writes: Writes,
  dryRun: boolean,
): Promise<readonly ReportError[]> {
  const errors: ReportError[] = []
  const {kube, clock, signal} = deps
  const due = plan.unannotations.filter(({targetUid}) => writes.get(targetUid)?.error === null)
  await mapConcurrent(due, WRITE_CONCURRENCY, async (pod) => {
    if (signal.aborted) return
    try {
      await removeRedirection(kube, pod, {dryRun, clock, signal})
    } catch (thrown) {
      errors.push(reportErrorOf(thrown, {namespace: pod.namespace, pod: pod.name}))
    }
  })
  return errors
}

/** How each pod that has to be followed is followed; null where its daemon cannot tell what was asked for. */
function levelsOf(
  plan: Plan,
  facts: Facts,
  asked: WaitLevel | undefined,
): ReadonlyMap<string, WaitLevel | null> {
  const unannotated = new Set(plan.unannotations.map(({uid}) => uid))
  const levels = plan.pods
    .filter((pod) => pod.follow)
    .map(
      (pod) => [pod.uid, unannotated.has(pod.uid) ? labelOnly(asked) : levelOf(pod, facts, asked)] as const,
    )
  return new Map(levels)
}

/** An annotation that we removed ourselves tells nothing about the daemon. */
function labelOnly(asked: WaitLevel | undefined): WaitLevel | null {
  return asked === undefined || asked === 'label' ? 'label' : null
}

function levelOf(pod: PodPlan, facts: Facts, asked: WaitLevel | undefined): WaitLevel | null {
  const node = facts.byNode.get(pod.node ?? '')
  const strongest = node === undefined ? 'annotation' : strongestLevel(node)
  if (asked === 'kernel' && strongest !== 'kernel') return null
  return asked ?? strongest
}

async function follow(
  deps: EnrollDeps,
  {plan, facts}: Prepared,
  options: CarryOutOptions,
  done: {readonly writes: Writes; readonly levels: ReadonlyMap<string, WaitLevel | null>},
): Promise<WaitResult | null> {
  if (options.wait === null || options.dryRun !== 'none') return null
  const failed = new Set(
    writesOf(plan)
      .filter((target) => done.writes.get(target.uid)?.error !== null)
      .flatMap((target) => (target.kind === 'Pod' ? [target.uid] : [`namespace/${target.name}`])),
  )
  const pods = plan.pods.flatMap((pod): WaitPod[] => {
    const level = done.levels.get(pod.uid) ?? 'label'
    const isWritten = !failed.has(pod.uid) && !failed.has(`namespace/${pod.namespace}`)
    return isWritten && level !== 'label' ? [{pod, level}] : []
  })
  if (pods.length === 0) return null
  const {kube, clock, signal} = deps
  const {timeoutMs} = options.wait
  const {admins} = facts
  return waitForPods({pods, kube, admins, clock, timeoutMs, signal, onProgress: options.onProgress})
}
