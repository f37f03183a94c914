// SPDX-License-Identifier: Apache-2.0
// Goal: many daemons behind one API server: Ctrl-C gives the whole document of what is known; the flags that
// limit a fan-out; one WebSocket a daemon, none with --daemon-url.
// Method: the built program against a fleet in a process of its own, half of whose daemons hang.
import assert from 'node:assert/strict'
import {type ChildProcess, fork} from 'node:child_process'
import {once} from 'node:events'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {startFakeApi} from '../fakes/api-server.ts'
import {type CliOptions, runCli} from '../fakes/cli.ts'
import {startOwnDaemon} from '../fakes/daemons.ts'

let fleet: ChildProcess
let kubeconfig: string

before(async () => {
  fleet = fork(join(import.meta.dirname, '../bench/fleet.ts'), ['half', '60'])
  ;[{kubeconfig}] = (await once(fleet, 'message')) as [{kubeconfig: string}]
})

after(() => fleet.disconnect())

const dump = (flags: readonly string[], options?: CliOptions) =>
  runCli(['dump', 'maps', 'km_frontend', '-o', 'json', '--kubeconfig', kubeconfig, ...flags], options)

test('Ctrl-C: a whole document with every node, exit 130, at once', async () => {
  let sentMs = 0
  const interrupt = (child: ChildProcess) =>
    void setTimeout(() => {
      sentMs = performance.now()
      child.kill('SIGINT')
    }, 4000)
  const {code, stdout} = await dump([], {onSpawn: interrupt})
  const {summary, items, errors} = JSON.parse(stdout)
  assert.equal(code, 130)
  assert.deepEqual([summary.requested, summary.ok, summary.failed], [60, 30, 30])
  assert.equal(new Set([...items, ...errors].map(({node}) => node)).size, 60)
  assert.equal(errors[0].code, 'Interrupted')
  assert.ok(performance.now() - sentMs < 1000)
})

test('--max-nodes refuses by name, exit 2; --sample lists the rest; --allow-partial decides the exit', async () => {
  const refused = await dump(['--max-nodes', '59'])
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /60 daemons are more than --max-nodes 59/)
  const nodes = ['--node', 'n0000,n0001', '--request-timeout', '1s']
  assert.equal((await dump(nodes)).code, 4)
  assert.equal((await dump([...nodes, '--allow-partial', '1'])).code, 0)
  assert.equal((await dump([...nodes, '--allow-partial', '49%'])).code, 4)
  const sampled = JSON.parse((await dump(['--sample', '2', '--request-timeout', '1s'])).stdout)
  assert.deepEqual([sampled.summary.requested, sampled.summary.skipped], [60, 58])
  assert.equal(sampled.errors.filter(({code}: {code: string}) => code === 'NotSampled').length, 58)
})

test('one WebSocket a daemon and command, none with --daemon-url', async () => {
  const daemon = await startOwnDaemon()
  const api = await startFakeApi({nodes: [{name: 'n1', daemon: daemon.port}]})
  try {
    assert.equal((await runCli(['status', '--kubeconfig', api.kubeconfig])).code, 0)
    assert.equal(api.requests.filter((request) => request.startsWith('UPGRADE')).length, 1)
    api.requests.length = 0
    assert.equal(
      (await runCli(['status', '--daemon-url', daemon.url, '--kubeconfig', api.kubeconfig])).code,
      0,
    )
    assert.deepEqual(api.requests, [])
  } finally {
    await api.close()
    await daemon.close()
  }
})
