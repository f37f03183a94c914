// SPDX-License-Identifier: Apache-2.0
// Goal: a restarted agent knows its pods again and writes nothing twice; annotations follow the kernel in the end.
// Method: Enroller on fakes, one after the other over the same map and files.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {ENROLLED_FILE} from '../../src/lib/agent/enroll-state.ts'
import {createWorld, KMESH} from './enroll-world.ts'
import {pod} from './fakes.ts'

describe('restart', () => {
  test('enrolled pods are adopted without a write, and keep their time', async () => {
    const {bpf, node, clock, start, cookies} = createWorld()
    node.run('uid-a', 7n)
    const first = start()
    first.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
    first.start()
    await clock.advance(100)
    const {since} = first.report()[0] ?? {}
    const writes = bpf.writes.length
    const second = start()
    second.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
    second.start()
    assert.equal(second.report()[0]?.captured, true, 'known at once, before any search')
    await clock.advance(5000)
    assert.equal(bpf.writes.length, writes)
    assert.deepEqual(cookies(), ['7'])
    assert.equal(second.report()[0]?.since, since)
  })

  test('cookies of pods that are gone are taken out, those of others stay', async () => {
    const {node, clock, start, cookies, manage} = createWorld()
    node.run('uid-a', 7n)
    const first = start()
    first.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
    first.start()
    await clock.advance(100)
    manage.update(Uint8Array.of(99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), new Uint8Array(4))
    start().start()
    assert.deepEqual(cookies(), ['99'])
  })

  test('with new maps the cookies of before mean nothing', () => {
    const {files, manage, cookies, start} = createWorld()
    const record = {'uid-old': {namespace: 'shop', pod: 'old', cookie: '99', sinceMs: 1}}
    files.contents.set(ENROLLED_FILE, JSON.stringify(record))
    manage.update(Uint8Array.of(99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), new Uint8Array(4))
    start('live', false).start()
    assert.deepEqual(cookies(), ['99'])
  })
})

describe('annotation', () => {
  test('failures are retried and never keep a pod from being captured', async () => {
    const {node, clock, kube, cookies, start} = createWorld()
    node.run('uid-a', 7n)
    kube.failWith = 409
    const enroller = start()
    enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
    enroller.start()
    await clock.advance(1000)
    assert.deepEqual(cookies(), ['7'])
    assert.ok(kube.patches.length >= 2, 'tried again')
    assert.match(enroller.problems().join(), /shop\/a: cannot write the annotation: status 409/)
    kube.failWith = undefined
    await clock.advance(30_000)
    const tries = kube.patches.length
    await clock.advance(60_000)
    assert.equal(kube.patches.length, tries, 'done')
    assert.deepEqual(enroller.problems(), [])
  })

  test('a pod that is gone is let go, one that says it already is left alone', async () => {
    const {node, clock, kube, start} = createWorld()
    node.run('uid-a', 7n)
    node.run('uid-b', 8n)
    kube.failWith = 404
    const enroller = start()
    enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
    enroller.podChanged(
      pod('shop/b', ['10.0.0.2'], {...KMESH, annotations: {'kmesh.net/redirection': 'enabled'}}),
    )
    enroller.start()
    await clock.advance(20_000)
    assert.deepEqual(
      kube.patches.map((patch) => patch.name),
      ['shop/a'],
    )
  })
})
