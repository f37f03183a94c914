// SPDX-License-Identifier: Apache-2.0
import {UnreachableError} from '../errors.ts'
import type {Member} from '../ports.ts'
import {MemberReader} from './json-members.ts'

/**
 * Lines of a byte stream, without their line breaks; the last one may lack its own. Bytes that are no UTF-8
 * become U+FFFD. Holds one line at a time.
 *
 * @throws UnreachableError `read` for a line of more than `maxLineBytes`.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<string, void, undefined> {
  let parts: Uint8Array[] = []
  let held = 0
  const take = (part: Uint8Array): string => {
    const line =
      parts.length === 0
        ? Buffer.from(part.buffer, part.byteOffset, part.length)
        : Buffer.concat([...parts, part])
    parts = []
    held = 0
    return line.toString('utf8')
  }
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      if (held + end - start > maxLineBytes) throw tooLong(maxLineBytes)
      yield take(chunk.subarray(start, end))
      start = end + 1
    }
    if (start < chunk.length) {
      held += chunk.length - start
      if (held > maxLineBytes) throw tooLong(maxLineBytes)
      parts.push(chunk.subarray(start))
    }
  }
  if (parts.length > 0) yield take(new Uint8Array(0))
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
  const parts: Uint8Array[] = []
  let held = 0
  for await (const chunk of chunks) {
    held += chunk.length
    if (held > maxBytes) {
      throw new UnreachableError('read', `the answer is longer than ${maxBytes} bytes`, {code: 'TooLarge'})
    }
    parts.push(chunk)
  }
  return Buffer.concat(parts).toString('utf8')
}
