// SPDX-License-Identifier: Apache-2.0
// Goal: an object read in pieces is the object that JSON.parse gives, wherever it is cut; what is no object is refused.
// Method: seeded random objects, printed tight or wide and cut anywhere; texts by hand; random garbage.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {MemberReader} from '../../src/lib/adapters/json-members.ts'
import {UnreachableError} from '../../src/lib/errors.ts'
import {SeededRandom} from '../model/random.ts'

function readAll(
  text: string,
  cuts: readonly number[] = [],
  maxCharacters = 10_000,
): Record<string, unknown> {
  const reader = new MemberReader(maxCharacters)
  const result: Record<string, unknown> = {}
  let start = 0
  for (const end of [...cuts, text.length]) {
    for (const {name, isItem, value} of reader.push(text.slice(start, end))) {
      if (isItem) (result[name] as unknown[]).push(value)
      else result[name] = value
    }
    start = end
  }
  reader.end()
  return result
}

function value(random: SeededRandom, depth: number): unknown {
  const kind = random.below(depth > 0 ? 7 : 5)
  if (kind === 0) return null
  if (kind === 1) return random.below(1_000_000)
  if (kind < 5) return random.pick(['', 'a', '"', '\\', '\\"]', '[{,:}]', 'ü\u2028', 'x'.repeat(20)])
  const items = random.list(4, () => value(random, depth - 1))
  return kind === 5
    ? items
    : Object.fromEntries(items.map((item, at) => [random.pick(['k', '{', '"', ',']) + at, item]))
}

test('what comes in pieces is what JSON.parse gives', () => {
  const random = new SeededRandom(99)
  for (let turn = 0; turn < 1000; turn += 1) {
    const names = ['a', 'b]', '"c', '{', ',e'].slice(0, random.below(6))
    const object = Object.fromEntries(names.map((name) => [name, value(random, 3)]))
    const text = JSON.stringify(object, null, random.pick([0, 1, 4]))
    const cuts = random.list(6, () => random.below(text.length + 1)).sort((a, b) => a - b)
    assert.deepEqual(readAll(` ${text}\n`, cuts), object)
  }
})

test('elements come before the object is over, and only one of them is held', () => {
  const reader = new MemberReader(100)
  assert.deepEqual(reader.push('{"a": [1, {"b": [2]},'), [
    {name: 'a', isItem: false, value: []},
    {name: 'a', isItem: true, value: 1},
    {name: 'a', isItem: true, value: {b: [2]}},
  ])
  for (let turn = 0; turn < 1000; turn += 1) assert.equal(reader.push(' "0123456789",').length, 1)
  assert.throws(() => reader.push(`"${'x'.repeat(101)}`), {code: 'TooLarge'})
})

test('what is no object is refused, what ends too early is cut', () => {
  for (const text of [
    '',
    'OK',
    '[]',
    '<html>',
    '1',
    '"a"',
    '{}{}',
    '{} x',
    '{a}',
    '{"a"}',
    '{"a":[1}',
    '{"a":[1,,2]}',
    '{"a":[}]}',
    '{]',
    '{"a":1 "b":2}',
    '{"a":[1]"b"}',
  ]) {
    assert.throws(() => readAll(text), {code: 'BadAnswer'}, text)
  }
  for (const text of ['{', '{"a', '{"a":[', '{"a":[1]', '{"a":{}', '{"a":["x']) {
    assert.throws(() => readAll(text), {code: 'Cut'}, text)
  }
})

test('garbage never crashes', () => {
  const random = new SeededRandom(7)
  for (let turn = 0; turn < 5000; turn += 1) {
    const text = random
      .list(30, () => random.pick(['{', '}', '[', ']', ',', ':', '"', '\\', 'a', '1', ' ', '"a":']))
      .join('')
    try {
      readAll(text, [Math.floor(text.length / 2)])
    } catch (error) {
      assert.ok(error instanceof UnreachableError, `${text}: ${String(error)}`)
    }
  }
})
