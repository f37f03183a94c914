// SPDX-License-Identifier: Apache-2.0
// Goal: the entry is in the file that the runtime uses, whatever others do to the folder.
// Method: the keeper on real files in a temporary folder; clock and change events are the test's.
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs'
import {test} from 'node:test'
import {CONFLISTS} from '../cni/conflist-samples.ts'
import {ConflistNode, SIMPLE, WITH_US} from './conflist-fixture.ts'

test('waits for a conflist, says so once, and takes it when it comes', async () => {
  using node = new ConflistNode()
  const keeper = await node.started()
  assert.deepEqual(keeper.problems(), [`waiting for a conflist in ${node.path('etc')}`])
  await node.clock.advance(60_000)
  assert.equal(node.log.lines.filter((line) => line.includes('waiting for')).length, 1)
  node.put('etc/10-x.conf', '{"type":"bridge"}')
  await node.changed()
  assert.equal(keeper.problems().length, 1)
  node.put('etc/10-x.conflist', SIMPLE)
  await node.changed()
  assert.deepEqual(keeper.problems(), [])
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
  assert.match(keeper.message(), /a runtime that reads 10-x\.conf uses it first/)
})

test('the folder itself may come later; the poll finds it, without any event', async () => {
  using node = new ConflistNode()
  rmSync(node.path('etc'), {recursive: true})
  const keeper = await node.started()
  assert.match(keeper.problems().join(), /waiting for a conflist in/)
  mkdirSync(node.path('etc'))
  node.put('etc/10-x.conflist', SIMPLE)
  await node.clock.advance(10_000)
  assert.deepEqual(keeper.problems(), [])
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
  assert.deepEqual(node.list('etc'), ['10-x.conflist', 'kmesh-cni-kubeconfig'])
  await keeper.stop()
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
})

test('a rewritten and a replaced file get the entry back', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  const keeper = await node.started()
  node.put('etc/10-x.conflist', CONFLISTS['10-flannel.conflist'] ?? '')
  await node.changed()
  assert.deepEqual(node.types('etc/10-x.conflist'), ['flannel', 'portmap', 'kmesh-cni'])
  node.put('etc/temporary', CONFLISTS['10-calico.conflist'] ?? '')
  renameSync(node.path('etc/temporary'), node.path('etc/10-x.conflist'))
  await node.clock.advance(10_000)
  assert.deepEqual(node.types('etc/10-x.conflist').slice(-2), ['bandwidth', 'kmesh-cni'])
  await keeper.stop()
  assert.equal(node.text('etc/10-x.conflist'), CONFLISTS['10-calico.conflist'])
})

test('two writers do not fight for ever', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  const keeper = await node.started()
  let puts = 0
  const said = new Set<string>()
  for (let elapsedMs = 0; elapsedMs < 300_000; elapsedMs += 500) {
    if (node.text('etc/10-x.conflist') !== SIMPLE) {
      puts += 1
      node.put('etc/10-x.conflist', SIMPLE)
    }
    node.notify()
    await node.clock.advance(500)
    for (const text of [...keeper.problems(), keeper.message()]) said.add(text)
  }
  assert.ok(puts >= 15 && puts <= 22, `${puts} in five minutes`)
  const file = node.path('etc/10-x.conflist')
  assert.ok(said.has(`${file}: somebody takes the CNI entry out again and again; put back in at most 30 s`))
  assert.ok(said.has(`the entry is in ${file}; somebody took it out again and again`))
  await node.clock.advance(60_000)
  assert.deepEqual(keeper.problems(), [])
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
})

test('the lexically first usable one; why others are not', async () => {
  using node = new ConflistNode()
  node.put('etc/00-empty.conflist', '{"name":"n","plugins":[]}')
  node.put('etc/01-comment.conflist', '// no\n{"plugins":[{"type":"a"}]}')
  node.put('etc/02-mark.conflist', `\ufeff${SIMPLE}`)
  node.put('etc/03-ours-only.conflist', '{"plugins":[{"type":"kmesh-cni"}]}')
  mkdirSync(node.path('etc/04-folder.conflist'))
  node.put('etc/05-large.conflist', `${SIMPLE}${' '.repeat(1024 * 1024)}`)
  symlinkSync('nowhere', node.path('etc/06-dangling.conflist'))
  node.put('etc/B.conflist', SIMPLE)
  node.put('etc/a.conflist', SIMPLE)
  const old = new Date(Date.UTC(2025, 0, 1))
  utimesSync(node.path('etc/01-comment.conflist'), old, old)
  const keeper = await node.started()
  assert.deepEqual(keeper.problems(), [])
  assert.deepEqual(node.types('etc/B.conflist'), WITH_US)
  assert.equal(node.text('etc/a.conflist'), SIMPLE)
  for (const why of [
    '00-empty.conflist: it has no plugin',
    '01-comment.conflist: it is no JSON',
    '02-mark.conflist: it begins with a byte order mark',
    '03-ours-only.conflist: it has no plugin',
    '04-folder.conflist: it is no plain file',
    '05-large.conflist: it is larger than 1048576 bytes',
  ]) {
    assert.ok(keeper.message().includes(`not used: ${why}`), why)
  }
  await keeper.stop()
  assert.equal(node.text('etc/02-mark.conflist'), `\ufeff${SIMPLE}`)
  assert.equal(node.text('etc/B.conflist'), SIMPLE)
})

test('the named one, whatever comes before it', async () => {
  using node = new ConflistNode({conflistName: '20-x.conflist'})
  node.put('etc/10-x.conflist', SIMPLE)
  const keeper = await node.started()
  assert.deepEqual(keeper.problems(), [`waiting for ${node.path('etc/20-x.conflist')}`])
  node.put('etc/20-x.conflist', SIMPLE)
  await node.changed()
  assert.deepEqual(node.types('etc/20-x.conflist'), WITH_US)
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
})

test('another file becomes first: the entry moves; the file goes: it moves back', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  const keeper = await node.started()
  node.put('etc/05-y.conflist', CONFLISTS['05-cilium.conflist'] ?? '')
  await node.changed()
  assert.deepEqual(node.types('etc/05-y.conflist'), ['cilium-cni', 'kmesh-cni'])
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
  rmSync(node.path('etc/05-y.conflist'))
  await node.changed()
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
  assert.deepEqual(keeper.problems(), [])
})

test('a stop edits the file that was chosen, not the one that is first by now', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  const keeper = await node.started()
  node.put('etc/05-y.conflist', SIMPLE)
  await keeper.stop()
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
  assert.equal(node.text('etc/05-y.conflist'), SIMPLE)
})

test('mode and owner stay; a symbolic link stays and its target is edited', async () => {
  using node = new ConflistNode()
  mkdirSync(node.path('elsewhere'))
  node.put('elsewhere/real', SIMPLE)
  chmodSync(node.path('elsewhere/real'), 0o640)
  if (process.geteuid?.() === 0) chownSync(node.path('elsewhere/real'), 4711, 4712)
  symlinkSync('../elsewhere/real', node.path('etc/10-x.conflist'))
  const keeper = await node.started()
  const {mode, uid, gid} = statSync(node.path('elsewhere/real'))
  assert.equal(mode & 0o7777, 0o640)
  if (process.geteuid?.() === 0) assert.deepEqual([uid, gid], [4711, 4712])
  assert.equal(readlinkSync(node.path('etc/10-x.conflist')), '../elsewhere/real')
  assert.deepEqual(node.types('elsewhere/real'), WITH_US)
  // The link goes: the target still has our entry.
  rmSync(node.path('etc/10-x.conflist'))
  await keeper.stop()
  assert.equal(node.text('elsewhere/real'), SIMPLE)
  assert.deepEqual(node.list('elsewhere'), ['real'])
})

test('a file that is being written is waited for; the entry does not move meanwhile', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  node.put('etc/20-y.conflist', SIMPLE)
  const keeper = await node.started()
  const now = new Date(node.clock.nowMs())
  node.put('etc/10-x.conflist', SIMPLE.slice(0, 20))
  utimesSync(node.path('etc/10-x.conflist'), now, now)
  await node.changed()
  assert.match(keeper.problems().join(), /waiting until .*10-x\.conflist is written/)
  assert.equal(node.text('etc/20-y.conflist'), SIMPLE)
  node.put('etc/10-x.conflist', SIMPLE)
  await node.clock.advance(500)
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
  assert.deepEqual(keeper.problems(), [])
})

test('one that stays broken is passed over, and its entry is not forgotten', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  node.put('etc/20-y.conflist', SIMPLE)
  const keeper = await node.started()
  const broken = `${node.text('etc/10-x.conflist')}}`
  node.put('etc/10-x.conflist', broken)
  const old = new Date(Date.UTC(2025, 0, 1))
  utimesSync(node.path('etc/10-x.conflist'), old, old)
  await node.changed()
  assert.deepEqual(node.types('etc/20-y.conflist'), WITH_US)
  assert.match(keeper.problems().join(), /cannot take the entry out of .*10-x\.conflist: it is no JSON/)
  node.put('etc/10-x.conflist', broken.slice(0, -1))
  await node.changed()
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
  assert.equal(node.text('etc/20-y.conflist'), SIMPLE)
  assert.deepEqual(keeper.problems(), [])
})

test('a change between read and rename is not lost', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  const real = node.files
  const theirs = CONFLISTS['10-flannel.conflist'] ?? ''
  let rounds = 0
  node.files = {
    ...real,
    replace: (file, bytes) => {
      rounds += 1
      if (rounds <= 2) node.put('etc/10-x.conflist', rounds === 1 ? SIMPLE.replace('bridge', 'ptp') : theirs)
      real.replace(file, bytes)
    },
  }
  const keeper = await node.started()
  assert.equal(rounds, 3)
  assert.deepEqual(node.types('etc/10-x.conflist'), ['flannel', 'portmap', 'kmesh-cni'])
  await keeper.stop()
  assert.equal(node.text('etc/10-x.conflist'), theirs)
})

test('where nothing can be watched the poll does it, and it is said once', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  node.files = {
    ...node.files,
    watch: () => {
      throw new Error('ENOSPC: System limit for number of file watchers reached')
    },
  }
  const keeper = await node.started()
  node.put('etc/10-x.conflist', SIMPLE)
  await node.clock.advance(30_000)
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
  assert.deepEqual(keeper.problems(), [])
  assert.equal(node.log.lines.filter((line) => line.includes('changes are seen every 10 s only')).length, 1)
})
