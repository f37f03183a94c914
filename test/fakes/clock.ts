// SPDX-License-Identifier: Apache-2.0
import type {Clock} from '../../src/lib/ports.ts'

export interface FakeClock extends Clock {
  /** Lets time pass; timers run in their order, and promises settle in between. */
  advance(milliseconds: number): Promise<void>
  /** Somebody sets the wall clock; timers and the monotonic clock do not notice. */
  jump(milliseconds: number): void
  /** Delays of the timers that are set. */
  pending(): number[]
}

interface Timer {
  readonly atMs: number
  readonly run: () => void
}

/** A clock that stands still until a test moves it. Starts at 2026-01-01T00:00:00Z. */
export function fakeClock(startMs = Date.UTC(2026, 0, 1)): FakeClock {
  let elapsedMs = 0
  let wallMs = startMs
  const timers = new Set<Timer>()
  const set = (delayMs: number, run: () => void): (() => void) => {
    const timer = {atMs: elapsedMs + delayMs, run}
    timers.add(timer)
    return () => void timers.delete(timer)
  }
  return {
    nowMs: () => wallMs + elapsedMs,
    jump: (milliseconds) => {
      wallMs += milliseconds
    },
    monotonicMs: () => elapsedMs,
    after: set,
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const cancel = set(delayMs, resolve)
        signal?.addEventListener('abort', () => {
          cancel()
          reject(signal.reason)
        })
      }),
    pending: () => [...timers].map((timer) => timer.atMs - elapsedMs).sort((a, b) => a - b),
    advance: async (milliseconds) => {
      const endMs = elapsedMs + milliseconds
      await settle()
      for (;;) {
        const [next] = [...timers].filter((timer) => timer.atMs <= endMs).sort((a, b) => a.atMs - b.atMs)
        if (next === undefined) break
        elapsedMs = Math.max(elapsedMs, next.atMs)
        timers.delete(next)
        next.run()
        await settle()
      }
      elapsedMs = endMs
      await settle()
    },
  }
}

/** Lets everything run that waits for nothing but promises. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 5; round += 1) await new Promise((resolve) => setImmediate(resolve))
}
