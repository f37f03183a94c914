// SPDX-License-Identifier: Apache-2.0
// Goal: an agent that is killed in the middle of any write of an install, a stop or an uninstall leaves what the next
// start makes whole, and what uninstall takes out to the byte.
// Method: real processes that SIGKILL themselves at write 1, 2, 3 ... until one lives to its end.
import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {join} from 'node:path'
import {test} from 'node:test'
import {fileURLToPath} from 'node:url'
import {CONFLISTS} from '../cni/conflist-samples.ts'
import {ConflistNode} from './conflist-fixture.ts'

const root = join(import.meta.dirname, '../..')
const NAMES = Object.keys(CONFLISTS)
const PARALLEL = 3
const VICTIM = fileURLToPath(import.meta.resolve('./conflist-victim.ts'))

/** @returns undefined where it was killed */
function victim(folder: string, phase: string, number: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const args = [VICTIM, folder, phase, String(number)]
    const child = spawn(process.execPath, args, {cwd: root, stdio: ['ignore', 'pipe', 'inherit']})
    let text = ''
    child.stdout.on('data', (chunk) => (text += chunk))
    child.once('close', (status, signal) => {
      if (signal === 'SIGKILL') resolve(undefined)
      else if (status === 0) resolve(Number(text))
      else reject(new Error(`the process at write ${number} ended with ${status ?? signal}`))
    })
  })
}

/** @returns whether the write was there to be killed in */
async function killAt(phase: string, number: number): Promise<boolean> {
  const name = NAMES[number % NAMES.length] ?? ''
  const original = CONFLISTS[name] ?? ''
  using node = new ConflistNode()
  node.put(`etc/${name}`, original)
  if (phase === 'uninstall') {
    await node.started()
    node.kill()
  }
  if ((await victim(node.folder, phase, number)) !== undefined) return false
  const where = `${phase}, killed in write ${number}, ${name}`
  // Somebody else's file is whole at every moment.
  const types = JSON.parse(node.text(`etc/${name}`).replace(/^\ufeff/, '')).plugins.length
  assert.ok(types >= JSON.parse(original).plugins.length, where)
  if (number % 2 === 0) await startAgain(node, name, where)
  assert.equal(node.uninstall(), true, where)
  assert.equal(node.text(`etc/${name}`), original, where)
  assert.deepEqual(node.list('etc'), [name], where)
  assert.deepEqual([node.list('bin'), node.list('run'), node.list('state')], [[], [], []], where)
  return true
}

async function startAgain(node: ConflistNode, name: string, where: string): Promise<void> {
  const keeper = await node.started()
  assert.deepEqual(keeper.problems(), [], where)
  assert.equal(node.types(`etc/${name}`).filter((type) => type === 'kmesh-cni').length, 1, where)
  assert.deepEqual(node.list('etc'), [name, 'kmesh-cni-kubeconfig'].sort(), where)
  assert.deepEqual(node.list('bin'), ['.kmesh-cni', 'kmesh-cni'], where)
  assert.deepEqual(node.list('bin/.kmesh-cni'), ['kmesh-cni.mjs', 'node'], where)
  assert.equal(node.text('bin/.kmesh-cni/node'), 'a Node', where)
  node.kill()
}

for (const [phase, least] of [
  ['start', 40],
  ['stop', 8],
  ['uninstall', 15],
] as const) {
  test(`killed in every write of: ${phase}`, {timeout: 300_000}, async (t) => {
    let number = 0
    let ended = Number.POSITIVE_INFINITY
    const next = async (): Promise<void> => {
      while (number < ended) {
        number += 1
        const mine = number
        if (!(await killAt(phase, mine))) ended = Math.min(ended, mine)
      }
    }
    await Promise.all(Array.from({length: PARALLEL}, next))
    t.diagnostic(`${ended - 1} writes`)
    assert.ok(ended > least, `only ${ended - 1} writes`)
  })
}
