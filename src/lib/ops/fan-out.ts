// SPDX-License-Identifier: Apache-2.0
/** The same question to many daemons, a bounded number at a time; every daemon is accounted for. */
import {EXIT, KmeshError} from '../errors.ts'
import type {DaemonTarget} from '../model/api.ts'
import {type ReportError, type ReportSummary, reportErrorOf} from '../model/report.ts'
import type {Admin} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import type {DaemonSearch, FoundDaemon} from './daemons.ts'

export interface FanOutResult<T> {
  /** In the order of the daemons, failed ones left out. */
  readonly answers: readonly {readonly daemon: FoundDaemon; readonly value: T}[]
  readonly errors: readonly ReportError[]
  readonly summary: ReportSummary
}

/**
 * Asks each daemon; one that fails costs its own limit and becomes an entry of `errors`. Nodes without a daemon
 * that were asked for by name count as skipped.
 *
 * @param ask - gets an open Admin, which is closed afterwards. What it throws is that daemon's error.
 * @throws the signal's reason when it is aborted; nothing else.
 */
export async function fanOut<T>(
  access: DaemonAccess,
  search: DaemonSearch,
  ask: (admin: Admin, daemon: FoundDaemon) => Promise<T>,
): Promise<FanOutResult<T>> {
  const {found, missing} = search
  const slots: (T | undefined)[] = Array.from({length: found.length})
  const failures: (ReportError | undefined)[] = Array.from({length: found.length})
  await eachLimited(found.length, access.concurrency, async (index) => {
    const daemon = found[index]
    if (daemon === undefined) return
    access.signal.throwIfAborted()
    const startMs = access.clock.monotonicMs()
    const admin = access.dialer.dial(daemon.target)
    try {
      slots[index] = await ask(admin, daemon)
    } catch (error) {
      access.signal.throwIfAborted()
      failures[index] = targetError(error, daemon.target, access.clock.monotonicMs() - startMs)
    } finally {
      await admin.close()
    }
  })
  const errors = failures.filter((failure) => failure !== undefined)
  const answers = found.flatMap((daemon, index) =>
    failures[index] === undefined ? [{daemon, value: slots[index] as T}] : [],
  )
  return {
    answers,
    errors: [...errors, ...missing.map(({node}) => missingError(node, found.length === 0))],
    summary: {
      requested: found.length + missing.length,
      ok: answers.length,
      failed: errors.length,
      skipped: missing.length,
    },
  }
}

export function targetError(error: unknown, target: DaemonTarget, elapsedMs: number): ReportError {
  return reportErrorOf(error, {
    node: target.node,
    pod: target.pod?.name ?? null,
    namespace: target.pod?.namespace ?? null,
    elapsedMs,
  })
}

/** A node without a daemon is skipped: it is said, and changes no exit status, unless there was nothing else. */
export function missingError(node: string, isAlone: boolean): ReportError {
  const exitCode = isAlone ? EXIT.failure : EXIT.ok
  const error = new KmeshError('no daemon runs on this node', {code: 'NoDaemonOnNode', exitCode})
  return reportErrorOf(error, {node, phase: 'find', attempts: 0})
}

/** Runs `work(0)` to `work(count - 1)`, at most `limit` at a time. The first rejection ends it. */
async function eachLimited(
  count: number,
  limit: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next
      next += 1
      await work(index)
    }
  }
  await Promise.all(Array.from({length: Math.min(limit, count)}, worker))
}
