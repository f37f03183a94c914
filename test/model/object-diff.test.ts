// SPDX-License-Identifier: Apache-2.0
// Goal: what changes between two objects is told so that people see it, and what the server counts by itself is not.
// Method: pairs by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {KubeObject} from '../../src/lib/model/kube.ts'
import {objectChanges} from '../../src/lib/model/object-diff.ts'

for (const [what, before, after, expected] of [
  ['equal', {a: {b: 1}}, {a: {b: 1}}, []],
  ['a value', {a: {b: 1}}, {a: {b: 2}}, ['spec.a.b: 1 -> 2']],
  ['one that goes', {a: {b: 1}}, {a: {}}, ['spec.a.b: 1 -> <none>']],
  ['an element in its place', {list: ['x', 'y']}, {list: ['x', 'z']}, ['spec.list[1]: y -> z']],
  [
    'elements that come and go',
    {list: ['x', 'y']},
    {list: ['y', 'z', 'q']},
    ['spec.list: <none> -> q', 'spec.list: <none> -> z', 'spec.list: x -> <none>'],
  ],
  [
    'elements with names',
    {v: [{name: 'a', p: 1}, {name: 'b'}]},
    {v: [{name: 'b', q: 2}]},
    ['spec.v[a]: {"name":"a","p":1} -> <none>', 'spec.v[b].q: <none> -> 2'],
  ],
  ['a long text', {t: 'x'.repeat(100)}, {t: ''}, [`spec.t: ${'x'.repeat(60)}... -> `]],
] as const) {
  test(`${what}`, () => {
    const object = (spec: object): KubeObject => ({metadata: {name: 'n'}, spec}) as KubeObject
    assert.deepEqual(objectChanges(object(before), object(after)), expected)
  })
}

test('status and what every write counts are no changes; labels are', () => {
  const before = {metadata: {resourceVersion: '1', generation: 1, labels: {a: '1'}}, status: {ready: 1}}
  const after = {
    metadata: {resourceVersion: '2', generation: 2, labels: {a: '2'}, annotations: {}},
    status: {},
  }
  assert.deepEqual(objectChanges(before, after), ['metadata.labels.a: 1 -> 2'])
})
