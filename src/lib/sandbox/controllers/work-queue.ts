// SPDX-License-Identifier: Apache-2.0
import {KubeStatusError, messageOf} from '../../errors.ts'
import type {Clock, Log} from '../../ports.ts'

export interface WorkQueue {
  /** Has `run` called for the key soon; many calls before it starts count as one. */
  add(key: string): void
  /** The same after a delay. */
  addLater(key: string, delayMs: number): void
  close(): void
}

const FIRST_RETRY_MS = 20
const LAST_RETRY_MS = 5_000

/**
 * Runs the reconciliation of a controller: one run of a key at a time, several keys at once, failures again with
 * growing delays (20 ms, doubling to 5 s).
 */
export function createWorkQueue(
  name: string,
  clock: Clock,
  log: Log,
  run: (key: string) => Promise<void>,
): WorkQueue {
  const running = new Set<string>()
  const again = new Set<string>()
  const failures = new Map<string, number>()
  const timers = new Map<string, () => void>()
  let isClosed = false

  function add(key: string): void {
    if (isClosed) return
    if (running.has(key)) {
      again.add(key)
      return
    }
    running.add(key)
    queueMicrotask(() => void work(key))
  }

  async function work(key: string): Promise<void> {
    try {
      if (!isClosed) await run(key)
      failures.delete(key)
    } catch (thrown) {
      retry(key, thrown)
    }
    running.delete(key)
    if (again.delete(key)) add(key)
  }

  function retry(key: string, thrown: unknown): void {
    if (isClosed) return
    const count = failures.get(key) ?? 0
    failures.set(key, count + 1)
    const level = isBehind(thrown) || count < 3 ? 'debug' : 'warn'
    log[level](`${name} failed, will try again`, {key, error: messageOf(thrown)})
    addLater(key, Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(count, 20)))
  }

  function addLater(key: string, delayMs: number): void {
    if (isClosed) return
    timers.get(key)?.()
    const stop = clock.after(delayMs, () => {
      timers.delete(key)
      add(key)
    })
    timers.set(key, stop)
  }

  function close(): void {
    isClosed = true
    for (const stop of timers.values()) stop()
    timers.clear()
  }

  return {add, addLater, close}
}

/** The ordinary ways to learn that the cache is behind: a conflict, and a namespace that is on its end. */
function isBehind(thrown: unknown): boolean {
  if (!(thrown instanceof KubeStatusError)) return false
  return thrown.status === 409 || (thrown.status === 403 && thrown.message.includes('it is being terminated'))
}
