// SPDX-License-Identifier: Apache-2.0
/** Says which pods were late when a wait ended. */
import {EXIT, messageOf} from '../errors.ts'
import type {PlanAction, PodPlan} from '../model/plan.ts'
import {compareText, type ReportError} from '../model/report.ts'
import type {WaitResult} from './enroll-wait.ts'

const NAMES_SHOWN = 5

/** One error a node (exit 5), so that a thousand late pods are not a thousand lines. */
export function timeoutErrors(action: PlanAction, waited: WaitResult): ReportError[] {
  const byNode = Map.groupBy(waited.pending, (pod) => pod.node ?? '')
  return [...byNode]
    .sort(([a], [b]) => compareText(a, b))
    .map(([node, pods]) => ({
      node,
      pod: null,
      phase: 'wait' as const,
      code: 'Timeout',
      message: messageFor(action, node, pods, waited),
      attempts: 1,
      elapsedMs: Math.round(waited.elapsedMs),
      exitCode: EXIT.timeout,
      hints: ['kmeshctl interop status shows how each pod goes on'],
    }))
}

function messageFor(action: PlanAction, node: string, pods: readonly PodPlan[], waited: WaitResult): string {
  const names = pods.slice(0, NAMES_SHOWN).map((pod) => `${pod.namespace}/${pod.name}`)
  const more = pods.length > names.length ? ` and ${pods.length - names.length} more` : ''
  const problem = waited.problems.get(node) ?? waited.problems.get(`namespace/${pods[0]?.namespace}`)
  const cause = problem === undefined ? '' : `; the last look failed: ${messageOf(problem)}`
  const goal = action === 'enroll' ? 'captured' : 'released'
  return `${pods.length} of its pods not ${goal} in time: ${names.join(', ')}${more}${cause}`
}
