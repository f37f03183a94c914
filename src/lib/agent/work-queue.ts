// SPDX-License-Identifier: Apache-2.0
/** Keys to look at again: each once however often it was named, in short turns, failed ones later again. */
import {setImmediate} from 'node:timers'
import {messageOf} from '../errors.ts'
import type {Clock, Log} from '../ports.ts'

/** One turn; the event loop runs between turns. */
const TURN_MS = 10
const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 30_000

export class WorkQueue {
  readonly #work: (key: string) => void
  readonly #onIdle: () => void
  readonly #clock: Clock
  readonly #log: Log
  readonly #keys = new Set<string>()
  readonly #failures = new Map<string, {readonly attempts: number; readonly message: string}>()
  #started = false
  #stopped = false
  #scheduled = false

  /** @param work - throws where the key has to be tried again */
  constructor(clock: Clock, log: Log, work: (key: string) => void, onIdle: () => void) {
    this.#clock = clock
    this.#log = log
    this.#work = work
    this.#onIdle = onIdle
  }

  /** Before this, keys are only collected. */
  start(): void {
    this.#started = true
    this.#schedule()
  }

  stop(): void {
    this.#stopped = true
  }

  add(key: string): void {
    this.#keys.add(key)
    this.#schedule()
  }

  get size(): number {
    return this.#keys.size
  }

  /** Key -> why its last try failed. */
  failures(): ReadonlyMap<string, {readonly attempts: number; readonly message: string}> {
    return this.#failures
  }

  #schedule(): void {
    if (!this.#started || this.#scheduled || this.#stopped) return
    this.#scheduled = true
    setImmediate(() => this.#turn())
  }

  #turn(): void {
    this.#scheduled = false
    if (this.#stopped) return
    const endMs = this.#clock.monotonicMs() + TURN_MS
    for (const key of this.#keys) {
      this.#keys.delete(key)
      this.#try(key)
      if (this.#clock.monotonicMs() >= endMs) break
    }
    if (this.#keys.size > 0) this.#schedule()
    else this.#onIdle()
  }

  #try(key: string): void {
    try {
      this.#work(key)
      if (this.#failures.delete(key)) this.#log.info(`${key}: in order again`)
    } catch (error) {
      this.#retryLater(key, messageOf(error))
    }
  }

  #retryLater(key: string, message: string): void {
    const before = this.#failures.get(key)
    const attempts = (before?.attempts ?? 0) + 1
    const delayMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempts - 1))
    if (before?.message !== message) this.#log.error(`${key}: ${message}; trying again in ${delayMs} ms`)
    this.#failures.set(key, {attempts, message})
    this.#clock.after(delayMs, () => this.add(key))
  }
}
