// SPDX-License-Identifier: Apache-2.0
// Goal: a port-forward carries bytes unchanged both ways, with backpressure, ends when the pod's side ends, fails
// with the node's text, and leaves nothing open.
// Method: the real adapter against a TLS server that forwards to TCP servers of the test, as a kubelet does.
import assert from 'node:assert/strict'
import {createHash, randomBytes} from 'node:crypto'
import {type AddressInfo, createServer, type Server, type Socket} from 'node:net'
import {afterEach, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {createKube} from '../../src/lib/adapters/kube.ts'
import {loadConnection} from '../../src/lib/adapters/kubeconfig.ts'
import type {Log} from '../../src/lib/ports.ts'
import {type DaemonInside, type FakeNode, startFakeApi} from '../fakes/api-server.ts'

const silent = () => undefined
const log: Log = {trace: silent, debug: silent, info: silent, warn: silent, error: silent}
const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(daemon: Exclude<FakeNode['daemon'], DaemonInside> | ((socket: Socket) => void)) {
  const port = typeof daemon === 'function' ? await listen(daemon) : daemon
  const api = await startFakeApi({nodes: [{name: 'n1', daemon: port}]})
  const kube = createKube(await loadConnection({kubeconfig: api.kubeconfig}), {
    clock: createClock(),
    log,
    requestTimeoutMs: 5000,
  })
  closers.push(
    () => api.close(),
    () => kube.close(),
  )
  return {api, dial: () => kube.portForward('kmesh-system', 'kmesh-n1', 15_200, {connectTimeoutMs: 500})}
}

async function listen(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', silent))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

test('4 MiB go there and back unchanged to a slow reader', async () => {
  const {dial} = await start((socket) => void socket.pipe(socket))
  const stream = await dial()
  const sent = randomBytes(4 * 1024 * 1024)
  const hash = createHash('sha256')
  let received = 0
  stream.write(sent)
  for await (const chunk of stream) {
    hash.update(chunk)
    received += chunk.length
    if (received === sent.length) break
    if (received % 7 === 0) await sleep(1)
  }
  assert.equal(hash.digest('hex'), createHash('sha256').update(sent).digest('hex'))
})

test('a reader that stops makes the sender stop: memory stays flat', async () => {
  let written = 0
  const {dial} = await start((socket) => {
    const more = (): void => {
      do written += 65_536
      while (socket.write(Buffer.alloc(65_536)))
    }
    socket.on('drain', more)
    more()
  })
  const stream = await dial()
  await sleep(700)
  const early = written
  await sleep(700)
  assert.ok(stream.readableLength <= 256 * 1024, `holds ${stream.readableLength} bytes`)
  assert.ok(written - early < 64 * 1024 * 1024)
  stream.destroy()
})

test('the stream ends when the side of the pod ends, after all its bytes', async () => {
  const {dial, api} = await start((socket) => void socket.end('bye'))
  const chunks: Buffer[] = []
  for await (const chunk of await dial()) chunks.push(chunk)
  assert.equal(Buffer.concat(chunks).toString(), 'bye')
  await sleep(100)
  assert.equal(api.openStreams(), 0)
})

test('a port on which nobody listens fails with the text of the node', async () => {
  const {dial} = await start('refused')
  await assert.rejects(
    async () => {
      for await (const _chunk of await dial());
    },
    {
      code: 'Unreachable',
      phase: 'connect',
      message: /port 15200 of pod kmesh-system\/kmesh-n1: error forwarding port: connect ECONNREFUSED/,
    },
  )
})

test('a handshake without an answer ends at the connect timeout', async () => {
  const {dial} = await start('silent')
  const startMs = performance.now()
  await assert.rejects(dial(), {code: 'Timeout', phase: 'connect', exitCode: 1})
  assert.ok(performance.now() - startMs < 1500)
})

test('destroying the stream closes the connection into the pod', async () => {
  let isClosed = false
  const {dial, api} = await start((socket) => {
    socket.resume().on('close', () => {
      isClosed = true
    })
  })
  const stream = await dial()
  stream.write('hello')
  await sleep(50)
  stream.destroy()
  await sleep(200)
  assert.deepEqual([isClosed, api.openStreams()], [true, 0])
})
