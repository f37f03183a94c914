// SPDX-License-Identifier: Apache-2.0
// Goal: without an API server the data plane works on and the daemons say that they are not ready, and why; when it
// answers again they are ready by themselves. An agent that starts meanwhile adopts and waits.
// Method: SIGSTOP to the sandbox's process, which is API and kubelet; daemons and pods go on. The admin API is asked
// from inside the node's namespace, as nothing else answers.
import assert from 'node:assert/strict'
import {type ClientRequest, request} from 'node:http'
import {Socket} from 'node:net'
import {after, before, suite, test} from 'node:test'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import type {ReadyReply} from '../../src/lib/model/api.ts'
import {
  connectOften,
  type Daemon,
  daemonsOf,
  daemonsReplaced,
  eventually,
  look,
  nameOf,
  SANDBOX_ONLY,
  type Sandbox,
  sandboxStatus,
  sandboxUp,
  type World,
} from './harness.ts'

const ADMIN_PORT = 15_200
const STATUS_PORT = 15_020
/** A probe each 10 s, which may take 5 s. */
const NOTICED_MS = 20_000
const EVERY_MS = 20

suite('API server away', {skip: SANDBOX_ONLY}, () => {
  const netns = createNetns()
  let sandbox: Sandbox
  let world: World
  let apiPid: number
  before(async () => {
    sandbox = await sandboxUp('e2e-noapi', '--ip-family', 'dual')
    world = await look(sandbox)
    await sandbox.json('enroll', 'namespace', 'shop', '--yes')
    apiPid = (await sandboxStatus(sandbox)).pid
  })
  after(async () => {
    if (apiPid > 0) process.kill(apiPid, 'SIGCONT')
    await sandbox?.down()
  })

  /** Status and body, asked on the node of that daemon. */
  function askOn({pid}: Daemon, port: number, path: string): Promise<{status: number; body: string}> {
    return new Promise((resolve, reject) => {
      const socket = new Socket({fd: netns.socket(`/proc/${pid}/ns/net`, 4)})
      socket.connect(port, '127.0.0.1')
      const sent: ClientRequest = request(
        {host: '127.0.0.1', port, path, createConnection: () => socket},
        (response) => {
          let body = ''
          response.on('data', (chunk) => (body += chunk))
          response.on('end', () => resolve({status: response.statusCode ?? 0, body}))
        },
      )
      sent.once('error', reject)
      sent.end()
    })
  }

  async function readyOn(daemon: Daemon): Promise<ReadyReply> {
    return JSON.parse((await askOn(daemon, ADMIN_PORT, '/debug/ready')).body) as ReadyReply
  }

  async function kubernetesIs(ok: boolean, daemons: readonly Daemon[]): Promise<void> {
    for (const daemon of daemons) {
      await eventually(
        `kubernetes is ${ok} on ${daemon.node}`,
        async () => {
          const {ready, checks} = await readyOn(daemon)
          const check = checks.find(({name}) => name === 'kubernetes')
          return check?.ok === ok && ready === ok ? true : undefined
        },
        NOTICED_MS,
      )
    }
  }

  test('it stops for half a minute', {timeout: 120_000}, async () => {
    const daemons = await daemonsOf(sandbox)
    const traffic = connectOften(sandbox, nameOf(world.client), world.ipv4, {count: 1800, everyMs: EVERY_MS})
    await eventually('everything is ready', async () =>
      (await Promise.all(daemons.map(readyOn))).every(({ready}) => ready) ? true : undefined,
    )
    process.kill(apiPid, 'SIGSTOP')
    try {
      await kubernetesIs(false, daemons)
      for (const daemon of daemons) {
        const [, kubernetes] = (await readyOn(daemon)).checks
        assert.match(kubernetes?.message ?? '', /no answer/)
        assert.equal((await askOn(daemon, STATUS_PORT, '/readyz')).status, 503)
        assert.equal(
          (await askOn(daemon, STATUS_PORT, '/healthz')).status,
          200,
          'nobody shall kill it for that',
        )
      }
    } finally {
      process.kill(apiPid, 'SIGCONT')
    }
    await kubernetesIs(true, daemons)
    const sums = await traffic
    assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
    assert.ok(!Object.keys(sums.peers).includes(`${world.ipv4} 80`), 'every connection was redirected')
  })

  test('a daemon that starts while it is away adopts, waits, and changes nothing', {
    timeout: 120_000,
  }, async () => {
    const old = await daemonsOf(sandbox)
    const traffic = connectOften(sandbox, nameOf(world.client), world.ipv6, {count: 500, everyMs: EVERY_MS})
    const [first] = old
    assert.ok(first !== undefined)
    process.kill(first.pid, 'SIGKILL')
    // Its kubelet is that process, too: it starts the next one as soon as it runs, and is stopped again at once.
    const next = await eventually('a new daemon', async () => {
      const found = (await daemonsOf(sandbox)).find(
        ({node, pid}) => node === first.node && pid !== first.pid && pid > 0,
      )
      return found
    })
    process.kill(apiPid, 'SIGSTOP')
    try {
      await kubernetesIs(false, [next])
    } finally {
      process.kill(apiPid, 'SIGCONT')
    }
    await daemonsReplaced(sandbox, [first], old.length)
    await kubernetesIs(true, [next])
    const sums = await traffic
    assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
    assert.ok(!Object.keys(sums.peers).includes(`${world.ipv6} 80`), 'every connection was redirected')
  })
})
