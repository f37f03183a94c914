// SPDX-License-Identifier: Apache-2.0
// Goal: a node that Kmesh leaves has no rule of ours in any pod, and none of the node's own is touched.
// Method: the state file of an agent on fakes, with processes in memory.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {BYPASSED_FILE} from '../../src/lib/agent/bypass-state.ts'
import {uninstallBypass} from '../../src/lib/agent/bypass-uninstall.ts'
import {BypassStage, ENROLLED} from './bypass-stage.ts'

async function leftBehind(): Promise<BypassStage> {
  const stage = new BypassStage(ENROLLED)
  await stage.start()
  stage.stop()
  return stage
}

test('rules go, then the note', async () => {
  const {world} = await leftBehind()
  assert.equal(await uninstallBypass({...world, proc: world.node}), true)
  assert.deepEqual([...world.rules.whole], [])
  assert.equal(world.files.read(BYPASSED_FILE), undefined)
  assert.equal(await uninstallBypass({...world, proc: world.node}), true, 'twice')
})

test('what fails is said and kept for the next time', async () => {
  const {world} = await leftBehind()
  world.rules.failWith = new Error('iptables is locked')
  assert.equal(await uninstallBypass({...world, proc: world.node}), false)
  assert.match(world.log.lines.join('\n'), /error pod shop\/a: cannot give .* back: iptables is locked/)
  assert.notEqual(world.files.read(BYPASSED_FILE), undefined)
  world.rules.failWith = undefined
  assert.equal(await uninstallBypass({...world, proc: world.node}), true)
  assert.deepEqual([...world.rules.whole], [])
})

test('a namespace that is gone, and one that is the node’s', async () => {
  const {world} = await leftBehind()
  const calls = world.rules.calls.length
  world.node.run('uid-a', 7n, 'node-namespace')
  assert.equal(await uninstallBypass({...world, proc: world.node}), true)
  const again = await leftBehind()
  again.world.node.pods.clear()
  assert.equal(await uninstallBypass({...again.world, proc: again.world.node}), true)
  assert.equal(world.rules.calls.length, calls)
})
