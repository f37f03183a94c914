// SPDX-License-Identifier: Apache-2.0
// Goal: manifests become objects with a place, or a usage error before anything is created. Method: texts by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {UsageError} from '../../src/lib/errors.ts'
import {collectionOf, parseManifests} from '../../src/lib/sandbox/manifests.ts'

test('several documents, JSON and lists', () => {
  const text = `
apiVersion: v1
kind: Namespace
metadata: {name: a}
---
# nothing here
---
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "b", "namespace": "a"}}]}
`
  const objects = parseManifests(text, 'x.yaml')
  assert.deepEqual(
    objects.map(({kind, metadata}) => `${kind}/${metadata.name}`),
    ['Namespace/a', 'Deployment/b'],
  )
})

for (const [what, text, message] of [
  ['broken YAML', 'a: [', /x\.yaml: /],
  ['no kind', 'apiVersion: v1\nmetadata: {}', /no apiVersion or kind/],
  ['no metadata', 'apiVersion: v1\nkind: Pod', /a Pod has no metadata/],
  ['a text', 'hello', /no apiVersion or kind/],
] as const) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => parseManifests(text, 'x.yaml'),
      (error) => error instanceof UsageError && message.test(error.message),
    )
  })
}

test('where objects are created', () => {
  const at = (apiVersion: string, kind: string, namespace?: string) =>
    collectionOf({apiVersion, kind, metadata: {name: 'x', ...(namespace === undefined ? {} : {namespace})}})
  assert.deepEqual(at('v1', 'Namespace', 'ignored'), {group: '', version: 'v1', resource: 'namespaces'})
  assert.deepEqual(at('v1', 'Pod'), {group: '', version: 'v1', resource: 'pods', namespace: 'default'})
  assert.deepEqual(at('apps/v1', 'Deployment', 'a'), {
    group: 'apps',
    version: 'v1',
    resource: 'deployments',
    namespace: 'a',
  })
  assert.throws(() => at('batch/v1', 'Job'), /the sandbox has no batch\/v1 Job/)
})
