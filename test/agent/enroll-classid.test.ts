// SPDX-License-Identifier: Apache-2.0
// Goal: with --identity classid pods are known by the class of their cgroup, and a change of the option moves them.
// Method: Enroller on fakes; classes and cookies after each step.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {ENROLLED_FILE} from '../../src/lib/agent/enroll-state.ts'
import {createWorld, KMESH} from './enroll-world.ts'
import {pod} from './fakes.ts'

const CLASSID = 0x1000

function createClassWorld() {
  const world = createWorld()
  world.setIdentity('classid')
  world.node.run('uid-a', 7n)
  world.node.classes.set('uid-a', 0)
  return world
}

async function captured() {
  const world = createClassWorld()
  const enroller = world.start()
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  enroller.start()
  await world.clock.advance(100)
  assert.deepEqual([world.node.classes.get('uid-a'), world.cookies()], [CLASSID, []])
  return {...world, enroller}
}

test('put, reported, claimed, and taken back with the label', async () => {
  const {enroller, node, kube, clock} = await captured()
  const [entry] = enroller.report()
  assert.deepEqual([entry?.classid, entry?.cookie, entry?.captured], [CLASSID, '7', true])
  assert.equal(kube.patches.length, 1)
  enroller.podChanged(pod('shop/a', ['10.0.0.1']))
  await clock.advance(100)
  assert.equal(node.classes.get('uid-a'), 0)
  assert.deepEqual([enroller.report()[0]?.classid, enroller.report()[0]?.captured], [0, false])
})

test('a pod without a cgroup, and a class of somebody else: said, and tried again', async () => {
  const {node, clock, start} = createClassWorld()
  node.classes.delete('uid-a')
  const enroller = start()
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  enroller.start()
  await clock.advance(100)
  assert.deepEqual(enroller.problems(), ['pod shop/a: it has no cgroup of net_cls'])
  node.classes.set('uid-a', 66)
  await clock.advance(1100)
  assert.deepEqual(enroller.problems(), ['pod shop/a: a class of somebody else'])
  assert.equal(node.classes.get('uid-a'), 66)
  node.classes.set('uid-a', 0)
  await clock.advance(1100)
  assert.deepEqual([node.classes.get('uid-a'), enroller.problems()], [CLASSID, []])
})

test('a restart adopts without a write; a pod that is gone loses its class', async () => {
  const {start, files, clock, node} = await captured()
  const saved = files.contents.get(ENROLLED_FILE)
  const second = start()
  second.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  second.start()
  await clock.advance(100)
  assert.equal(second.report()[0]?.captured, true)
  assert.equal(files.contents.get(ENROLLED_FILE), saved)
  start('live', false).start()
  assert.equal(node.classes.get('uid-a'), 0, 'also where the maps are new')
})

test('another identity moves the pods: the new mark first, then the old one goes', async () => {
  const world = await captured()
  const {node, cookies, clock} = world
  const next = async () => {
    const enroller = world.start()
    enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
    enroller.start()
    await clock.advance(100)
    return enroller
  }
  world.setIdentity('netns')
  const byCookie = await next()
  assert.deepEqual([node.classes.get('uid-a'), cookies()], [0, ['7']])
  assert.deepEqual([byCookie.report()[0]?.classid, byCookie.report()[0]?.captured], [null, true])
  world.setIdentity('classid')
  await next()
  assert.deepEqual([node.classes.get('uid-a'), cookies()], [CLASSID, []])
})
