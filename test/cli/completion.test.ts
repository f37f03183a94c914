// SPDX-License-Identifier: Apache-2.0
// Goal: flags on the line are respected; what is kept is kept privately and only for its own cluster; failures are
// silent.
// Method: `kmeshctl __complete` as a process, against a fake API server that answers or refuses.
import assert from 'node:assert/strict'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {after, afterEach, before, suite, test} from 'node:test'
import {type CliResult, runCli} from '../fakes/cli.ts'
import {type CompletionCluster, linesOf, startCompletionCluster} from './completion-fixture.ts'

type Intercepted = {status: number; body: string} | 'hang' | undefined

suite('kmeshctl __complete', () => {
  let cluster: CompletionCluster
  let behave: () => Intercepted = () => undefined
  let caches = 0
  before(async () => {
    cluster = await startCompletionCluster({intercept: () => behave()})
  })
  after(() => cluster.close())
  afterEach(() => {
    behave = () => undefined
  })

  /** With a cache of its own unless `env` names one. */
  function ask(
    words: readonly string[],
    env: Readonly<Record<string, string | undefined>> = {},
  ): Promise<CliResult> {
    caches += 1
    const fresh = join(cluster.folder, `cache-${caches}`)
    return runCli(['__complete', 'bash', '--', ...words], {
      env: {...cluster.env, XDG_CACHE_HOME: fresh, ...env},
    })
  }

  test('an API server that refuses, nobody there, a broken or missing kubeconfig: nothing is said', async () => {
    behave = () => ({status: 403, body: '{"kind":"Status","message":"\u001b[31mno"}'})
    assert.deepEqual(linesOf(await ask(['status', '--node', ''])), [':4'])
    const broken = join(cluster.folder, 'broken')
    writeFileSync(broken, '{{{')
    const words = ['status', '--node', '']
    assert.deepEqual(linesOf(await ask(words, {KUBECONFIG: broken})), [':4'])
    assert.deepEqual(linesOf(await ask(words, {KUBECONFIG: '/nonexistent'})), [':4'])
    assert.deepEqual(linesOf(await ask(['status', '-s', 'http://127.0.0.1:1', '--node', ''])), [':4'])
  })

  test('flags on the line say which cluster, as whom, which daemon', async () => {
    const {kubeconfig, headers} = cluster.api
    const none = {KUBECONFIG: '/nonexistent'}
    const typed = ['enroll', 'namespace', '--kubeconfig', kubeconfig, '--as=ann', '--as-group', 'dev', 's']
    assert.deepEqual(linesOf(await ask(typed, none)), ['shop', 'store', ':4'])
    assert.equal(headers.at(-1)?.['impersonate-user'], 'ann')
    assert.equal(headers.at(-1)?.['impersonate-group'], 'dev')
    const direct = ['log', 'get', '--daemon-url', cluster.daemon.url, '']
    assert.deepEqual(linesOf(await ask(direct, none)), ['bpf', 'default', 'manage', ':4'])
    const wrong = ['status', '--context', 'nope', '--node', '']
    assert.deepEqual(linesOf(await ask(wrong)), [':4'])
    const elsewhere = ['log', 'get', '--mesh-namespace', 'elsewhere', '']
    assert.deepEqual(linesOf(await ask(elsewhere)), ['bpf', 'default', ':4'])
  })

  test('an answer is kept for its cluster and its flags, in a private folder', async () => {
    const cache = join(cluster.folder, 'kept')
    const words = ['enroll', 'namespace', '']
    const env = {XDG_CACHE_HOME: cache}
    const expected = ['kmesh-system', 'shop', 'store', ':4']
    assert.deepEqual(linesOf(await ask(words, env)), expected)
    const asked = cluster.api.requests.length
    assert.deepEqual(linesOf(await ask(words, env)), expected)
    assert.deepEqual(linesOf(await ask(['enroll', 'namespace', '-o', 'json', ''], env)), expected)
    assert.equal(cluster.api.requests.length, asked)
    await ask(['enroll', 'namespace', '--as', 'bob', ''], env)
    assert.equal(cluster.api.requests.length, asked + 1)
    const folder = join(cache, 'kmeshctl', 'completion')
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    for (const name of readdirSync(folder)) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600)
      writeFileSync(
        join(folder, name),
        JSON.stringify({atMs: Date.now() - 1, values: ['ok', '$(id)', '-x', 3]}),
      )
    }
    assert.deepEqual(linesOf(await ask(words, env)), ['ok', ':4'])
    for (const name of readdirSync(folder)) {
      writeFileSync(join(folder, name), JSON.stringify({atMs: Date.now() - 31_000, values: ['old']}))
    }
    assert.deepEqual(linesOf(await ask(words, env)), expected)
  })

  test('a folder that others can write to is not read', async () => {
    const cache = join(cluster.folder, 'shared')
    await ask(['enroll', 'namespace', ''], {XDG_CACHE_HOME: cache})
    const folder = join(cache, 'kmeshctl', 'completion')
    for (const name of readdirSync(folder)) {
      writeFileSync(join(folder, name), JSON.stringify({atMs: Date.now() - 1, values: ['planted']}))
    }
    chmodSync(folder, 0o777)
    const lines = linesOf(await ask(['enroll', 'namespace', ''], {XDG_CACHE_HOME: cache}))
    assert.deepEqual(lines, ['kmesh-system', 'shop', 'store', ':4'])
  })

  test('a cluster that did not answer is left alone for a moment', async () => {
    const cache = {XDG_CACHE_HOME: join(cluster.folder, 'failed')}
    behave = () => ({status: 403, body: '{}'})
    await ask(['enroll', 'namespace', ''], cache)
    const asked = cluster.api.requests.length
    assert.deepEqual(linesOf(await ask(['enroll', 'namespace', ''], cache)), [':4'])
    assert.equal(cluster.api.requests.length, asked)
  })

  test('no home, a home that is no folder, one that nobody can write to', async () => {
    const readOnly = join(cluster.folder, 'read-only')
    mkdirSync(readOnly, {mode: 0o500})
    for (const home of [undefined, '/dev/null', '/proc/self', readOnly]) {
      const env = {HOME: home, XDG_CACHE_HOME: undefined}
      const lines = linesOf(await ask(['enroll', 'namespace', 's'], env))
      assert.deepEqual(lines, ['shop', 'store', ':4'])
    }
  })

  test('sandboxes, and pods and Deployments of one, through its own kubeconfig', async () => {
    const name = `kmt-${process.pid}`
    const folder = join(cluster.folder, 'state', 'kmeshctl', name)
    mkdirSync(folder, {recursive: true})
    copyFileSync(cluster.api.kubeconfig, join(folder, 'kubeconfig'))
    const env = {XDG_STATE_HOME: join(cluster.folder, 'state'), KUBECONFIG: '/nonexistent'}
    const exec = ['sandbox', 'exec', '--name', name]
    assert.deepEqual(linesOf(await ask([...exec, ''], env)), ['api', 'kmesh-worker-1', 'web', ':4'])
    assert.deepEqual(linesOf(await ask([...exec, '-n', 'shop', ''], env)), ['cart-1', 'web', 'web-1', ':4'])
    assert.deepEqual(linesOf(await ask([...exec, '-n', 's'], env)), ['shop', 'store', ':4'])
    const isFirst = !existsSync('/run/kmeshctl')
    const run = join('/run/kmeshctl', name)
    mkdirSync(run, {recursive: true})
    try {
      const lines = linesOf(await ask(['sandbox', 'down', '--name', name.slice(0, -1)]))
      assert.ok(lines.includes(name), lines.join())
    } finally {
      rmdirSync(run)
      if (isFirst) rmdirSync('/run/kmeshctl')
    }
  })

  test('wrong calls are answered with nothing', async () => {
    for (const args of [[], ['tcsh', '--', ''], ['bash', 'status'], ['bash', '--']]) {
      const {code, stdout, stderr} = await runCli(['__complete', ...args], {env: cluster.env})
      assert.deepEqual([code, stderr, stdout.trimEnd().split('\n').at(-1)], [0, '', ':4'])
    }
  })

  test('the hidden words are in no help and no candidate', async () => {
    const {stdout} = await runCli(['--help'], {env: cluster.env})
    assert.match(stdout, /completion/)
    assert.doesNotMatch(stdout, /__complete/)
    assert.deepEqual(linesOf(await ask(['_'])), [':4'])
  })
})
