// SPDX-License-Identifier: Apache-2.0
// Goal: labels decide, the kernel follows, the annotation comes last; nothing is enrolled twice or left behind.
// Method: the enroller over a fake map, processes in memory and a fake clock.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {createWorld, KMESH, LABEL} from './enroll-world.ts'
import {pod} from './fakes.ts'

test('a labelled pod is captured and then annotated', async () => {
  const {node, clock, kube, cookies, start} = createWorld()
  node.run('uid-a', 4711n)
  const enroller = start()
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  assert.deepEqual(cookies(), [], 'nothing before the first lists are complete')
  enroller.start()
  await clock.advance(100)
  assert.deepEqual(cookies(), ['4711'])
  assert.deepEqual(kube.patches, [
    {
      name: 'shop/a',
      body: {metadata: {uid: 'uid-a', annotations: {'kmesh.net/redirection': 'enabled'}}},
    },
  ])
  assert.deepEqual(enroller.report(), [
    {
      namespace: 'shop',
      pod: 'a',
      uid: 'uid-a',
      cookie: '4711',
      classid: null,
      addresses: ['10.0.0.1'],
      since: enroller.report()[0]?.since,
      rule: 'PodLabelKmesh',
      intent: true,
      captured: true,
      bypass: {wanted: false, active: false, reason: null},
    },
  ])
})

test('the pod is written to disk before the kernel has it', async () => {
  const {node, files, clock, cookies, log, start} = createWorld()
  node.run('uid-a', 4711n)
  const enroller = start()
  enroller.start()
  files.failWrites = true
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  await clock.advance(100)
  assert.deepEqual(cookies(), [])
  assert.match(log.lines.join('\n'), /ENOSPC/)
  assert.equal(enroller.problems().length > 0, true)
  files.failWrites = false
  await clock.advance(3000)
  assert.deepEqual(cookies(), ['4711'])
  assert.deepEqual(enroller.problems(), [])
})

test('a pod without a process yet is captured as soon as it has one', async () => {
  const {node, clock, cookies, start} = createWorld()
  const enroller = start()
  enroller.start()
  enroller.podChanged(pod('shop/a', [], {...KMESH, phase: 'Pending'}))
  await clock.advance(5000)
  assert.equal(enroller.report()[0]?.captured, false)
  node.run('uid-a', 9n)
  await clock.advance(2000)
  assert.deepEqual(cookies(), ['9'])
})

test('a process on its way into the pod is not taken for the pod', async () => {
  const {node, clock, cookies, start} = createWorld()
  node.run('uid-a', 1n, 'node-namespace')
  const enroller = start()
  enroller.start()
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  await clock.advance(500)
  assert.deepEqual(cookies(), [])
  node.run('uid-a', 12n)
  await clock.advance(2000)
  assert.deepEqual(cookies(), ['12'])
})

describe('release', () => {
  async function captured() {
    const world = createWorld()
    world.node.run('uid-a', 7n)
    const enroller = world.start()
    enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
    enroller.start()
    await world.clock.advance(100)
    assert.deepEqual(world.cookies(), ['7'])
    return {...world, enroller}
  }

  test('when the label goes: kernel first, then the annotation', async () => {
    const {enroller, cookies, clock, kube} = await captured()
    const annotations = {'kmesh.net/redirection': 'enabled'}
    enroller.podChanged(pod('shop/a', ['10.0.0.1'], {annotations}))
    assert.deepEqual(cookies(), [])
    await clock.advance(10)
    assert.deepEqual(kube.patches.at(-1)?.body, {
      metadata: {uid: 'uid-a', annotations: {'kmesh.net/redirection': null}},
    })
  })

  test('when the pod ends or is deleted', async () => {
    const {enroller, cookies} = await captured()
    enroller.podChanged(pod('shop/a', ['10.0.0.1'], {...KMESH, phase: 'Failed'}))
    assert.deepEqual(cookies(), [])
    assert.deepEqual([enroller.report()[0]?.rule, enroller.report()[0]?.intent], ['PodLabelKmesh', false])
    enroller.podDeleted(pod('shop/a', ['10.0.0.1']))
    assert.deepEqual(enroller.report(), [])
  })

  test('a new sandbox: the new cookie in, the old one out', async () => {
    const {enroller, cookies, node, clock} = await captured()
    node.run('uid-a', 8n)
    enroller.podChanged(pod('shop/a', ['10.0.0.2'], KMESH))
    await clock.advance(100)
    assert.deepEqual(cookies(), ['8'])
  })

  test('a new sandbox that nobody told of is found by the check', async () => {
    const {cookies, node, clock} = await captured()
    node.run('uid-a', 8n)
    await clock.advance(31_000)
    assert.deepEqual(cookies(), ['8'])
  })

  test('what the report says of the kernel is read from the kernel', async () => {
    const {enroller, manage, clock} = await captured()
    const before = enroller.report()[0]
    await clock.advance(5000)
    manage.delete(Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    const after = enroller.report()[0]
    assert.deepEqual([before?.captured, after?.captured, after?.intent], [true, false, true])
    assert.notEqual(before?.since, after?.since)
  })
})

describe('namespaces', () => {
  test('live: a label acts on running pods, and its removal too', async () => {
    const {node, clock, cookies, namespaces, start} = createWorld()
    node.run('uid-a', 7n)
    const enroller = start()
    enroller.podChanged(pod('shop/a', ['10.0.0.1']))
    enroller.start()
    await clock.advance(100)
    assert.deepEqual(cookies(), [])
    namespaces.set('shop', {[LABEL]: 'Kmesh'})
    enroller.namespaceChanged('shop')
    assert.deepEqual(cookies(), ['7'])
    namespaces.delete('shop')
    enroller.namespaceChanged('shop')
    assert.deepEqual(cookies(), [])
  })

  test('untouched: only pods that come later, over a restart; pod labels act live', async () => {
    const {node, clock, cookies, namespaces, start} = createWorld()
    node.run('uid-a', 7n)
    node.run('uid-b', 8n)
    namespaces.set('shop', {})
    const enroller = start('untouched')
    enroller.podChanged(pod('shop/a', ['10.0.0.1']))
    enroller.start()
    namespaces.set('shop', {[LABEL]: 'kmesh'})
    enroller.namespaceChanged('shop')
    enroller.podChanged(pod('shop/b', ['10.0.0.2']))
    await clock.advance(100)
    assert.deepEqual(cookies(), ['8'])
    assert.deepEqual(
      enroller.report().map((entry) => [entry.pod, entry.rule, entry.intent]),
      [
        ['a', 'StartedBefore', false],
        ['b', 'NamespaceLabel', true],
      ],
    )
    const next = start('untouched')
    next.podChanged(pod('shop/a', ['10.0.0.1']))
    next.podChanged(pod('shop/b', ['10.0.0.2']))
    next.start()
    await clock.advance(100)
    assert.deepEqual(cookies(), ['8'])
    next.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
    assert.deepEqual(cookies(), ['7', '8'])
  })
})

test('a full map is said and tried again', async () => {
  const {bpf, node, clock, cookies, start} = createWorld()
  node.run('uid-a', 7n)
  const enroller = start()
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  bpf.failNext('update', 7)
  enroller.start()
  await clock.advance(100)
  assert.match(enroller.problems().join(), /pod shop\/a: .*E2BIG/)
  await clock.advance(2000)
  assert.deepEqual(cookies(), ['7'])
  assert.deepEqual(enroller.problems(), [])
})
