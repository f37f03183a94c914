// SPDX-License-Identifier: Apache-2.0
// Goal: completion works in the shells that people use, with names of the cluster, and runs none of them.
// Method: real bash and zsh on a terminal (keys in, edited line out), real fish by `complete -C`; one table for all,
// against a fake API server with hostile names.
import assert from 'node:assert/strict'
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {askFish, KEYS, programFolder, shellMissing, typeInto} from '../fakes/shells.ts'
import {type CompletionCluster, startCompletionCluster} from './completion-fixture.ts'

/** Typed, the word that TAB makes of the last one. */
const ONE: readonly (readonly [string, string])[] = [
  ['kmeshctl enr', 'enroll '],
  ['kmeshctl enroll name', 'namespace '],
  ['kmeshctl enroll namespace --overw', '--overwrite '],
  ['kmeshctl status -o wi', 'wide '],
  ['kmeshctl status --output=ya', '--output=yaml '],
  ['kmeshctl status --node wor', 'worker-1 '],
  ['kmeshctl status --node=ed', '--node=edge-1 '],
  ['kmeshctl status --node=worker-1,ed', '--node=worker-1,edge-1 '],
  ['kmeshctl enroll namespace sh', 'shop '],
  ['kmeshctl unenroll namespace shop st', 'store '],
  ['kmeshctl enroll pod -n shop we', 'web-1 '],
  ['kmeshctl enroll pod --namespace=shop ca', 'cart-1 '],
  ['kmeshctl unenroll pod ot', 'other-1 '],
  ['kmeshctl log get man', 'manage '],
  ['kmeshctl log set-level man', 'manage='],
  ['kmeshctl log set-level manage=de', 'manage=debug '],
  ['kmeshctl dump maps km_t', 'km_told '],
  ['kmeshctl status --context fa', 'fake '],
  ['kmeshctl status --kubeconfig $OTHER --context ad', 'admin@eu:prod '],
  ['kmeshctl status --kubeconfig $OTHER --context=admin@eu:p', '--context=admin@eu:prod '],
  ['kmeshctl status --kubeconfig oth', 'other.yaml '],
  ['kmeshctl status --kubeconfig=oth', '--kubeconfig=other.yaml '],
]

/** Typed with an empty last word, every candidate. */
const ALL: readonly (readonly [string, readonly string[]])[] = [
  ['kmeshctl enroll namespace ', ['kmesh-system', 'shop', 'store']],
  ['kmeshctl enroll pod -n shop ', ['cart-1', 'web-1']],
  ['kmeshctl status --node ', ['edge-1', 'worker-1']],
  ['kmeshctl completion ', ['bash', 'fish', 'zsh']],
]

const lineAfter = (typed: string, word: string): string =>
  `${typed.slice(0, typed.lastIndexOf(' ') + 1)}${word}`

suite('completion in real shells', () => {
  let cluster: CompletionCluster
  let env: CompletionCluster['env']
  before(async () => {
    cluster = await startCompletionCluster()
    const path = `${programFolder(cluster.folder)}:${cluster.env['PATH']}`
    env = {...cluster.env, PATH: path, OTHER: cluster.otherConfig}
  })
  after(() => cluster.close())

  for (const shell of ['bash', 'zsh'] as const) {
    test(`${shell}, interactive`, {skip: shellMissing(shell)}, async () => {
      const {complete, all} = KEYS[shell]
      const sequences = [...ONE.map(([typed]) => typed + complete), ...ALL.map(([typed]) => typed + all)]
      const {lines, screen} = await typeInto(shell, cluster.folder, env, sequences)
      const expected = [
        ...ONE.map(([typed, word]) => lineAfter(typed, word)),
        ...ALL.map(([typed, names]) => `${typed}${names.join(' ')} `),
      ]
      assert.deepEqual(lines, expected, screen)
      assert.ok(
        !screen.includes('\u001b[31mred') && !screen.includes('PWNED') && !/error/i.test(screen),
        screen,
      )
      assert.ok(!existsSync(join(cluster.folder, 'PWNED')))
    })
  }

  test('fish', {skip: shellMissing('fish')}, async () => {
    const rows = [...ONE, ...ALL]
    const answers = await askFish(
      cluster.folder,
      env,
      rows.map(([typed]) => typed),
    )
    const expected = rows.map(([, words]) => (typeof words === 'string' ? [words.trim()] : [...words]))
    assert.deepEqual(answers, expected)
    assert.ok(!existsSync(join(cluster.folder, 'PWNED')))
  })
})
