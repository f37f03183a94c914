// SPDX-License-Identifier: Apache-2.0
// Goal: all questions to one daemon share one connection, HEAD included: behind an API server each costs a tunnel.
// Method: a Go daemon on a real socket in front of which connections are counted.
import assert from 'node:assert/strict'
import {connect, createServer} from 'node:net'
import {test} from 'node:test'
import {createDialer} from '../../src/lib/adapters/admin-client.ts'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {startDaemon} from '../fakes/go-daemon/server.ts'

test('HEAD and what is asked afterwards go over one connection', async (t) => {
  const daemon = await startDaemon({version: 'v1.2.0', mode: 'dual-engine'})
  let connections = 0
  const counter = createServer((socket) => {
    connections += 1
    const inner = connect(daemon.port, '127.0.0.1')
    for (const [from, to] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      from.on('error', () => to.destroy())
      from.pipe(to)
    }
  })
  await new Promise<void>((resolve) => counter.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    counter.close()
    await daemon.close()
  })
  const {port} = counter.address() as {port: number}
  const options = {kube: undefined, adminPort: 15_200, requestTimeoutMs: 5000, clock: createClock()}
  const dialer = createDialer(options)
  const admin = dialer.dial({node: `http://127.0.0.1:${port}`, pod: null})
  assert.equal((await admin.call('version', {})).gitVersion, 'v1.2.0')
  assert.equal(await admin.head('/debug/config_dump/dual-engine'), 200)
  assert.equal(await admin.head('/debug/config_dump/kernel-native'), 400)
  assert.equal((await admin.call('version', {})).gitVersion, 'v1.2.0')
  await dialer.close()
  assert.equal(connections, 1)
})
