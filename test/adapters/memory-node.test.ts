// SPDX-License-Identifier: Apache-2.0
// Goal: pods without namespaces have identities that differ, last, and are never the node's.
// Method: the ports as the agent asks them.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {memoryNetns, memoryProc, memorySidecarRules} from '../../src/lib/adapters/memory-node.ts'

test('every pod is found, with a cookie of its own that stays', async () => {
  const proc = memoryProc()
  const found = await proc.podNamespaces(new Set(['uid-a', 'uid-b']))
  assert.deepEqual([...found.keys()], ['uid-a', 'uid-b'])
  const cookies = [...found.values()].map(({path}) => memoryNetns().cookie(path))
  assert.notEqual(cookies[0], cookies[1])
  const again = await memoryProc().podNamespaces(new Set(['uid-a']))
  assert.equal(memoryNetns().cookie(again.get('uid-a')?.path ?? ''), cookies[0])
  assert.ok(cookies.every((cookie) => cookie > 0n && cookie < 2n ** 64n))
  assert.equal(proc.nodeNamespaces().size, 0)
})

test('nothing pretends to run inside a namespace', () => {
  assert.throws(() => memoryNetns().within('memory:uid-a', () => 1), /no network namespaces in memory/)
  assert.throws(() => memoryNetns().socket('memory:uid-a', 4), /no network namespaces in memory/)
})

test('rules of a namespace stand until they are removed, and in no other', async () => {
  const rules = memorySidecarRules()
  const standing = {redirection: 'none', complete: true, present: true}
  const gone = {redirection: 'none', complete: false, present: false}
  assert.deepEqual(await rules.look('memory:a'), gone)
  assert.deepEqual(await rules.put('memory:a'), standing)
  assert.deepEqual(await rules.look('memory:a'), standing)
  assert.deepEqual(await rules.look('memory:b'), gone)
  await rules.remove('memory:a')
  assert.deepEqual(await rules.look('memory:a'), gone)
})
