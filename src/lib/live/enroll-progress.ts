// SPDX-License-Identifier: Apache-2.0
/** How far a wait has come: a store for a live view, and plain lines where nothing may move. */
import type {PlanAction} from '../model/plan.ts'
import type {WaitProgress} from '../model/plan-progress.ts'
import type {Clock} from '../ports.ts'

/** What a command does with each step of a wait. */
export interface ProgressSink {
  update(progress: WaitProgress): void
  /** No more steps come. */
  close(): void
}

const TICK_MS = 250

/** Holds the last step and tells listeners; the elapsed time goes on between steps. */
export class ProgressStore implements ProgressSink {
  private readonly clock: Clock
  private readonly listeners = new Set<() => void>()
  private step: WaitProgress | undefined
  private offsetMs = 0
  private stopTick: (() => void) | undefined

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** The same object until something changed. */
  readonly get = (): WaitProgress | undefined => this.step

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  update(progress: WaitProgress): void {
    this.offsetMs = this.clock.monotonicMs() - progress.elapsedMs
    this.set(progress)
    this.stopTick ??= this.clock.after(TICK_MS, () => this.tick())
  }

  close(): void {
    this.stopTick?.()
    this.listeners.clear()
  }

  private tick(): void {
    if (this.step) this.set({...this.step, elapsedMs: this.clock.monotonicMs() - this.offsetMs})
    this.stopTick = this.clock.after(TICK_MS, () => this.tick())
  }

  private set(step: WaitProgress): void {
    this.step = step
    for (const listener of this.listeners) listener()
  }
}

export const LINE_PAUSE_MS = 10_000

/** One line a change, at most every 10 s; what changed meanwhile is in the next line. */
export function progressLines(action: PlanAction, clock: Clock, write: (line: string) => void): ProgressSink {
  let waiting: WaitProgress | undefined
  let stopTimer: (() => void) | undefined
  const flush = (): void => {
    stopTimer = undefined
    if (waiting === undefined) return
    write(progressLine(action, waiting))
    waiting = undefined
    stopTimer = clock.after(LINE_PAUSE_MS, flush)
  }
  return {
    update: (progress) => {
      waiting = progress
      if (stopTimer === undefined) flush()
    },
    close: () => stopTimer?.(),
  }
}

/** `3 of 12 pods captured after 4 s, waiting for shop/a, shop/b and 7 more`. */
export function progressLine(action: PlanAction, progress: WaitProgress): string {
  const {total, reached, gone, pending, elapsedMs} = progress
  const done = action === 'enroll' ? 'captured' : 'released'
  const names = pending.slice(0, 3).join(', ')
  const more = pending.length > 3 ? ` and ${pending.length - 3} more` : ''
  return [
    `${reached} of ${total} ${total === 1 ? 'pod' : 'pods'} ${done} after ${Math.round(elapsedMs / 1000)} s`,
    gone > 0 ? `, ${gone} gone` : '',
    pending.length > 0 ? `, waiting for ${names}${more}` : '',
  ].join('')
}
