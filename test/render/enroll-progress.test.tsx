// SPDX-License-Identifier: Apache-2.0
// Goal: the live view draws what the store holds, cuts long lists, lets no escape code through, and goes away.
// Method: Ink on a stream that keeps what was written.
import assert from 'node:assert/strict'
import {Writable} from 'node:stream'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import type {WaitProgress} from '../../src/lib/model/plan-progress.ts'
import {showProgress} from '../../src/lib/render/enroll-progress.tsx'

class Screen extends Writable {
  readonly columns = 80
  readonly rows = 24
  readonly isTTY = true
  text = ''

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString('utf8')
    done()
  }
}

/** Waits, 2 s at most, until `is` holds. */
async function until(is: () => boolean): Promise<void> {
  for (let waited = 0; !is() && waited < 2000; waited += 10) await sleep(10)
}

test('draws steps as they come, and takes the drawing away', async () => {
  let step: WaitProgress | undefined
  let tell = (): void => undefined
  const source = {
    get: () => step,
    subscribe: (listener: () => void) => {
      tell = listener
      return () => undefined
    },
  }
  const screen = new Screen()
  const hide = showProgress(screen as unknown as NodeJS.WriteStream, 'enroll', source)
  const pending = ['shop/a\u001b[2J', 'shop/b', 'shop/c', 'shop/d', 'shop/e', 'shop/f', 'shop/g']
  step = {total: 8, reached: 1, gone: 0, pending, elapsedMs: 3999}
  tell()
  await until(() => screen.text.includes('and 2 more'))
  assert.match(screen.text, /1\/8 captured {2}3 s/)
  assert.match(screen.text, /waiting for shop\/e/)
  assert.match(screen.text, /and 2 more/)
  assert.doesNotMatch(screen.text, /shop\/f|\[2J/)
  step = {total: 8, reached: 7, gone: 1, pending: [], elapsedMs: 4000}
  tell()
  await until(() => screen.text.includes('7/8'))
  assert.match(screen.text, /#{24}.*7\/8 captured, 1 gone/)
  const before = screen.text.length
  hide()
  await until(() => screen.text.length > before)
  assert.match(screen.text.slice(before), /\u001b\[2K/)
})
