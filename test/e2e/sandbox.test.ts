// SPDX-License-Identifier: Apache-2.0
// Goal: exec is transparent, `down` leaves nothing, `up` after a crash cleans up, no bridge netfilter is needed.
// Method: real processes and signals; the machine compared before and after.
import assert from 'node:assert/strict'
import {readFileSync, writeFileSync} from 'node:fs'
import {after, before, suite, test} from 'node:test'
import {leftovers, machineState} from '../machine-state.ts'
import {
  connectOften,
  eventually,
  type Json,
  KMESHCTL,
  look,
  nameOf,
  type Result,
  run,
  SANDBOX_ONLY,
  type Sandbox,
  sandboxStatus,
  sandboxUp,
  type World,
} from './harness.ts'

const BRIDGE = '/proc/sys/net/bridge/bridge-nf-call-iptables'

suite('sandbox', {skip: SANDBOX_ONLY}, () => {
  const machine = machineState()
  let sandbox: Sandbox
  let world: World
  before(async () => {
    sandbox = await sandboxUp('e2e-sandbox', '--ip-family', 'dual')
    world = await look(sandbox)
  })
  after(async () => {
    await sandbox?.down()
  })

  function exec(command: readonly string[], input?: string): Promise<Result> {
    const args = [
      'sandbox',
      'exec',
      '--name',
      sandbox.name,
      '-n',
      'shop',
      nameOf(world.client),
      '--',
      ...command,
    ]
    return run(KMESHCTL, args, {env: sandbox.env, ...(input === undefined ? {} : {input})})
  }

  test('exec passes stdin, stdout, stderr and the exit status', async () => {
    const large = 'x'.repeat(1 << 20)
    assert.equal((await exec(['cat'], large)).stdout, large)
    const result = await exec(['sh', '-c', 'echo out; echo err >&2; exit 7'])
    assert.deepEqual([result.code, result.stdout, result.stderr], [7, 'out\n', 'err\n'])
    assert.equal((await exec(['sh', '-c', 'kill -TERM $$'])).code, 143)
    assert.notEqual((await exec(['no-such-program'])).code, 0)
  })

  test('exec runs in the network namespace and cgroup of the pod', async () => {
    const address = world.client.status?.podIPs?.[0]?.ip ?? ''
    assert.match((await exec(['ip', '-o', 'address'])).stdout, new RegExp(address.replaceAll('.', '\\.')))
    assert.match(
      (await exec(['cat', '/proc/self/cgroup'])).stdout,
      new RegExp(`pod${world.client.metadata.uid}`),
    )
  })

  test('exec hands signals on', async () => {
    const args = ['sandbox', 'exec', '--name', sandbox.name, '-n', 'shop', nameOf(world.client), '--']
    const child = sandbox.spawn(
      ...args,
      'sh',
      '-c',
      'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.05; done',
    )
    let text = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk
    })
    await eventually('ready', async () => (text.includes('ready') ? true : undefined))
    const status = new Promise<number | null>((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    assert.equal(await status, 9)
    assert.match(text, /got/)
  })

  test('services answer without bridge netfilter, also to a pod that is its own endpoint', async () => {
    const was = readFileSync(BRIDGE, 'utf8')
    writeFileSync(BRIDGE, '0')
    try {
      const [server] = world.servers
      for (const pod of [world.client, server ?? world.client]) {
        for (const address of [world.ipv4, world.ipv6]) {
          const sums = await connectOften(sandbox, nameOf(pod), address, {count: 20})
          assert.equal(sums.errors, 0, `${nameOf(pod)} to ${address}: ${JSON.stringify(sums.messages)}`)
          assert.equal(Object.keys(sums.pods).length, 3, 'every endpoint was reached, itself too')
        }
      }
    } finally {
      writeFileSync(BRIDGE, was)
    }
  })

  test('up after a crash cleans up first, and down leaves nothing', {timeout: 120_000}, async () => {
    const status = await sandboxStatus(sandbox)
    process.kill(status.pid, 'SIGKILL')
    await eventually('the process is gone', async () => (isAlive(status.pid) ? undefined : true))
    const again = await sandbox.kmeshctl('sandbox', 'up', '--name', sandbox.name, '--empty', '--nodes', '1')
    assert.equal(again.code, 0, again.stderr)
    const now = await sandboxStatus(sandbox)
    assert.deepEqual((now.nodes as Json[]).length, 1)
    assert.deepEqual(
      (now.pods as Json[]).filter((pod) => pod.namespace === 'shop'),
      [],
    )
    const down = await sandbox.down()
    assert.equal(down.code, 0, down.stderr)
    const found = await eventually('nothing left', async () => {
      const left = leftovers(machine, machineState()).filter((line) => line.includes(sandbox.name))
      return left.length === 0 ? left : Promise.reject(new Error(left.join('\n')))
    })
    assert.deepEqual(found, [])
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
