// SPDX-License-Identifier: Apache-2.0
import type {Clock} from '../ports.ts'
import type {Terminal} from './terminal.ts'

const BATCH_CHARACTERS = 64 * 1024
const DELAY_MS = 50

/** Joins small writes to stdout. What waits is written after a moment, so that a slow stream is seen as it comes. */
export class OutputBatch {
  private readonly terminal: Pick<Terminal, 'out'>
  private readonly clock: Clock
  private parts: string[] = []
  private held = 0
  private stop: (() => void) | undefined
  private failure: {readonly error: unknown} | undefined

  constructor(terminal: Pick<Terminal, 'out'>, clock: Clock) {
    this.terminal = terminal
    this.clock = clock
  }

  /** Undefined: taken. A promise: wait for it before the next one. @throws what an earlier write failed with. */
  add(text: string): Promise<void> | undefined {
    if (this.failure !== undefined) throw this.failure.error
    this.parts.push(text)
    this.held += text.length
    if (this.held >= BATCH_CHARACTERS) return this.flush()
    this.stop ??= this.clock.after(DELAY_MS, () => {
      this.flush().catch((error) => {
        this.failure = {error}
      })
    })
    return undefined
  }

  async flush(): Promise<void> {
    this.stop?.()
    this.stop = undefined
    const text = this.parts.join('')
    this.parts = []
    this.held = 0
    await this.terminal.out(text)
  }
}
