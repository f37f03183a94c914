// SPDX-License-Identifier: Apache-2.0
/**
 * The job of `uninstall`: the agents' own DaemonSet takes Kmesh off the nodes, then the objects go. Each step finds out
 * by itself what is left to do, so that a run that was cut is finished by the next one.
 */
import {EXIT, KubeStatusError} from '../errors.ts'
import type {InstallItem, InstallOutcome} from '../model/install-report.ts'
import {RESOURCES} from '../model/kube.ts'
import {DAEMON_NAME, installOf} from '../model/manifests-settings.ts'
import {cleanUpPatch, type DaemonSet, isCleaningUp} from '../model/manifests-workload.ts'
import type {DryRun} from '../model/plan-result.ts'
import {type ReportError, reportErrorOf} from '../model/report.ts'
import {type InstallDeps, nodeItem} from './install.ts'
import {findObject} from './install-objects.ts'
import {type NodeProgress, waitForAgents} from './install-rollout.ts'
import {objectItem, removeObjects, type UninstallPlan} from './uninstall-objects.ts'

export interface UninstallOptions {
  readonly dryRun: DryRun
  /** Of the clean-up of the nodes, and again of the end of the pods. */
  readonly timeoutMs: number
  /** Delete the objects also where nodes could not be cleaned. */
  readonly force: boolean
}

export async function carryOutUninstall(
  deps: InstallDeps,
  plan: UninstallPlan,
  options: UninstallOptions,
): Promise<InstallOutcome> {
  const {namespace} = plan
  const base = {action: 'uninstall', namespace, dryRun: options.dryRun, warnings: plan.warnings} as const
  if (options.dryRun !== 'none') {
    return {...base, items: plan.objects.map((own) => objectItem(own, 'planned', null)), errors: []}
  }
  const cleaned = await cleanNodes(deps, plan, options)
  if (cleaned.errors.length > 0 && !options.force) {
    const items = plan.objects.map((own) => objectItem(own, 'skipped', 'NodesNotClean'))
    return {...base, items: [...cleaned.items, ...items], errors: cleaned.errors}
  }
  const removed = await removeObjects(deps, plan, options.timeoutMs)
  return {
    ...base,
    items: [...cleaned.items, ...removed.items],
    errors: [...cleaned.errors, ...removed.errors],
    warnings: [...plan.warnings, ...removed.warnings],
  }
}

interface Cleaned {
  readonly items: readonly InstallItem[]
  readonly errors: readonly ReportError[]
}

async function cleanNodes(
  deps: InstallDeps,
  {namespace}: UninstallPlan,
  {timeoutMs}: UninstallOptions,
): Promise<Cleaned> {
  const startMs = deps.clock.monotonicMs()
  try {
    if (!(await startCleaning(deps, namespace))) return {items: [], errors: []}
    const nodes = await waitForAgents({
      ...deps,
      namespace,
      timeoutMs,
      onProgress: (done, total) => deps.say(`Kmesh is off ${done} of ${total} nodes`),
    })
    const elapsedMs = deps.clock.monotonicMs() - startMs
    return {
      items: nodes.map((node) => nodeItem(node, 'cleaned')),
      errors: nodes.filter(({isReady}) => !isReady).map((node) => dirtyError(node, namespace, elapsedMs)),
    }
  } catch (thrown) {
    return {items: [], errors: [reportErrorOf(thrown, {namespace, phase: 'wait'})]}
  }
}

const ATTEMPTS = 5
const PAUSE_MS = 100

/** @returns false where there are no agents (any more) */
async function startCleaning({kube, clock, signal}: InstallDeps, namespace: string): Promise<boolean> {
  const path = {...RESOURCES.daemonsets, namespace, name: DAEMON_NAME}
  for (let attempt = 1; ; attempt += 1) {
    const set = await findObject<DaemonSet>(kube, path, signal)
    if (set === undefined || installOf(set) !== namespace) return false
    if (set.metadata.deletionTimestamp !== undefined) return false
    if (isCleaningUp(set)) return true
    try {
      await kube.mergePatch(path, cleanUpPatch(set), {signal})
      return true
    } catch (error) {
      const isConflict = error instanceof KubeStatusError && error.status === 409
      if (!isConflict || attempt === ATTEMPTS) throw error
    }
    await clock.sleep(PAUSE_MS * attempt, signal)
  }
}

/** One that failed is a failure (4 beside others that worked); one that nobody heard of is late (5). */
function dirtyError(node: NodeProgress, namespace: string, elapsedMs: number): ReportError {
  return {
    node: node.node,
    pod: node.pod,
    namespace,
    phase: 'wait',
    code: node.hasFailed ? 'CleanUpFailed' : 'Timeout',
    message: `node ${node.node} still has Kmesh: ${node.reason}`,
    attempts: 1,
    elapsedMs: Math.round(elapsedMs),
    exitCode: node.hasFailed ? EXIT.failure : EXIT.timeout,
    hints: [
      'run the command again, it goes on where it stopped; --force deletes the objects all the same',
      ...(node.pod === null ? [] : [`kubectl -n ${namespace} logs ${node.pod}`]),
    ],
  }
}
