// SPDX-License-Identifier: Apache-2.0
/** Is the agent ready, and what stands in the way? */
import type {ReadyReply} from '../model/api.ts'
import type {CniSide} from './cni.ts'
import type {Reconciler} from './reconcile.ts'

interface Reporter {
  problems(): readonly string[]
}

/** @param node - what the node itself needs @param cluster - what the watches need */
export function readiness(
  reconciler: Pick<Reconciler, 'synced' | 'warnings'>,
  node: readonly Reporter[],
  cluster: readonly Reporter[],
  cni: CniSide | undefined,
): ReadyReply {
  const failures = node.flatMap((part) => part.problems())
  const synced = reconciler.synced ? [] : ['the maps do not yet hold the cluster']
  const watching = cluster.flatMap((part) => part.problems())
  const bpfOk = failures.length === 0 && synced.length === 0
  const checks = [
    {name: 'bpf', ok: bpfOk, message: summary([...synced, ...failures, ...reconciler.warnings()])},
    {name: 'kubernetes', ok: watching.length === 0, message: summary(watching)},
    ...(cni === undefined ? [] : [cniCheck(cni)]),
  ] as const
  return {ready: checks.every((check) => check.ok), checks}
}

function cniCheck(cni: Pick<CniSide, 'problems' | 'message'>) {
  const problems = cni.problems()
  const message = problems.length === 0 ? cni.message() : summary(problems)
  return {name: 'cni', ok: problems.length === 0, message} as const
}

const SHOWN_PROBLEMS = 5

function summary(problems: readonly string[]): string {
  const more = problems.length - SHOWN_PROBLEMS
  return `${problems.slice(0, SHOWN_PROBLEMS).join('; ')}${more > 0 ? `; and ${more} more` : ''}`
}
