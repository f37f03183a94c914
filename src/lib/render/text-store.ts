// SPDX-License-Identifier: Apache-2.0

const CHUNK_BYTES = 1024 * 1024
/** UTF-8 of one UTF-16 unit at most. */
const UNIT_BYTES = 3

/** Many texts as bytes in a few large pieces: the collector of garbage has nothing to walk through. */
export class TextStore {
  private chunk = Buffer.alloc(0)
  private used = 0
  private readonly chunks: Buffer[] = []
  private readonly chunkOf: number[] = []
  private readonly starts: number[] = []
  private readonly ends: number[] = []

  /** @returns its number, counted from 0 */
  add(text: string): number {
    const mostBytes = text.length * UNIT_BYTES
    if (this.chunk.length - this.used < mostBytes) this.grow(mostBytes)
    const start = this.used
    this.used += this.chunk.write(text, start, 'utf8')
    this.starts.push(start)
    this.ends.push(this.used)
    return this.chunkOf.push(this.chunks.length - 1) - 1
  }

  /** Text that is no Unicode (half a surrogate pair) has U+FFFD, as on any output. */
  get(number: number): string {
    const chunk = this.chunks[this.chunkOf[number] ?? -1]
    if (chunk === undefined) throw new RangeError(`there is no text ${number}`)
    return chunk.toString('utf8', this.starts[number], this.ends[number])
  }

  private grow(bytes: number): void {
    this.chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes))
    this.chunks.push(this.chunk)
    this.used = 0
  }
}
