// SPDX-License-Identifier: Apache-2.0
/** The job of `install`: plan against the cluster, write, follow the agents. */
import {EXIT} from '../errors.ts'
import type {InstallItem, InstallOutcome, InstallState} from '../model/install-report.ts'
import {type ManifestObject, manifestsOf, pathOfObject} from '../model/manifests.ts'
import type {InstallSettings} from '../model/manifests-settings.ts'
import type {DryRun} from '../model/plan-result.ts'
import {type ReportError, type ReportWarning, reportErrorOf} from '../model/report.ts'
import type {Clock, Kube} from '../ports.ts'
import {checkAccess, type Need} from './install-access.ts'
import {type ObjectPlan, planObject, writeObject} from './install-objects.ts'
import {type NodeProgress, waitForAgents} from './install-rollout.ts'
import {installWarnings} from './install-warnings.ts'

export interface InstallDeps {
  readonly kube: Kube
  readonly clock: Clock
  readonly signal: AbortSignal
  /** One line about what goes on. */
  readonly say: (text: string) => void
}

export interface InstallPlan {
  readonly settings: InstallSettings
  readonly overwrite: boolean
  readonly objects: readonly ObjectPlan[]
  readonly warnings: readonly ReportWarning[]
}

/**
 * Asks for the rights and lets the server check every object; stores nothing.
 * @throws DeniedError what is missing; KubeStatusError the server does not take an object
 */
export async function planInstall(
  deps: InstallDeps,
  settings: InstallSettings,
  overwrite: boolean,
): Promise<InstallPlan> {
  const {kube, signal} = deps
  const manifests = manifestsOf(settings).map(({object}) => object)
  await checkAccess(kube, needsOf(manifests, settings.namespace), signal)
  const objects: ObjectPlan[] = []
  for (const object of manifests) {
    const isHomeless = object.metadata.namespace !== undefined && willBeMade(objects)
    objects.push(await planObject(kube, object, {install: settings.namespace, overwrite, isHomeless, signal}))
  }
  return {settings, overwrite, objects, warnings: await installWarnings(kube, settings, objects, signal)}
}

function willBeMade(planned: readonly ObjectPlan[]): boolean {
  return planned.some(({object, action}) => object.kind === 'Namespace' && action === 'create')
}

function needsOf(objects: readonly ManifestObject[], namespace: string): Need[] {
  const paths = new Map(objects.map((object) => [object.kind, pathOfObject(object)]))
  return [
    ...[...paths.values()].map((path) => ({
      verbs: ['get', 'create', 'update'],
      group: path.group,
      resource: path.resource,
      namespace: path.namespace,
    })),
    {verbs: ['list'], group: '', resource: 'pods', namespace},
    {verbs: ['list'], group: '', resource: 'nodes'},
  ]
}

export interface InstallOptions {
  readonly dryRun: Exclude<DryRun, 'client'>
  /** Null: do not wait. */
  readonly timeoutMs: number | null
}

/** Writes the plan; an object that cannot be written ends it, since the next ones stand on it. */
export async function carryOutInstall(
  deps: InstallDeps,
  plan: InstallPlan,
  options: InstallOptions,
): Promise<InstallOutcome> {
  const {namespace} = plan.settings
  const refused = plan.objects.filter(({action}) => action === 'refuse')
  const base = {action: 'install', namespace, dryRun: options.dryRun, warnings: plan.warnings} as const
  if (refused.length > 0 || options.dryRun === 'server') {
    const items = plan.objects.map((object) => itemOf(object, refused.length > 0 ? 'skipped' : 'planned'))
    return {...base, items, errors: refused.map(conflictOf)}
  }
  const {items, errors} = await writeAll(deps, plan)
  if (errors.length > 0 || options.timeoutMs === null) return {...base, items, errors}
  const followed = await follow(deps, namespace, options.timeoutMs)
  return {...base, items: [...items, ...followed.items], errors: followed.errors}
}

async function writeAll(
  deps: InstallDeps,
  plan: InstallPlan,
): Promise<{readonly items: InstallItem[]; readonly errors: ReportError[]}> {
  const {kube, clock, signal} = deps
  const {overwrite, settings} = plan
  const items: InstallItem[] = []
  const errors: ReportError[] = []
  for (const object of plan.objects) {
    if (errors.length > 0) {
      items.push(itemOf(object, 'skipped'))
      continue
    }
    try {
      await writeObject(kube, object, {
        install: settings.namespace,
        overwrite,
        isHomeless: false,
        clock,
        signal,
      })
      items.push(itemOf(object, 'written'))
    } catch (thrown) {
      const error = reportErrorOf(thrown, {namespace: settings.namespace})
      errors.push(error)
      items.push({...itemOf(object, 'skipped'), state: 'failed', code: error.code, message: error.message})
    }
  }
  return {items, errors}
}

const WRITTEN: Readonly<Record<ObjectPlan['action'], InstallState>> = {
  create: 'created',
  update: 'changed',
  unchanged: 'unchanged',
  keep: 'kept',
  refuse: 'refused',
}

/** The item of `install --dry-run=server`, and of the question before it writes. */
export function itemOf(plan: ObjectPlan, stage: 'planned' | 'written' | 'skipped'): InstallItem {
  const {object, action, changes, problem} = plan
  const isPending = action === 'create' || action === 'update'
  return {
    kind: object.kind,
    namespace: (object.metadata as {namespace?: string}).namespace ?? null,
    name: object.metadata.name,
    state: isPending && stage !== 'written' ? stage : WRITTEN[action],
    code: action === 'refuse' ? 'Conflict' : isPending && stage === 'planned' ? CODES[action] : null,
    message: problem,
    changes,
  }
}

const CODES = {create: 'Create', update: 'Update'} as const

function conflictOf({object, problem}: ObjectPlan): ReportError {
  const namespace = (object.metadata as {namespace?: string}).namespace ?? null
  return {
    node: null,
    pod: null,
    namespace,
    phase: null,
    code: 'Conflict',
    message: `${object.kind} ${object.metadata.name}: ${problem}`,
    attempts: 1,
    elapsedMs: 0,
    exitCode: EXIT.conflict,
    hints: ['--overwrite takes it over; nothing was written'],
  }
}

async function follow(
  deps: InstallDeps,
  namespace: string,
  timeoutMs: number,
): Promise<{readonly items: InstallItem[]; readonly errors: ReportError[]}> {
  const startMs = deps.clock.monotonicMs()
  try {
    const nodes = await waitForAgents({
      ...deps,
      namespace,
      timeoutMs,
      onProgress: (ready, total) => deps.say(`${ready} of ${total} nodes have a ready agent`),
    })
    const elapsedMs = deps.clock.monotonicMs() - startMs
    return {
      items: nodes.map((node) => nodeItem(node, 'ready')),
      errors: nodes.filter(({isReady}) => !isReady).map((node) => lateError(node, namespace, elapsedMs)),
    }
  } catch (thrown) {
    return {items: [], errors: [reportErrorOf(thrown, {phase: 'wait', namespace})]}
  }
}

export function nodeItem(node: NodeProgress, done: 'ready' | 'cleaned'): InstallItem {
  const state = node.isReady ? done : node.hasFailed ? 'failed' : 'pending'
  const code = node.isReady ? null : node.hasFailed ? 'AgentFailed' : 'Timeout'
  return {
    kind: 'Node',
    namespace: null,
    name: node.node,
    state,
    code,
    message: node.isReady ? null : node.reason,
    changes: [],
  }
}

/** Status 5: what was written is known, and the agents may still come. */
function lateError(node: NodeProgress, namespace: string, elapsedMs: number): ReportError {
  return {
    node: node.node,
    pod: node.pod,
    namespace,
    phase: 'wait',
    code: node.hasFailed ? 'AgentFailed' : 'Timeout',
    message: `node ${node.node}: the agent is not ready: ${node.reason}`,
    attempts: 1,
    elapsedMs: Math.round(elapsedMs),
    exitCode: EXIT.timeout,
    hints: node.pod === null ? [] : [`kubectl -n ${namespace} logs ${node.pod}`],
  }
}
