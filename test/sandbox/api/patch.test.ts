// SPDX-License-Identifier: Apache-2.0
// Goal: patches do what their standards say, and hostile ones do no harm.
// Method: documents and patches by hand; the strategic cases follow the Kubernetes documentation's examples.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {parseJson} from '../../../src/lib/sandbox/api/decode.ts'
import {applyPatch} from '../../../src/lib/sandbox/api/patch.ts'

const merge = (document: object, patch: unknown): unknown =>
  applyPatch('application/merge-patch+json; charset=utf-8', JSON.stringify(patch), document)
const strategic = (document: object, patch: unknown): unknown =>
  applyPatch('application/strategic-merge-patch+json', JSON.stringify(patch), document)
const json = (document: object, patch: unknown): unknown =>
  applyPatch('application/json-patch+json', JSON.stringify(patch), document)

test('merge patch replaces lists, removes by null, makes objects of values', () => {
  const before = {a: {b: 1, c: [1, 2]}, d: 'text'}
  assert.deepEqual(merge(before, {a: {b: null, c: [3]}, d: {e: {f: null}}}), {a: {c: [3]}, d: {e: {}}})
  assert.deepEqual(before, {a: {b: 1, c: [1, 2]}, d: 'text'})
})

test('a patch cannot reach the prototype of objects', () => {
  const patched = applyPatch('application/merge-patch+json', '{"__proto__":{"polluted":1}}', {}) as object
  assert.equal(Object.getPrototypeOf(patched), Object.prototype)
  assert.equal(({} as {polluted?: number}).polluted, undefined)
  assert.throws(() => json({}, [{op: 'add', path: '/__proto__/polluted', value: 1}]), {code: 422})
})

test('JSON patch: faults of the patch are 422 or 400, never a crash', () => {
  assert.throws(() => json({a: 1}, [{op: 'remove', path: '/b'}]), {code: 422})
  assert.throws(() => json({a: 1}, [{op: 'fly', path: '/a'}]), {code: 422})
  assert.throws(() => json({a: 1}, {op: 'remove', path: '/a'}), {code: 400})
  const bomb = Array.from({length: 40}, () => ({op: 'copy', from: '/a', path: '/a/-'}))
  assert.throws(() => json({a: ['x'.repeat(100)]}, bomb), {code: 422})
  assert.throws(() => merge({}, 'text'), {code: 400})
  assert.throws(() => applyPatch('text/plain', '{}', {}), {code: 415})
})

test('bodies that are nested without end are refused', () => {
  assert.throws(() => parseJson(`${'['.repeat(100_000)}${']'.repeat(100_000)}`), {code: 400})
  assert.deepEqual(parseJson('{"a":[{"b":null}]}'), {a: [{b: null}]})
})

test('strategic merge: lists with a key merge by it, others are replaced', () => {
  const pod = {
    spec: {
      containers: [
        {name: 'web', image: 'one', ports: [{containerPort: 80, name: 'http'}], args: ['a', 'b']},
        {name: 'side', image: 'two'},
      ],
    },
  }
  const patch = {
    spec: {
      containers: [
        {name: 'web', ports: [{containerPort: 80, name: 'web'}, {containerPort: 81}], args: ['c']},
        {name: 'new', image: 'three'},
        {name: 'side', $patch: 'delete'},
      ],
      '$setElementOrder/containers': [{name: 'web'}, {name: 'new'}],
    },
  }
  assert.deepEqual(strategic(pod, patch), {
    spec: {
      containers: [
        {
          name: 'web',
          image: 'one',
          ports: [{containerPort: 80, name: 'web'}, {containerPort: 81}],
          args: ['c'],
        },
        {name: 'new', image: 'three'},
      ],
    },
  })
})

test('strategic merge: directives for maps and lists', () => {
  const before = {
    metadata: {finalizers: ['a', 'b']},
    spec: {strategy: {type: 'RollingUpdate', rollingUpdate: {maxSurge: 1}}, taints: [{key: 'x'}]},
  }
  assert.deepEqual(strategic(before, {spec: {strategy: {$retainKeys: ['type'], type: 'Recreate'}}}), {
    ...before,
    spec: {...before.spec, strategy: {type: 'Recreate'}},
  })
  assert.deepEqual(
    strategic(before, {metadata: {finalizers: ['c'], '$deleteFromPrimitiveList/finalizers': ['a']}}),
    {
      ...before,
      metadata: {finalizers: ['b', 'c']},
    },
  )
  assert.deepEqual(strategic(before, {spec: {taints: [{$patch: 'replace'}, {key: 'y'}]}}), {
    ...before,
    spec: {...before.spec, taints: [{key: 'y'}]},
  })
  assert.deepEqual(strategic({a: {b: 1}}, {a: {$patch: 'replace', c: 2}}), {a: {c: 2}})
  assert.throws(() => strategic({a: {b: 1}}, {a: {$patch: 'explode'}}), {code: 400})
  assert.throws(() => strategic({}, {containers: [{image: 'nameless'}, {name: 'a'}]}), {code: 400})
})
