// SPDX-License-Identifier: Apache-2.0
/** What the sandbox's tests share. */
import {setTimeout as sleep} from 'node:timers/promises'
import type {Clock} from '../../src/lib/ports.ts'

/** The system's clock. */
export function testClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: async (delayMs, signal) => {
      await sleep(delayMs, undefined, {signal})
    },
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs)
      timer.unref()
      return () => clearTimeout(timer)
    },
  }
}
