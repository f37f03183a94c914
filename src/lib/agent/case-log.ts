// SPDX-License-Identifier: Apache-2.0
/** Says each kind of wrong input once, then how often it came again: whoever sends it cannot fill the log. */
import type {Clock, Log, LogFields} from '../ports.ts'

const AGAIN_MS = 60_000
/** Kinds that are told apart; what comes above is one kind. */
const MAX_CASES = 200
const OTHER = 'other'

interface Case {
  saidMs: number
  unsaid: number
}

export class CaseLog {
  readonly #log: Log
  readonly #clock: Clock
  readonly #cases = new Map<string, Case>()

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** @param kind - tells cases apart, and is free of what a peer can choose */
  warn(kind: string, message: string, fields: LogFields = {}): void {
    const nowMs = this.#clock.monotonicMs()
    const key = this.#cases.has(kind) || this.#cases.size < MAX_CASES ? kind : OTHER
    const known = this.#cases.get(key)
    if (known === undefined) {
      this.#cases.set(key, {saidMs: nowMs, unsaid: 0})
      this.#log.warn(message, fields)
    } else if (nowMs - known.saidMs < AGAIN_MS) {
      known.unsaid += 1
    } else {
      this.#log.warn(message, {...fields, ...(known.unsaid > 0 ? {alsoBefore: known.unsaid} : {})})
      known.saidMs = nowMs
      known.unsaid = 0
    }
  }
}
