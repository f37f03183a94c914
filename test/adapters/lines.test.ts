// SPDX-License-Identifier: Apache-2.0
// Goal: lines are the same however the bytes were cut; one that is too long costs none of those before it.
// Method: every size of chunk over one text by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {linesOf} from '../../src/lib/adapters/lines.ts'
import {UnreachableError} from '../../src/lib/errors.ts'

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size)
}

async function read(bytes: Buffer, size: number, most: number) {
  const lines: string[] = []
  try {
    for await (const line of linesOf(cut(bytes, size), most)) lines.push(line)
    return {lines}
  } catch (error) {
    return {lines, error}
  }
}

const TEXT = 'a\n\n{"Größe":1}\nxyz'
const LINES = ['a', '', '{"Größe":1}', 'xyz']

test('lines, whatever the chunks are', async () => {
  for (const [text, lines] of [
    [TEXT, LINES],
    [`${TEXT}\n`, LINES],
    ['\n', ['']],
    ['', []],
  ] as const)
    for (let size = 1; size <= 24; size += 1)
      assert.deepEqual(await read(Buffer.from(text), size, 13), {lines}, `${JSON.stringify(text)} by ${size}`)
})

test('a line of one byte too many is refused after the lines before it', async () => {
  for (const text of [TEXT, `${TEXT}\n`, '{"Größe":1}', '{"Größe":1}\n'])
    for (let size = 1; size <= 24; size += 1) {
      const {lines, error} = await read(Buffer.from(text), size, 12)
      assert.ok(error instanceof UnreachableError && error.code === 'TooLarge', `${text} by ${size}`)
      assert.deepEqual(lines, text.startsWith('a') ? ['a', ''] : [])
    }
})

test('bytes that are no UTF-8 become U+FFFD', async () => {
  const bytes = Buffer.from([0x61, 0xff, 10, 0xc3, 10, 0x62])
  for (const size of [1, 2, 6])
    assert.deepEqual(await read(bytes, size, 9), {lines: ['a\ufffd', '\ufffd', 'b']})
})
