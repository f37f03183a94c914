// SPDX-License-Identifier: Apache-2.0
/** How often one pod may change sides: some times at once, then once a second; so often it is written and logged. */
import type {Clock} from '../ports.ts'

const DEFAULT = {burst: 10, eachMs: 1000}

export class SwitchLimit {
  readonly #clock: Clock
  readonly #burst: number
  readonly #eachMs: number
  /** When the debt of all switches so far is paid; in the past where none is left. */
  readonly #paidMs = new Map<string, number>()

  constructor(clock: Clock, {burst, eachMs} = DEFAULT) {
    this.#clock = clock
    this.#burst = burst
    this.#eachMs = eachMs
  }

  /** 0: now, and it is counted. Else ask again after so many milliseconds. */
  take(uid: string): number {
    const nowMs = this.#clock.monotonicMs()
    const paidMs = Math.max(nowMs, this.#paidMs.get(uid) ?? nowMs)
    const waitMs = paidMs + this.#eachMs - nowMs - this.#burst * this.#eachMs
    if (waitMs > 0) return waitMs
    this.#paidMs.set(uid, paidMs + this.#eachMs)
    return 0
  }

  forget(uid: string): void {
    this.#paidMs.delete(uid)
  }
}
