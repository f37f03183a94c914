// SPDX-License-Identifier: Apache-2.0

/** Lets some in, the others wait in the order in which they came. */
export class Gate {
  private readonly limit: number
  private inside = 0
  private readonly waiting: (() => void)[] = []

  constructor(limit: number) {
    this.limit = limit
  }

  /** Resolves to what the holder calls, once, when it leaves. @throws the signal's reason */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.inside < this.limit) this.inside += 1
    else await this.turn(signal)
    return () => this.leave()
  }

  private turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal.removeEventListener('abort', give)
        resolve()
      }
      const give = (): void => {
        this.waiting.splice(this.waiting.indexOf(go), 1)
        reject(signal.reason)
      }
      this.waiting.push(go)
      signal.addEventListener('abort', give, {once: true})
    })
  }

  /** The place goes to who waits longest. */
  private leave(): void {
    const next = this.waiting.shift()
    if (next === undefined) this.inside -= 1
    else next()
  }
}
