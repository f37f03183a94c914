// SPDX-License-Identifier: Apache-2.0
// Goal: what is cut out of JSON is what was not asked for, and nothing else; what is no JSON is never taken for some.
// Method: written cases, and seeded random documents against JSON.parse followed by the same cut on objects.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {cutJson} from '../../src/lib/adapters/json-cut.ts'
import type {FieldTree} from '../../src/lib/ports.ts'
import {SeededRandom} from '../model/random.ts'

const cut = (text: string, fields: FieldTree): string | undefined => {
  const left = cutJson(Buffer.from(text), fields)
  return left === undefined ? undefined : Buffer.from(left).toString()
}

const CASES: readonly (readonly [string, string, FieldTree, string | undefined])[] = [
  ['members', '{"a":1,"b":[2,{"c":3}],"d":null}', {b: true}, '{"b":[2,{"c":3}]}'],
  ['below', '{"a":{"x":1,"y":2},"b":3}', {a: {y: true}}, '{"a":{"y":2}}'],
  ['of each element', '{"a":[{"x":1,"y":2},{"y":3},7]}', {a: {y: true}}, '{"a":[{"y":2},{"y":3},7]}'],
  ['blanks', ' { "a" : [ 1 , { "x" : 2 } ] , "b" : 3 } ', {a: {x: true}}, '{"a" : [1 ,{"x" : 2 }]}'],
  ['brackets and quotes in texts', '{"z":"]}\\"{,","a":"\\\\"}', {a: true}, '{"a":"\\\\"}'],
  ['empty ones', '{"a":{},"b":[],"c":{}}', {a: {x: true}, b: {x: true}}, '{"a":{},"b":[]}'],
  ['more than ASCII', '{"ü":"\u{1f600}","a":"ä"}', {a: true}, '{"a":"ä"}'],
  ['null in place of an object', '{"a":null,"b":1}', {a: {x: true}}, '{"a":null}'],
  ['a name in escapes', '{"\\u0061":{"\\u0078":1,"y":2},"b":3}', {a: {x: true}}, '{"\\u0061":{"\\u0078":1}}'],
  ['a name with a quote', '{"x\\"y":1,"x":2}', {'x"y': true}, '{"x\\"y":1}'],
  ['a name that is no text', '{"a\\q":1,"b":2}', {b: true}, '{"b":2}'],
  ['twice: the last one counts', '{"a":{"x":1},"a":{"y":2}}', {a: {x: true}}, '{"a":{"x":1},"a":{}}'],
  ['cut off', '{"a":1,"b":{"c":"', {a: true}, undefined],
  ['cut off in a name', '{"a', {a: true}, undefined],
  ['no object', '[1]', {a: true}, undefined],
  ['nothing', '', {a: true}, undefined],
  ['more behind it', '{"a":1}{"b":2}', {a: true}, undefined],
  ['no name', '{"a":1,}', {a: true}, undefined],
]
for (const [title, text, fields, expected] of CASES) {
  test(title, () => assert.equal(cut(text, fields), expected))
}

test('lists in lists cannot exhaust the stack', () => {
  const deep = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`
  assert.equal(cut(deep, {a: {x: true}})?.length, deep.length)
})

function reduced(value: unknown, tree: FieldTree | true): unknown {
  if (tree === true || typeof value !== 'object' || value === null) return value
  // Lists in lists stay whole.
  if (Array.isArray(value)) return value.map((item) => (Array.isArray(item) ? item : reduced(item, tree)))
  const kept = Object.entries(value).filter(([name]) => Object.hasOwn(tree, name))
  return Object.fromEntries(
    kept.map(([name, below]) => [name, reduced(below, tree[name] as FieldTree | true)]),
  )
}

test('2,000 random documents', () => {
  const random = new SeededRandom(20260301)
  const pick = (count: number): number => random.below(count)
  const names = ['a', 'b', 'ab', 'ä', 'x"y']
  const texts = ['', '"', '\\', '{[', '}],', 'ü\u{1f600}', '\n']
  const make = (depth: number): unknown => {
    const kind = depth === 0 ? pick(3) : pick(5)
    if (kind === 0) return texts[pick(texts.length)]
    if (kind === 1) return pick(1000) - 500.5
    if (kind === 2) return [true, false, null][pick(3)]
    if (kind === 3) return Array.from({length: pick(4)}, () => make(depth - 1))
    return Object.fromEntries(
      Array.from({length: pick(5)}, () => [names[pick(names.length)], make(depth - 1)]),
    )
  }
  const tree: FieldTree = {a: {a: true, b: {ab: true}}, ab: true, ä: {a: {}}}
  for (let run = 0; run < 2000; run += 1) {
    const document = {a: make(4), b: make(4), ab: make(3), ä: make(4)}
    const text = JSON.stringify(document, null, pick(3))
    assert.deepEqual(JSON.parse(cut(text, tree) ?? 'null'), reduced(document, tree), text)
  }
})
