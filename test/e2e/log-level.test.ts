// SPDX-License-Identifier: Apache-2.0
// Goal: BPF debug lines come while a lease runs and stop by themselves, whoever is killed in between.
// Method: real connections, the daemons' own log files, SIGKILL of the CLI and of a daemon.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {
  connectOften,
  daemonsOf,
  daemonsReplaced,
  eventually,
  type Json,
  look,
  nameOf,
  SANDBOX_ONLY,
  type Sandbox,
  sandboxUp,
  type World,
} from './harness.ts'

const LEASE_SECONDS = 6
const DEBUG_LINE = /\[KMESH\] DEBUG: .* goes to /

suite('log levels', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: World
  before(async () => {
    sandbox = await sandboxUp('e2e-levels')
    world = await look(sandbox)
    await sandbox.json('enroll', 'namespace', 'shop', '--yes')
  })
  after(async () => {
    await sandbox?.down()
  })

  async function levels(): Promise<string[]> {
    const document = await sandbox.json('log', 'get', 'bpf', '--all-nodes')
    return (document.items as Json[]).map((item) => item.level)
  }

  /** Debug lines in the log of the client's node so far. */
  async function debugLines(): Promise<number> {
    const node = world.client.spec?.nodeName
    const daemon = (await daemonsOf(sandbox)).find((one) => one.node === node)
    return readFileSync(daemon?.log ?? '', 'utf8')
      .split('\n')
      .filter((line) => DEBUG_LINE.test(line)).length
  }

  async function connect(): Promise<void> {
    const sums = await connectOften(sandbox, nameOf(world.client), world.ipv4, {count: 5})
    assert.equal(sums.errors, 0)
  }

  async function assertDebugging(): Promise<void> {
    assert.deepEqual(await levels(), ['debug', 'debug'])
    const before = await debugLines()
    await connect()
    await eventually(
      'debug lines in the daemon log',
      async () => ((await debugLines()) >= before + 5 ? true : undefined),
      3000,
    )
  }

  async function assertReverted(): Promise<void> {
    await eventually(
      'info on every node',
      async () => ((await levels()).every((level) => level === 'info') ? true : undefined),
      (LEASE_SECONDS + 5) * 1000,
    )
    await sleep(300) // what was written before the change is in the files
    const before = await debugLines()
    await connect()
    await sleep(300)
    assert.equal(await debugLines(), before, 'no new debug line')
  }

  test('a lease shows debug lines, then ends by itself', async () => {
    await sandbox.json('log', 'set-level', 'bpf=debug', '--for', `${LEASE_SECONDS}s`, '--all-nodes')
    await assertDebugging()
    await assertReverted()
  })

  test('also when the CLI is killed', async () => {
    const child = sandbox.spawn('log', 'set-level', 'bpf=debug', '--for', `${LEASE_SECONDS}s`, '--all-nodes')
    await eventually('debug on every node', async () =>
      (await levels()).every((level) => level === 'debug') ? true : undefined,
    )
    child.kill('SIGKILL')
    await assertDebugging()
    await assertReverted()
  })

  test('also when the daemon is killed', async () => {
    await sandbox.json('log', 'set-level', 'bpf=debug', '--for', `${LEASE_SECONDS}s`, '--all-nodes')
    const before = await daemonsOf(sandbox)
    for (const daemon of before) process.kill(daemon.pid, 'SIGKILL')
    await daemonsReplaced(sandbox, before)
    await assertReverted()
  })
})
