// SPDX-License-Identifier: Apache-2.0
// Goal: an answer comes within a second, whatever the cluster does, and never with a question or a leftover process.
// Method: `kmeshctl __complete` as a process, against an API server that hangs and a credential program that waits.
import assert from 'node:assert/strict'
import {execFile} from 'node:child_process'
import {chmodSync, existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {promisify} from 'node:util'
import {runCli} from '../fakes/cli.ts'
import {programFolder} from '../fakes/shells.ts'
import {type CompletionCluster, linesOf, startCompletionCluster} from './completion-fixture.ts'

suite('kmeshctl __complete in time', () => {
  let cluster: CompletionCluster
  let caches = 0
  before(async () => {
    cluster = await startCompletionCluster({intercept: () => 'hang'})
  })
  after(() => cluster.close())

  /** The machine is shared: one of three tries has to be quick enough. */
  async function assertQuick(words: readonly string[], expected: string[]): Promise<void> {
    const times: number[] = []
    for (let attempt = 0; attempt < 3; attempt += 1) {
      caches += 1
      const XDG_CACHE_HOME = join(cluster.folder, `cache-${caches}`)
      const env = {...cluster.env, XDG_CACHE_HOME, KMESHCTL_COMPLETION_TIMEOUT_MS: undefined}
      const result = await runCli(['__complete', 'bash', '--', ...words], {env})
      assert.deepEqual(linesOf(result), expected)
      times.push(result.elapsedMs)
      if (result.elapsedMs < 1000) return
    }
    assert.fail(`took ${times.map(Math.round).join(', ')} ms`)
  }

  for (const [words, expected] of [
    [['status', '--node', ''], [':4']],
    [['enroll', 'pod', '-n', 'shop', ''], [':4']],
    [
      ['log', 'get', ''],
      ['bpf', 'default', ':4'],
    ],
    [
      ['dump', 'maps', 'km_fr'],
      ['km_frontend', ':4'],
    ],
    [
      ['log', 'set-level', 'bpf='],
      ['bpf=error', 'bpf=warn', 'bpf=info', 'bpf=debug', ':4'],
    ],
  ] as const) {
    test(`an API server that hangs: '${words.join(' ')}|' is answered within a second`, async () => {
      await assertQuick(words, [...expected])
    })
  }

  test('a credential program that waits for an answer is ended, and has no terminal', async () => {
    const folder = cluster.folder
    const program = join(folder, 'login')
    writeFileSync(
      program,
      `#!/bin/sh\necho $$ >>${folder}/login.pids\n(echo 'Password:' >/dev/tty) 2>/dev/null && echo yes >${folder}/login.tty\nexec sleep 60\n`,
    )
    chmodSync(program, 0o755)
    const config = join(folder, 'exec.yaml')
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: program,
      interactiveMode: 'IfAvailable',
    }
    writeFileSync(
      config,
      JSON.stringify({
        'current-context': 'x',
        contexts: [{name: 'x', context: {cluster: 'x', user: 'x'}}],
        clusters: [{name: 'x', cluster: {server: cluster.api.server, 'insecure-skip-tls-verify': true}}],
        users: [{name: 'x', user: {exec}}],
      }),
    )
    // On a terminal, which a program could open to ask.
    const typed = `'${join(programFolder(folder), 'kmeshctl')}' __complete bash -- status --node ''`
    const env = {...cluster.env, KMESHCTL_COMPLETION_TIMEOUT_MS: '3000', KUBECONFIG: config}
    const {stdout} = await promisify(execFile)('script', ['-qfec', typed, '/dev/null'], {env})
    assert.equal(stdout, ':4\r\n')
    assert.ok(!existsSync(join(folder, 'login.tty')))
    await sleep(100)
    const started = readFileSync(join(folder, 'login.pids'), 'utf8').trim().split('\n')
    for (const pid of started) assert.ok(hasEnded(pid), `process ${pid} still runs`)
  })
})

/** Gone, or dead and not yet collected. */
function hasEnded(pid: string): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return true
  }
}
