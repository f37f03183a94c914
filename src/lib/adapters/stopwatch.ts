// SPDX-License-Identifier: Apache-2.0
import {type Phase, UnreachableError} from '../errors.ts'
import type {Clock} from '../ports.ts'

/**
 * Limit on the time that one request waits for the other side. Time in which we are busy with what came
 * (somebody reads our output slowly) does not count, so that a dump into a pager does not expire.
 */
export class Stopwatch {
  phase: Phase
  expired = false
  readonly limitMs: number
  readonly signal: AbortSignal
  private readonly clock: Clock
  private readonly controller = new AbortController()
  private readonly outer: AbortSignal | undefined
  private leftMs: number

  /** @param limitMs - 0 is no limit. */
  constructor(clock: Clock, limitMs: number, outer: AbortSignal | undefined, phase: Phase) {
    this.clock = clock
    this.limitMs = limitMs
    this.leftMs = limitMs
    this.phase = phase
    this.signal = this.controller.signal
    this.outer = outer
    if (outer?.aborted) this.onOuterAbort()
    outer?.addEventListener('abort', this.onOuterAbort, {once: true})
  }

  /** Waits under the limit. `settled` runs before the result is handed on, also on failure. */
  async wait<T>(promise: Promise<T>, settled: () => void = () => undefined): Promise<T> {
    const startMs = this.clock.monotonicMs()
    const stop =
      this.limitMs === 0 ? () => undefined : this.clock.after(Math.max(0, this.leftMs), this.expire)
    try {
      return await promise
    } finally {
      stop()
      settled()
      this.leftMs -= this.clock.monotonicMs() - startMs
    }
  }

  /** The chunks of a body, each waited for under the limit. @throws UnreachableError `TooLarge` past `maxBytes`. */
  async *chunks(
    body: AsyncIterable<Uint8Array>,
    maxBytes = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const iterator = body[Symbol.asyncIterator]()
    let total = 0
    try {
      for (;;) {
        const next = await this.wait(Promise.resolve(iterator.next()))
        if (next.done) return
        total += next.value.length
        if (total > maxBytes) {
          throw new UnreachableError('read', `the answer is longer than ${maxBytes} bytes`, {
            code: 'TooLarge',
          })
        }
        yield next.value
      }
    } finally {
      await iterator.return?.()
    }
  }

  close(): void {
    this.outer?.removeEventListener('abort', this.onOuterAbort)
  }

  private readonly expire = (): void => {
    this.expired = true
    this.controller.abort(new Error('deadline'))
  }

  private readonly onOuterAbort = (): void => {
    this.controller.abort(this.outer?.reason)
  }
}
