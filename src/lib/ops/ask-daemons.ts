// SPDX-License-Identifier: Apache-2.0
/** The engine below every command that asks several daemons: places, retries, failures, Ctrl-C. */
import {EXIT, KmeshError} from '../errors.ts'
import {type ReportError, type ReportPhase, reportErrorOf} from '../model/report.ts'
import type {Admin, TunnelListener} from '../ports.ts'
import type {FanOutDeps} from './access.ts'
import type {FoundDaemon} from './daemons.ts'
import {MAX_CONCURRENCY, Pace, type Place} from './pace.ts'
import {retrying} from './retry.ts'

export type Ask<T> = (admin: Admin, daemon: FoundDaemon) => Promise<T>

export type Outcome<T> =
  | {readonly daemon: FoundDaemon; readonly value: T}
  | {readonly daemon: FoundDaemon; readonly error: ReportError}

export interface AskOptions<T> {
  /** Gets each answer as it comes; the daemon keeps its place until it resolves. What it throws ends everything. */
  readonly onAnswer?: ((daemon: FoundDaemon, value: T) => Promise<void> | void) | undefined
  /** Endpoints that answered stay open; the dialer closes them. */
  readonly keepOpen?: boolean
}

/** What is left of the places when the API server says that it is busy, and when it drops a handshake. */
const CUT = {busy: 0.5, dropped: 0.75, node: 1} as const

/** Where one daemon stands. */
interface State {
  readonly startMs: number
  attempts: number
  phase: ReportPhase
}

/**
 * Outcomes in the order of the daemons.
 *
 * @throws what `onAnswer` throws; the signal's reason, except for Ctrl-C: then what is not known yet is
 *   `Interrupted`, with 0 attempts where it was not begun.
 */
export function askDaemons<T>(
  deps: FanOutDeps,
  daemons: readonly FoundDaemon[],
  ask: Ask<T>,
  options: AskOptions<T> = {},
): Promise<readonly Outcome<T>[]> {
  const run = new Run(deps, daemons, ask, options)
  return run.finished
}

class Run<T> {
  readonly finished: Promise<readonly Outcome<T>[]>
  private readonly deps: FanOutDeps
  private readonly daemons: readonly FoundDaemon[]
  private readonly ask: Ask<T>
  private readonly options: AskOptions<T>
  private readonly outcomes: (Outcome<T> | undefined)[]
  private readonly states = new Map<number, State>()
  private readonly pace: Pace
  private settle: {resolve: (all: readonly Outcome<T>[]) => void; reject: (error: unknown) => void}
  private next = 0
  private done = 0
  private failed = 0
  private isOver = false

  constructor(deps: FanOutDeps, daemons: readonly FoundDaemon[], ask: Ask<T>, options: AskOptions<T>) {
    this.deps = deps
    this.daemons = daemons
    this.ask = ask
    this.options = options
    this.outcomes = Array.from({length: daemons.length})
    const {concurrency: start, ceiling = MAX_CONCURRENCY, clock} = deps
    this.pace = new Pace({start, ceiling: Math.max(start, ceiling), clock}, () => this.fill())
    const {promise, resolve, reject} = Promise.withResolvers<readonly Outcome<T>[]>()
    this.finished = promise
    this.settle = {resolve, reject}
    deps.signal.addEventListener('abort', this.onAbort, {once: true})
    deps.progress?.update({total: daemons.length, done: 0, failed: 0})
    if (deps.signal.aborted) this.onAbort()
    else this.fill()
  }

  private fill(): void {
    while (!this.isOver && this.next < this.daemons.length && this.pace.isFree()) {
      const index = this.next
      this.next += 1
      void this.askOne(index)
    }
    if (!this.isOver && this.done === this.daemons.length) this.end()
  }

  private async askOne(index: number): Promise<void> {
    const daemon = this.daemons[index] as FoundDaemon
    const {clock, dialer} = this.deps
    const place = this.pace.enter()
    const state: State = {startMs: clock.monotonicMs(), attempts: 1, phase: 'connect'}
    this.states.set(index, state)
    const unlisten = dialer.tunnels?.listen(daemon.target, this.listener(place, state))
    const dialled = dialer.dial(daemon.target)
    const admin = this.wrap(dialled, place, state, dialer.tunnels === undefined)
    let isKept = false
    try {
      const value = await this.ask(admin, daemon)
      if (!this.isOver) await this.take(daemon, value)
      this.outcomes[index] = {daemon, value}
      isKept = this.options.keepOpen === true
    } catch (error) {
      if (this.isOver) return
      this.outcomes[index] = {daemon, error: this.failure(error, daemon, state)}
      this.failed += 1
    } finally {
      if (!isKept) await dialled.close().catch(() => undefined)
      unlisten?.()
      this.states.delete(index)
      this.done += 1
      this.tell()
      place.leave()
    }
  }

  private async take(daemon: FoundDaemon, value: T): Promise<void> {
    try {
      await this.options.onAnswer?.(daemon, value)
    } catch (error) {
      this.close()
      this.settle.reject(error)
    }
  }

  private wrap(admin: Admin, place: Place, state: State, isDirect: boolean): Admin {
    const {clock, signal, random = Math.random} = this.deps
    return retrying(admin, {
      clock,
      signal,
      random,
      isOpen: () => isDirect || state.phase !== 'connect',
      onAsk: place.asked,
      onRetry: () => {
        state.attempts += 1
      },
    })
  }

  private listener(place: Place, state: State): TunnelListener {
    return {
      opened: () => {
        state.phase = 'request'
        place.opened()
      },
      heard: place.heard,
      failed: (why) => this.pace.cut(CUT[why]),
      retried: () => {
        state.attempts += 1
      },
    }
  }

  private failure(error: unknown, {target}: FoundDaemon, {startMs, attempts}: State): ReportError {
    const {node, pod} = target
    const elapsedMs = this.deps.clock.monotonicMs() - startMs
    const where = {node, pod: pod?.name ?? null, namespace: pod?.namespace ?? null}
    return reportErrorOf(error, {...where, elapsedMs, attempts})
  }

  private tell(): void {
    if (this.isOver) return
    this.deps.progress?.update({total: this.daemons.length, done: this.done, failed: this.failed})
  }

  private readonly onAbort = (): void => {
    if (this.isOver) return
    const {reason} = this.deps.signal
    if (!isInterrupt(reason)) {
      this.close()
      this.settle.reject(reason)
      return
    }
    this.daemons.forEach((daemon, index) => {
      this.outcomes[index] ??= {daemon, error: this.interrupted(daemon, this.states.get(index), reason)}
    })
    this.end()
  }

  private interrupted(daemon: FoundDaemon, state: State | undefined, reason: KmeshError): ReportError {
    const message = state === undefined ? 'not asked any more' : 'interrupted before its answer was complete'
    const error = new KmeshError(message, {code: 'Interrupted', exitCode: reason.exitCode})
    const {target} = daemon
    const where = {node: target.node, pod: target.pod?.name ?? null}
    if (state === undefined) return reportErrorOf(error, {...where, attempts: 0})
    const {attempts, phase} = state
    const elapsedMs = this.deps.clock.monotonicMs() - state.startMs
    return reportErrorOf(error, {...where, phase, attempts, elapsedMs})
  }

  private end(): void {
    this.close()
    this.settle.resolve(this.outcomes as readonly Outcome<T>[])
  }

  private close(): void {
    this.isOver = true
    this.deps.signal.removeEventListener('abort', this.onAbort)
    this.deps.progress?.close()
  }
}

/** SIGINT or SIGTERM: what is known is still wanted. */
function isInterrupt(reason: unknown): reason is KmeshError {
  if (!(reason instanceof KmeshError)) return false
  return [EXIT.interrupted, EXIT.terminated, EXIT.hangUp].some((code) => code === reason.exitCode)
}
