// SPDX-License-Identifier: Apache-2.0
// Goal: `kubectl kmesh` is kmeshctl, and kubectl completes what stands behind it.
// Method: the real kubectl of this machine with bin/ on PATH, against a fake API server.
import assert from 'node:assert/strict'
import {execFile} from 'node:child_process'
import {mkdirSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {promisify} from 'node:util'
import {type CompletionCluster, startCompletionCluster} from './completion-fixture.ts'

const run = promisify(execFile)
const bin = join(import.meta.dirname, '../../bin')
const version = await run('kubectl', ['version', '--client']).catch(() => undefined)
const skip = version === undefined && 'there is no kubectl on this machine'

suite('kubectl kmesh', {skip}, () => {
  let cluster: CompletionCluster
  let env: CompletionCluster['env']
  before(async () => {
    cluster = await startCompletionCluster()
    // As npm puts them on PATH.
    const folder = join(cluster.folder, 'links')
    mkdirSync(folder)
    for (const name of ['kubectl-kmesh', 'kubectl_complete-kmesh'])
      symlinkSync(join(bin, name), join(folder, name))
    env = {...cluster.env, PATH: `${folder}:${process.env['PATH']}`}
  })
  after(() => cluster.close())

  const kubectl = (...args: string[]) => run('kubectl', args, {env: {...env}})

  test('runs commands, with its exit status', async () => {
    const {stdout} = await kubectl('kmesh', 'version', '--client', '-o', 'json')
    assert.match(stdout, /"kind": "VersionList"|"client"/)
    await assert.rejects(kubectl('kmesh', 'nope'), {code: 2, stderr: /unknown command 'nope'/})
  })

  /** Words behind `kubectl kmesh`, lines that kubectl hands to the shell. */
  const rows: readonly (readonly [string[], string[]])[] = [
    [['enr'], ['enroll\tPut namespaces or pods under Kmesh', ':4']],
    [
      ['log', 'set-level', 'man'],
      ['manage=', ':6'],
    ],
    [
      ['status', '--node', 'w'],
      ['worker-1', ':4'],
    ],
    [
      ['status', '--node=w'],
      ['worker-1', ':4'],
    ],
    [
      ['enroll', 'namespace', ''],
      ['kmesh-system', 'shop', 'store', ':4'],
    ],
    [['status', '--kubeconfig', ''], [':0']],
  ]
  for (const [words, expected] of rows) {
    test(`kubectl completes 'kubectl kmesh ${words.join(' ')}|'`, async () => {
      const {stdout} = await kubectl('__complete', 'kmesh', ...words)
      assert.deepEqual(stdout.trimEnd().split('\n'), expected)
    })
  }
})
