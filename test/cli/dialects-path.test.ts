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
