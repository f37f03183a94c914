// SPDX-License-Identifier: Apache-2.0
import type {Clock} from '../ports.ts'

const BURST = 10
const REFILL_MS = 30_000

/** Two writers who undo each other must not do so for ever: ten times at once, then once in 30 s. */
export class PutLimit {
  readonly #clock: Clock
  #left = BURST
  #sinceMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sinceMs = clock.monotonicMs()
  }

  /** Until the next one is allowed; 0: now. */
  waitMs(): number {
    const passedMs = this.#clock.monotonicMs() - this.#sinceMs
    const refills = Math.floor(passedMs / REFILL_MS)
    this.#sinceMs += refills * REFILL_MS
    this.#left = Math.min(BURST, this.#left + refills)
    if (this.#left > 0) return 0
    return this.#sinceMs + REFILL_MS - this.#clock.monotonicMs()
  }

  /** It was needed so often that somebody must be undoing it. */
  get isFought(): boolean {
    return this.#left <= 1
  }

  count(): void {
    this.#left -= 1
  }
}
