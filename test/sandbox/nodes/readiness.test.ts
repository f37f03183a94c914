// SPDX-License-Identifier: Apache-2.0
// Goal: thresholds of a readiness probe. Method: sequences of results by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {judgeOf} from '../../../src/lib/sandbox/nodes/readiness.ts'

function sequence(probe: Parameters<typeof judgeOf>[0], results: string): string {
  const judge = judgeOf(probe)
  return [...results].map((result) => (judge(result === '+' ? undefined : 'no').ready ? '+' : '-')).join('')
}

test('the defaults: one success makes ready, three failures unready', () => {
  assert.equal(sequence({}, '-+--+---+'), '-++++++-+')
})

test('thresholds are those of the probe', () => {
  assert.equal(sequence({successThreshold: 2, failureThreshold: 1}, '+-++-+'), '---+--')
})

test('the message is the last failure, and empty when ready', () => {
  const judge = judgeOf({})
  assert.equal(judge('refused').message, 'refused')
  assert.equal(judge(undefined).message, '')
  assert.deepEqual(judge('refused'), {ready: true, message: ''})
})
