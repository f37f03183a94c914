// SPDX-License-Identifier: Apache-2.0
// Goal: as many as the limit are inside, the rest in turn; who gives up loses its turn and nobody else's.
// Method: a gate for two, four who ask, one of whom gives up.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {GarbageMeter} from '../../src/lib/adapters/garbage.ts'
import {Gate} from '../../src/lib/adapters/gate.ts'

test('two inside, the others in turn', async () => {
  const gate = new Gate(2)
  const {signal} = new AbortController()
  const giver = new AbortController()
  const seen: string[] = []
  const enter = (name: string, by = signal) =>
    gate.enter(by).then((leave) => {
      seen.push(name)
      return leave
    })
  const leaveA = await enter('a')
  await enter('b')
  const gaveUp = assert.rejects(enter('c', giver.signal), /enough/)
  const waiting = enter('d')
  giver.abort(new Error('enough'))
  await gaveUp
  assert.deepEqual(seen, ['a', 'b'])
  leaveA()
  const leaveD = await waiting
  assert.deepEqual(seen, ['a', 'b', 'd'])
  leaveD()
  await enter('e')
  assert.deepEqual(seen, ['a', 'b', 'd', 'e'])
  await assert.rejects(enter('f', giver.signal), /enough/)
})

test('garbage is collected once for every few megabytes', () => {
  let runs = 0
  const meter = new GarbageMeter(() => {
    runs += 1
  })
  for (let turn = 0; turn < 96; turn += 1) meter.add(65_536)
  assert.equal(runs, 2)
})
