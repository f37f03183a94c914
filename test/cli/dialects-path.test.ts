// SPDX-License-Identifier: Apache-2.0
// Goal: path with every Go daemon says what Kubernetes knows and, hop by hop, what that daemon cannot tell; it fails never.
// Method: the built program against the recorded-answer daemons, each as the daemon of the client's node.
import assert from 'node:assert/strict'
import {after, before, test} from 'node:test'
import type {PathHop, PathItem} from '../../src/lib/model/path.ts'
import {CELLS, type DialectCluster, startDialectCluster} from './dialects-fixture.ts'
import {checkDocument} from './document-schema.ts'

let cluster: DialectCluster
before(async () => {
  cluster = await startDialectCluster()
})
after(() => cluster.close())

for (const {node, version} of CELLS) {
  test(`path from a pod of ${node}`, async () => {
    cluster.reset()
    const {code, stdout, stderr} = await cluster.run(['path', `shop/${node}`, 'shop/web:80', '-o', 'json'])
    assert.equal(stderr, '')
    const document = JSON.parse(stdout) as {kind: string; items: readonly PathItem[]}
    checkDocument(document)
    const [item] = document.items
    assert.ok(item !== undefined)
    const [managed, ...rest] = item.hops as readonly PathHop[]
    // v0.4 does not know the pod's label `none`: its namespace counts.
    assert.equal(
      managed?.kubernetes,
      version === 'v0.4.0' ? 'enrolled (NamespaceLabel)' : 'not enrolled (PodLabelNone)',
    )
    assert.equal(managed?.state, 'unknown')
    assert.match(managed?.note ?? '', /does not tell whom it has captured; annotation: not captured/)
    assert.deepEqual(
      rest.map(({state}) => state),
      [...Array(8).fill('skipped'), 'ok'],
    )
    assert.equal(item.verdict, 'works')
    assert.equal(item.ways[0]?.pods.length, CELLS.length)
    assert.equal(code, 0)
  })
}

test('as a table: states by signs, one closing sentence; -o jsonl: a line each', async () => {
  cluster.reset()
  const node = CELLS[0]?.node
  const {code, stdout, stderr} = await cluster.run(['path', `shop/${node}`, 'shop/web'])
  assert.equal(stderr, '')
  assert.match(stdout, /^managed +\? unknown /m)
  assert.match(stdout, /^frontend +\. skipped /m)
  assert.match(stdout, /^receives +\+ ok /m)
  assert.match(stdout, /one of 12 pods of shop\/web, chosen by kube service routing: [^;]+; it works\n$/)
  assert.equal(code, 0)
  const lines = await cluster.run(['path', `shop/${node}`, '10.96.0.80:80', '-o', 'jsonl'])
  assert.deepEqual(
    lines.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).type),
    ['ITEM', 'SUMMARY'],
  )
})

test('a predicted failure is exit status 3; --trace outside a sandbox is refused before anything is asked', async () => {
  cluster.reset()
  const client = `shop/${CELLS[0]?.node}`
  const failing = await cluster.run(['path', client, 'shop/web:81'])
  assert.match(failing.stdout, /it fails; found: NoServicePort\n$/)
  assert.equal(failing.code, 3)
  const refused = await cluster.run(['path', client, 'shop/web:80', '--trace'])
  assert.match(
    refused.stderr,
    /^error: --trace connects for real, in a sandbox only: https:\S+ is none on this machine/,
  )
  assert.deepEqual([refused.code, refused.stdout], [2, ''])
})
