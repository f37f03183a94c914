// SPDX-License-Identifier: Apache-2.0
import {UnreachableError} from '../errors.ts'
import type {Member} from '../ports.ts'
import {MemberReader} from './json-members.ts'

const LINE_BREAK = 10

/**
 * Lines of a byte stream, without their line breaks; the last one may lack its own. Bytes that are no UTF-8
 * become U+FFFD. Holds one chunk and one line at a time.
 *
 * @throws UnreachableError `read` for a line of more than `maxLineBytes`, after those before it.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<string, void, undefined> {
  for await (const lines of lineGroups(chunks, maxLineBytes)) yield* lines
}

/** The same lines, those that ended in one chunk together. */
export async function* lineGroups(
  chunks: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<readonly string[], void, undefined> {
  let parts: Uint8Array[] = []
  let held = 0
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(LINE_BREAK)
    if (end >= 0) {
      const whole = joined(parts, chunk.subarray(0, end))
      const good = goodBytes(whole, maxLineBytes)
      if (good > 0) yield whole.toString('utf8', 0, good - 1).split('\n')
      if (good <= whole.length) throw tooLong(maxLineBytes)
      parts = []
      held = 0
    }
    const rest = chunk.subarray(end + 1)
    held += rest.length
    if (held > maxLineBytes) throw tooLong(maxLineBytes)
    if (rest.length > 0) parts.push(rest)
  }
  if (parts.length > 0) yield [joined(parts, new Uint8Array(0)).toString('utf8')]
}

function joined(parts: readonly Uint8Array[], last: Uint8Array): Buffer {
  if (parts.length === 0) return Buffer.from(last.buffer, last.byteOffset, last.length)
  return Buffer.concat([...parts, last])
}

/** Length, with their line breaks, of the lines before the first one that is too long; the last one's stands behind `bytes`. */
function goodBytes(bytes: Buffer, maxLineBytes: number): number {
  let start = 0
  while (bytes.length - start > maxLineBytes) {
    const found = bytes.indexOf(LINE_BREAK, start)
    const end = found < 0 ? bytes.length : found
    if (end - start > maxLineBytes) return start
    start = end + 1
  }
  return bytes.length + 1
}

/** The members of one JSON object, a chunk's at a time. @throws UnreachableError of {@link MemberReader} */
export async function* membersOf(
  chunks: AsyncIterable<Uint8Array>,
  maxCharacters: number,
): AsyncGenerator<readonly Member[], void, undefined> {
  const reader = new MemberReader(maxCharacters)
  const decoder = new TextDecoder()
  for await (const chunk of chunks) {
    const members = reader.push(decoder.decode(chunk, {stream: true}))
    if (members.length > 0) yield members
  }
  reader.end()
}

function tooLong(maxLineBytes: number): UnreachableError {
  return new UnreachableError('read', `a line is longer than ${maxLineBytes} bytes`, {code: 'TooLarge'})
}

/** The whole body as text. @throws UnreachableError `read`, code `TooLarge`, as soon as the limit is passed. */
export async function textOf(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  return (await bytesOf(chunks, maxBytes)).toString('utf8')
}

/** The whole body in a buffer of its own. @throws as {@link textOf} */
export async function bytesOf(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let held = 0
  for await (const chunk of chunks) {
    held += chunk.length
    if (held > maxBytes) {
      throw new UnreachableError('read', `the answer is longer than ${maxBytes} bytes`, {code: 'TooLarge'})
    }
    parts.push(chunk)
  }
  return Buffer.concat(parts)
}
