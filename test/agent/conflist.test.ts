// SPDX-License-Identifier: Apache-2.0
// Goal: plugin, kubeconfig and entry are put in place, kept there and taken out.
// Method: the keeper on real files in a temporary folder; clock and change events are the test's.
import assert from 'node:assert/strict'
import {mkdirSync, renameSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {CONFLISTS} from '../cni/conflist-samples.ts'
import {settle} from '../fakes/clock.ts'
import {ConflistNode, SIMPLE, WITH_US} from './conflist-fixture.ts'

test('a start installs, the entry names absolute paths; a stop takes the entry out and leaves the plugin', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  const keeper = await node.started()
  assert.deepEqual(keeper.problems(), [])
  assert.equal(keeper.message(), `the entry is in ${node.path('etc/10-x.conflist')}`)
  assert.deepEqual(JSON.parse(node.text('etc/10-x.conflist')).plugins[1], {
    type: 'kmesh-cni',
    socket: node.path('run/cni.sock'),
    cache: node.path('run/cni-cache.json'),
    logFile: node.path('run/kmesh-cni.log'),
    kubeconfig: node.path('etc/kmesh-cni-kubeconfig'),
    failurePolicy: 'fail',
  })
  assert.match(node.text('bin/kmesh-cni'), /^#!\/bin\/sh\n/)
  assert.match(
    node.text('bin/kmesh-cni'),
    new RegExp(
      `exec '${node.folder}/bin/.kmesh-cni/node' '${node.folder}/bin/.kmesh-cni/kmesh-cni.mjs' "\\$@"\n$`,
    ),
  )
  assert.equal(statSync(node.path('bin/kmesh-cni')).mode & 0o777, 0o755)
  assert.equal(node.text('bin/.kmesh-cni/node'), 'a Node')
  assert.equal(statSync(node.path('etc/kmesh-cni-kubeconfig')).mode & 0o777, 0o600)
  await keeper.stop()
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
  assert.deepEqual(node.list('etc'), ['10-x.conflist', 'kmesh-cni-kubeconfig'])
  assert.deepEqual(node.list('bin'), ['.kmesh-cni', 'kmesh-cni'])
})

test('conflists of every network come back byte for byte: after stop, after a kill and uninstall', async () => {
  for (const [name, text] of Object.entries(CONFLISTS)) {
    for (const way of ['stop', 'kill']) {
      using node = new ConflistNode()
      node.put(`etc/${name}`, text)
      const keeper = await node.started()
      assert.equal(node.types(`etc/${name}`).at(-1), 'kmesh-cni')
      if (way === 'stop') await keeper.stop()
      else node.kill()
      assert.equal(node.uninstall(), true)
      assert.equal(node.text(`etc/${name}`), text, name)
      assert.deepEqual(node.list('etc'), [name])
      assert.deepEqual([node.list('bin'), node.list('run'), node.list('state')], [[], [], []])
    }
  }
})

test('uninstall finds the entry after a kill: file renamed, other options, record lost', async () => {
  for (const way of ['renamed', 'options', 'record lost', 'record damaged']) {
    using node = new ConflistNode()
    node.put('etc/10-x.conflist', SIMPLE)
    await node.started()
    node.kill()
    node.put('etc/05-y.conflist', SIMPLE)
    let name = 'etc/10-x.conflist'
    if (way === 'renamed') {
      name = 'etc/10-x.conflist.cilium_bak'
      renameSync(node.path('etc/10-x.conflist'), node.path(name))
    }
    if (way === 'record lost') rmSync(node.path('state/cni-install.json'))
    if (way === 'record damaged') node.put('state/cni-install.json', '{"conflists":["relative"]}')
    if (way === 'options') {
      const other = mkOther(node)
      Object.assign(node, {places: other})
    }
    assert.equal(node.uninstall(), true, way)
    assert.equal(node.text(name), SIMPLE, way)
    assert.equal(node.text('etc/05-y.conflist'), SIMPLE)
    assert.deepEqual(node.list('bin'), [], way)
  }
})

function mkOther(node: ConflistNode): ConflistNode['places'] {
  for (const name of ['etc2', 'bin2']) mkdirSync(node.path(name))
  return {
    ...node.places,
    etcPath: node.path('etc2'),
    binPath: node.path('bin2'),
    runtimePath: node.path('bin2/.k'),
  }
}

test('an entry of a Go daemon: uninstall alone leaves it, an agent that took it over takes it out', async () => {
  const go = SIMPLE.replace(
    '\n    }\n',
    '\n    }, {"kubeConfig":"/x","mode":"dual-engine","type":"kmesh-cni"}\n',
  )
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', go)
  node.put('bin/kmesh-cni', '\x7fELF')
  assert.equal(node.uninstall(), true)
  assert.equal(node.text('etc/10-x.conflist'), go)
  assert.equal(node.text('bin/kmesh-cni'), '\x7fELF')
  const keeper = await node.started()
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
  await keeper.stop()
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
  assert.equal(node.uninstall(), true)
  assert.deepEqual(node.list('bin'), [])
})

test('what is in place is not written again; the entry of a killed agent is adopted', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  await node.started()
  const inodes = () =>
    ['etc/10-x.conflist', 'etc/kmesh-cni-kubeconfig', 'bin/kmesh-cni', 'bin/.kmesh-cni/node'].map(
      (name) => statSync(node.path(name)).ino,
    )
  const before = inodes()
  node.kill()
  const keeper = await node.started()
  await node.clock.advance(60_000)
  assert.deepEqual(keeper.problems(), [])
  assert.deepEqual(inodes(), before)
})

test('a new version and a plugin that somebody removed are installed by rename', async () => {
  using node = new ConflistNode()
  const keeper = await node.started()
  const before = statSync(node.path('bin/.kmesh-cni/kmesh-cni.mjs')).ino
  writeFileSync(join(node.folder, 'source/kmesh-cni.mjs'), 'new code')
  rmSync(node.path('bin/kmesh-cni'))
  await node.clock.advance(10_000)
  await node.until(() => node.list('bin').includes('kmesh-cni'))
  assert.equal(node.text('bin/.kmesh-cni/kmesh-cni.mjs'), 'new code')
  assert.notEqual(statSync(node.path('bin/.kmesh-cni/kmesh-cni.mjs')).ino, before)
  assert.deepEqual(node.list('bin'), ['.kmesh-cni', 'kmesh-cni'])
  await keeper.stop()
})

test('the kubeconfig follows the token, and no log line has it', async () => {
  using node = new ConflistNode()
  await node.started()
  const user = () => JSON.parse(node.text('etc/kmesh-cni-kubeconfig')).users[0].user
  assert.deepEqual(user(), {token: 'token-1'})
  node.access = {...node.access, token: 'token-2'}
  await node.clock.advance(10_000)
  assert.deepEqual(user(), {token: 'token-2'})
  node.access = {...node.access, token: undefined}
  await node.clock.advance(10_000)
  assert.match(node.log.lines.join('\n'), /neither a token nor a certificate/)
  assert.doesNotMatch(node.log.lines.join('\n'), /token-[12]/)
})

test('what cannot be written is said, and tried again', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  const real = node.files
  const refuse = (): never => {
    throw new Error('EROFS: read-only file system')
  }
  node.files = {...real, replace: refuse}
  const keeper = await node.started()
  assert.deepEqual(keeper.problems(), ['the CNI entry is not in place: EROFS: read-only file system'])
  await node.clock.advance(30_000)
  assert.equal(node.log.lines.filter((line) => line.includes('EROFS')).length, 1)
  Object.assign(node.files, {replace: real.replace})
  await node.clock.advance(10_000)
  assert.deepEqual(keeper.problems(), [])
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
})

test('without a plugin there is no entry: no pod could start', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  rmSync(node.path('source/kmesh-cni.mjs'))
  const keeper = await node.started()
  assert.match(keeper.problems()[0] ?? '', /cannot install the CNI plugin: ENOENT/)
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
  node.put('source/kmesh-cni.mjs', 'the code')
  await node.clock.advance(10_000)
  await node.until(() => keeper.problems().length === 0)
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
})

test('an install that fails is tried less and less often', async () => {
  using node = new ConflistNode()
  let tries = 0
  node.files = {
    ...node.files,
    copy: () => {
      tries += 1
      return Promise.reject(new Error('ENOSPC: no space left on device'))
    },
  }
  await node.started()
  await node.clock.advance(3_600_000)
  // After 0, 10, 30, 70, 150, 310 s and then every 300 s.
  assert.equal(tries, 16)
})

test('a folder that another agent keeps is left alone, by the agent and by uninstall', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  const other = node.files.lock(node.path('etc'))
  const keeper = await node.started()
  assert.match(keeper.problems().join(), /another kmesh-daemon keeps/)
  await keeper.stop()
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
  assert.throws(() => node.uninstall(), {code: 'AlreadyRunning', exitCode: 7})
  const next = await node.started()
  await node.clock.advance(60_000)
  other[Symbol.dispose]()
  await node.clock.advance(10_000)
  await node.until(() => next.problems().length === 0)
})

test('a stop during the copy of the plugin waits for it and leaves no entry', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  const keeper = node.keeper()
  const started = keeper.start()
  await keeper.stop()
  await started
  await settle()
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
  assert.deepEqual(node.clock.pending(), [])
})

test('an agent that is stopped before it saw the cluster takes out what a killed one left', async () => {
  using node = new ConflistNode()
  node.put('etc/10-x.conflist', SIMPLE)
  await node.started()
  node.kill()
  assert.deepEqual(node.types('etc/10-x.conflist'), WITH_US)
  await node.keeper().stop()
  assert.equal(node.text('etc/10-x.conflist'), SIMPLE)
})
