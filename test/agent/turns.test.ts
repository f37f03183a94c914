// SPDX-License-Identifier: Apache-2.0
// Goal: everybody has a turn, and no turn is larger than it may be.
// Method: turns of lists of several lengths, one that changes too.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {Turns} from '../../src/lib/agent/turns.ts'

const numbers = (count: number) => Array.from({length: count}, (_empty, at) => at)

test('a short list whole, a long one in turns, round and round', () => {
  assert.deepEqual(new Turns(3).next(numbers(3)), [0, 1, 2])
  const turns = new Turns(3)
  const taken = Array.from({length: 4}, () => turns.next(numbers(5)))
  assert.deepEqual(taken, [
    [0, 1, 2],
    [3, 4, 0],
    [1, 2, 3],
    [4, 0, 1],
  ])
})

test('a list that shrinks and grows leaves nobody out for long', () => {
  const turns = new Turns(4)
  turns.next(numbers(10))
  turns.next(numbers(6))
  const seen = new Set(numbers(5).flatMap(() => turns.next(numbers(12))))
  assert.equal(seen.size, 12)
})
