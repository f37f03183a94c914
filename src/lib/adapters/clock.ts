// SPDX-License-Identifier: Apache-2.0
import type {Clock} from '../ports.ts'

/** The system's clocks and timers. */
export function createClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const onAbort = (): void => {
          clearTimeout(timer)
          reject(signal?.reason)
        }
        const timer = setTimeout(() => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }, delayMs)
        signal?.addEventListener('abort', onAbort, {once: true})
      }),
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs).unref()
      return () => clearTimeout(timer)
    },
  }
}
