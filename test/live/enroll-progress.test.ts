// SPDX-License-Identifier: Apache-2.0
// Goal: progress lines come with a change and at most every 10 s; the store counts on between steps.
// Method: a clock that stands still until it is moved.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {ProgressStore, progressLine, progressLines} from '../../src/lib/live/enroll-progress.ts'
import type {WaitProgress} from '../../src/lib/model/plan-progress.ts'
import {fakeClock} from '../fakes/clock.ts'

const step = (reached: number, elapsedMs: number): WaitProgress => ({
  total: 3,
  reached,
  gone: 0,
  pending: ['shop/a', 'shop/b', 'shop/c'].slice(reached),
  elapsedMs,
})

test('the first line at once, the next after 10 s with the last state, none without a change', async () => {
  const clock = fakeClock()
  const lines: string[] = []
  const sink = progressLines('enroll', clock, (line) => lines.push(line))
  sink.update(step(0, 0))
  await clock.advance(1000)
  sink.update(step(1, 1000))
  await clock.advance(1000)
  sink.update(step(2, 2000))
  await clock.advance(7999)
  assert.deepEqual(lines, ['0 of 3 pods captured after 0 s, waiting for shop/a, shop/b, shop/c'])
  await clock.advance(1)
  assert.deepEqual(lines.slice(1), ['2 of 3 pods captured after 2 s, waiting for shop/c'])
  await clock.advance(60_000)
  assert.equal(lines.length, 2)
  sink.update(step(3, 72_000))
  assert.deepEqual(lines.slice(2), ['3 of 3 pods captured after 72 s'])
})

test('nothing comes after the end', async () => {
  const clock = fakeClock()
  const lines: string[] = []
  const sink = progressLines('unenroll', clock, (line) => lines.push(line))
  sink.update(step(0, 0))
  sink.update(step(1, 10))
  sink.close()
  await clock.advance(60_000)
  assert.equal(lines.length, 1)
  assert.deepEqual(clock.pending(), [])
})

test('many names are cut, gone pods are counted', () => {
  const pending = Array.from({length: 12}, (_, index) => `shop/p${index}`)
  const line = progressLine('unenroll', {total: 15, reached: 2, gone: 1, pending, elapsedMs: 4400})
  assert.equal(
    line,
    '2 of 15 pods released after 4 s, 1 gone, waiting for shop/p0, shop/p1, shop/p2 and 9 more',
  )
})

test('the store tells each step and counts the time between them', async () => {
  const clock = fakeClock()
  const store = new ProgressStore(clock)
  let told = 0
  store.subscribe(() => {
    told += 1
  })
  await clock.advance(5000)
  store.update(step(1, 2000))
  assert.deepEqual([told, store.get()?.reached, store.get()?.elapsedMs], [1, 1, 2000])
  assert.equal(store.get(), store.get())
  await clock.advance(250)
  assert.deepEqual([told, store.get()?.elapsedMs], [2, 2250])
  store.close()
  await clock.advance(1000)
  assert.equal(told, 2)
  assert.deepEqual(clock.pending(), [])
})
