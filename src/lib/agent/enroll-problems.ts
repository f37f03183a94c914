// SPDX-License-Identifier: Apache-2.0
/** What of enrollment does not work now: said once, kept for the report. */
import {messageOf} from '../errors.ts'
import type {Log} from '../ports.ts'

export class EnrollProblems {
  readonly #texts = new Map<string, string>()
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  /**
   * @param subject - what the message begins with
   * @returns what was thrown, undefined where it worked
   */
  guard(key: string, subject: string, run: () => void): unknown {
    try {
      run()
      this.#texts.delete(key)
      return undefined
    } catch (error) {
      const text = `${subject}: ${messageOf(error)}`
      if (this.#texts.get(key) !== text) this.#log.error(text)
      this.#texts.set(key, text)
      return error ?? new Error('failed')
    }
  }

  forget(key: string): void {
    this.#texts.delete(key)
  }

  texts(): readonly string[] {
    return [...this.#texts.values()]
  }
}
