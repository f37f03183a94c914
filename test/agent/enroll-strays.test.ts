// SPDX-License-Identifier: Apache-2.0
// Goal: entries that no pod explains are adopted, kept or collected, each at the right time; two pods in one network
// namespace do not release each other; labels that flap cost few writes and end right.
// Method: Enroller on fakes; entries written by hand, as a CNI plugin of another make or a dead agent leaves them.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DECISIONS_FILE, ENROLLED_FILE} from '../../src/lib/agent/enroll-state.ts'
import {createWorld, KMESH, LABEL} from './enroll-world.ts'
import {pod} from './fakes.ts'

/** 16 bytes: the number in little-endian order, or an address. */
function key(...bytes: number[]): Uint8Array {
  return Uint8Array.from({length: 16}, (_, at) => bytes[at] ?? 0)
}

const VALUE = new Uint8Array(4)

test('an entry of another CNI plugin is adopted with its pod: no write, kept over a restart, released', async () => {
  const {node, manage, start, clock, cookies, bpf, files, log} = createWorld()
  manage.update(key(7), VALUE)
  const writes = bpf.writes.length
  const enroller = start()
  enroller.start()
  node.run('uid-a', 7n)
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  await clock.advance(100)
  assert.equal(bpf.writes.length, writes)
  assert.equal(enroller.report()[0]?.captured, true)
  assert.match(files.read(ENROLLED_FILE) ?? '', /"cookie": "7"/)
  enroller.podChanged(pod('shop/a', ['10.0.0.1']))
  assert.deepEqual(cookies(), [])
  assert.doesNotMatch(log.lines.join(), /warn|error/)
})

test('an entry of a namespace that is gone goes after two minutes, one that lives stays', async () => {
  const {node, manage, start, clock, cookies, log} = createWorld()
  manage.update(key(99), VALUE)
  manage.update(key(8), VALUE)
  node.paths.set('/netns/8/on-its-way', 'sandbox-8')
  const enroller = start()
  enroller.start()
  await clock.advance(125_000)
  assert.deepEqual(cookies(), ['8', '99'])
  await clock.advance(60_000)
  assert.deepEqual(cookies(), ['8'])
  await clock.advance(600_000)
  assert.deepEqual(cookies(), ['8'])
  const said = log.lines.filter((line) => line.startsWith('info'))
  assert.deepEqual(said, [
    'info namespace 8 is enrolled, and not as a pod of this node: it stays',
    'info removed the entry of namespace 99: nothing of it is left',
  ])
  node.paths.clear()
  await clock.advance(180_000)
  assert.deepEqual(cookies(), [])
})

test('a namespace that is seen again in time starts anew', async () => {
  const {node, manage, start, clock, cookies} = createWorld()
  manage.update(key(8), VALUE)
  start().start()
  await clock.advance(100_000)
  node.paths.set('/netns/8/x', 'sandbox-8')
  await clock.advance(30_000)
  node.paths.clear()
  await clock.advance(110_000)
  assert.deepEqual(cookies(), ['8'])
})

test('the network namespace of the node is released: no pod of the host network is enrolled', async () => {
  const {node, manage, start, clock, cookies, log} = createWorld()
  manage.update(key(5), VALUE)
  node.paths.set('/netns/5/node', 'node-namespace')
  start().start()
  await clock.advance(31_000)
  assert.deepEqual(cookies(), [])
  assert.match(log.lines.join('\n'), /warn released namespace 5: it is the node's own/)
})

test('entries by address stay while a pod has it', async () => {
  const {manage, start, clock, bpf} = createWorld()
  manage.update(key(10, 0, 0, 1), VALUE)
  manage.update(key(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), VALUE)
  manage.update(key(10, 0, 0, 9), VALUE)
  const enroller = start()
  enroller.podChanged(pod('shop/a', ['10.0.0.1', 'fd00::1']))
  enroller.start()
  await clock.advance(200_000)
  assert.deepEqual(
    bpf.writes.filter(({call}) => call === 'delete').map(({keyHex}) => keyHex.slice(0, 8)),
    ['0a000009'],
  )
})

test('a view of the machine that misses our own pods proves nothing', async () => {
  const {node, manage, start, clock, cookies} = createWorld()
  const enroller = start()
  node.run('uid-a', 7n)
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  enroller.start()
  await clock.advance(100)
  manage.update(key(99), VALUE)
  node.pods.clear()
  await clock.advance(300_000)
  assert.deepEqual(cookies(), ['7', '99'])
})

test('two pods in one network namespace: the entry stays until neither wants it, over a restart too', async () => {
  const {node, start, clock, cookies, bpf} = createWorld()
  node.run('uid-a', 7n)
  node.run('uid-b', 7n)
  const enroller = start()
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  enroller.podChanged(pod('shop/b', ['10.0.0.1'], KMESH))
  enroller.start()
  await clock.advance(100)
  enroller.podDeleted(pod('shop/a', ['10.0.0.1']))
  assert.deepEqual(cookies(), ['7'])
  enroller.podChanged(pod('shop/c', ['10.0.0.1'], KMESH))
  node.run('uid-c', 7n)
  await clock.advance(100)
  const next = start()
  next.podChanged(pod('shop/c', ['10.0.0.1'], KMESH))
  next.start()
  assert.deepEqual(cookies(), ['7'], 'b is gone, c shares it')
  assert.ok(!bpf.writes.some(({call}) => call === 'delete'), 'never out, not for a moment')
  await clock.advance(100)
  next.podChanged(pod('shop/c', ['10.0.0.1']))
  assert.deepEqual(cookies(), [])
})

test('a pod that shares a captured namespace is captured, whatever its labels say', async () => {
  const {node, start, clock, kube} = createWorld()
  node.run('uid-a', 7n)
  node.run('uid-b', 7n)
  const enroller = start()
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  enroller.podChanged(pod('shop/b', ['10.0.0.1']))
  enroller.start()
  await clock.advance(100)
  const told = () => enroller.report().map(({pod: name, intent, captured}) => [name, intent, captured])
  assert.deepEqual(told(), [
    ['a', true, true],
    ['b', false, true],
  ])
  assert.deepEqual(kube.patches.map(({name}) => name).sort(), ['shop/a', 'shop/b'])
  enroller.podDeleted(pod('shop/a', ['10.0.0.1']))
  assert.deepEqual(told(), [['b', false, false]])
})

test('a label that flaps 100 times a second: few writes of each kind, and the last word holds', async () => {
  for (const last of [true, false]) {
    const {node, start, clock, cookies, bpf, files, kube, log, namespaces} = createWorld()
    namespaces.set('shop', {})
    node.run('uid-a', 7n)
    const enroller = start()
    enroller.podChanged(pod('shop/a', ['10.0.0.1']))
    enroller.start()
    await clock.advance(100)
    for (let flip = 0; flip < 1000; flip += 1) {
      namespaces.set('shop', flip % 2 === 0 ? {[LABEL]: 'kmesh'} : {})
      enroller.namespaceChanged('shop')
      await clock.advance(10)
    }
    namespaces.set('shop', last ? {[LABEL]: 'kmesh'} : {})
    enroller.namespaceChanged('shop')
    await clock.advance(2000)
    assert.deepEqual(cookies(), last ? ['7'] : [])
    // A burst of 10, then one a second for ten seconds.
    for (const [what, count] of [
      ['map', bpf.writes.length],
      ['file', files.writes.length],
      ['annotation', kube.patches.length],
      ['log', log.lines.length],
    ] as const)
      assert.ok(count >= 10 && count <= 25, `${what}: ${count}`)
    const shown = kube.patches.at(-1)?.body as {metadata: {annotations: Record<string, unknown>}}
    assert.deepEqual(shown.metadata.annotations, {'kmesh.net/redirection': last ? 'enabled' : null})
  }
})

test('untouched: decisions of dead pods are forgotten, also of those that died while the agent was away', async () => {
  const {node, start, clock, files, namespaces} = createWorld()
  namespaces.set('shop', {})
  node.run('uid-a', 7n)
  const enroller = start('untouched')
  enroller.podChanged(pod('shop/a', []))
  enroller.podChanged(pod('shop/b', []))
  enroller.start()
  await clock.advance(100)
  assert.deepEqual(Object.keys(JSON.parse(files.read(DECISIONS_FILE) ?? '')), ['uid-a', 'uid-b'])
  enroller.podDeleted(pod('shop/a', []))
  assert.deepEqual(Object.keys(JSON.parse(files.read(DECISIONS_FILE) ?? '')), ['uid-b'])
  start('untouched').start()
  assert.equal(files.read(DECISIONS_FILE), '{}\n')
})

test('a new sandbox whose namespace has the number of the old one is told by its cookie', async () => {
  const {node, start, clock, cookies} = createWorld()
  node.run('uid-a', 7n, 'inode-1')
  const enroller = start()
  enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
  enroller.start()
  await clock.advance(100)
  node.run('uid-a', 8n, 'inode-1')
  await clock.advance(31_000)
  assert.deepEqual(cookies(), ['8'])
})
