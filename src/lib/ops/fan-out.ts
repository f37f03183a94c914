// SPDX-License-Identifier: Apache-2.0
/** The same question to many daemons, a bounded number at a time; every daemon is accounted for. */
import {EXIT, KmeshError} from '../errors.ts'
import type {DaemonTarget} from '../model/api.ts'
import {type ReportError, type ReportSummary, reportErrorOf} from '../model/report.ts'
import type {Admin} from '../ports.ts'
import type {DaemonAccess, FanOutDeps} from './access.ts'
import {type Ask, type AskOptions, askDaemons} from './ask-daemons.ts'
import type {DaemonSearch, FoundDaemon} from './daemons.ts'
import {limitDaemons, notSampledError} from './sample.ts'

export interface FanOutResult<T> {
  /** In the order of the daemons, failed ones left out. */
  readonly answers: readonly {readonly daemon: FoundDaemon; readonly value: T}[]
  /** Failed ones first, then skipped ones, whose exit status is 0. */
  readonly errors: readonly ReportError[]
  readonly summary: ReportSummary
}

/**
 * Asks each daemon; one that fails costs its own limit and becomes an entry of `errors`. Skipped are nodes
 * without a daemon that were asked for by name, and what `--sample` left out. After Ctrl-C the result holds
 * what is known so far; the rest has code `Interrupted`.
 *
 * @param ask - gets an open Admin, which is closed afterwards. What it throws is that daemon's error.
 * @param onAnswer - gets each answer as it comes, in no order; the daemon keeps its place until it resolves.
 * @throws UsageError when there are more daemons than `--max-nodes`; what `onAnswer` throws; the signal's reason
 *   when it is aborted for another reason than Ctrl-C.
 */
export async function fanOut<T>(
  access: DaemonAccess,
  search: DaemonSearch,
  ask: (admin: Admin, daemon: FoundDaemon) => Promise<T>,
  onAnswer?: AskOptions<T>['onAnswer'],
): Promise<FanOutResult<T>> {
  const {missing} = search
  const {asked, left} = limitDaemons(search.found, access.choice)
  const outcomes = await askDaemons(fanOutDeps(access), asked, ask as Ask<T>, {onAnswer})
  const answers = outcomes.flatMap((outcome) => ('error' in outcome ? [] : [outcome]))
  const failures = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []))
  const untouched = failures.filter(isUntouched).length
  return {
    answers,
    errors: [
      ...failures,
      ...missing.map(({node}) => missingError(node, search.found.length === 0)),
      ...left.map(notSampledError),
    ],
    summary: {
      requested: search.found.length + missing.length,
      ok: answers.length,
      failed: failures.length - untouched,
      skipped: missing.length + left.length + untouched,
    },
  }
}

/** Not begun when the command was interrupted. */
function isUntouched({code, attempts}: ReportError): boolean {
  return code === 'Interrupted' && attempts === 0
}

function fanOutDeps({dialer, clock, signal, concurrency, ceiling, progress}: DaemonAccess): FanOutDeps {
  return {dialer, clock, signal, concurrency, ceiling, progress}
}

export function targetError(
  error: unknown,
  target: DaemonTarget,
  elapsedMs: number,
  attempts = 1,
): ReportError {
  return reportErrorOf(error, {
    node: target.node,
    pod: target.pod?.name ?? null,
    namespace: target.pod?.namespace ?? null,
    elapsedMs,
    attempts,
  })
}

/** A node without a daemon is skipped: it is said, and changes no exit status, unless there was nothing else. */
export function missingError(node: string, isAlone: boolean): ReportError {
  const exitCode = isAlone ? EXIT.failure : EXIT.ok
  const error = new KmeshError('no daemon runs on this node', {code: 'NoDaemonOnNode', exitCode})
  return reportErrorOf(error, {node, phase: 'find', attempts: 0})
}
