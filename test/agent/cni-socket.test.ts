// SPDX-License-Identifier: Apache-2.0
// Goal: what kmesh-cni asks over the socket reaches the enroller, and its answers tell whether to ask again.
// Method: the real server on a real unix socket, the enroller is a fake that keeps what it was told.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {KernelError, KmeshError, UnreachableError} from '../../src/lib/errors.ts'
import {ask, entry, POD, post, startSide, warnings} from './cni-side.ts'
import {MemoryFiles} from './fakes.ts'

test('add, check, status, del, gc', async () => {
  const world = await startSide()
  assert.deepEqual((await post(world, '/cni/add', POD)).body, {
    enrolled: true,
    rule: 'NamespaceLabel',
    cookie: '7',
  })
  assert.deepEqual((await post(world, '/cni/check', POD)).body, {
    enrolled: true,
    rule: 'NamespaceLabel',
    cookie: '7',
  })
  assert.deepEqual((await ask(world, 'GET', '/cni/status')).body, {ready: true, message: ''})
  await post(world, '/cni/add', {...POD, containerId: 'c2', uid: 'u2', netns: '/run/netns/b'})
  await post(world, '/cni/add', {...POD, containerId: 'c3', uid: 'u3', network: 'second'})
  assert.equal((await post(world, '/cni/del', {...POD, netns: ''})).status, 200)
  const gone = await post(world, '/cni/gc', {
    network: 'net',
    attachments: [{containerId: 'c9', ifName: 'eth0'}],
  })
  assert.deepEqual(gone.body, {collected: 1})
  assert.deepEqual(world.calls, [
    'add u1 /host/run/netns/a',
    'add u2 /host/run/netns/b',
    'add u3 /host/run/netns/a',
    'remove u1 /host/run/netns/a',
    'remove u2 /host/run/netns/b',
  ])
  assert.deepEqual(warnings(world), [])
  await world.side.stop()
})

test('del of what is not known: by its namespace, even a gone one, never by name alone', async () => {
  const world = await startSide()
  for (const netns of ['/run/netns/b', '/run/netns/missing', '']) {
    assert.equal((await post(world, '/cni/del', {...POD, netns})).status, 200)
  }
  assert.deepEqual(world.calls, ['remove u1 /host/run/netns/b', 'remove u1 /run/netns/missing'])
  await world.side.stop()
})

test('attachments outlive the agent', async () => {
  const first = await startSide()
  await post(first, '/cni/add', POD)
  await first.side.stop()
  const second = await startSide(first.files)
  assert.deepEqual((await post(second, '/cni/gc', {network: 'net', attachments: []})).body, {collected: 1})
  assert.deepEqual(second.calls, ['remove u1 /host/run/netns/a'])
  await second.side.stop()
  for (const text of ['{', '{}', '[5,{"containerId":"../x"},null]']) {
    const files = new MemoryFiles()
    files.contents.set('cni-attachments.json', text)
    const third = await startSide(files)
    assert.deepEqual((await post(third, '/cni/gc', {network: 'net', attachments: []})).body, {collected: 0})
    await third.side.stop()
  }
})

test('check tells what the kernel has', async () => {
  const world = await startSide()
  world.entries = [entry({captured: false})]
  assert.deepEqual(await post(world, '/cni/check', POD).then(({status, code}) => [status, code]), [
    500,
    'NotCaptured',
  ])
  world.entries = [entry({intent: false, captured: false, rule: 'PodLabelNone'})]
  assert.equal((await post(world, '/cni/check', POD)).body['enrolled'], false)
  assert.equal((await post(world, '/cni/check', {...POD, uid: 'u2'})).code, 'PodNotFound')
  assert.deepEqual(world.calls, [])
  // The kubelet knows a static pod by another uid than the API server.
  await post(world, '/cni/add', {...POD, uid: 'u2'})
  assert.equal((await post(world, '/cni/check', {...POD, uid: 'u2'})).status, 200)
  await world.side.stop()
})

test('failures have a status that tells whether to ask again', async () => {
  const world = await startSide()
  const rows: [Error, number, string][] = [
    [new KernelError('bpf', 7, 'km_manage'), 500, 'Kernel'],
    [new UnreachableError('connect', 'the API server is away'), 503, 'Unreachable'],
    [new KmeshError('that is the node', {code: 'NodeNamespace'}), 400, 'NodeNamespace'],
    [new KmeshError('gone', {code: 'PodNotFound'}), 404, 'PodNotFound'],
    [new TypeError('a bug'), 500, 'Internal'],
  ]
  for (const [fail, status, code] of rows) {
    world.fail = fail
    const answer = await post(world, '/cni/add', POD)
    assert.deepEqual([answer.status, answer.code], [status, code])
  }
  world.obstacle = 'the agent starts'
  assert.deepEqual((await ask(world, 'GET', '/cni/status')).body, {ready: false, message: 'the agent starts'})
  for (const path of ['/cni/add', '/cni/check']) {
    const {status, code} = await post(world, path, POD)
    assert.deepEqual([status, code], [503, 'Starting'])
  }
  await world.side.stop()
})
