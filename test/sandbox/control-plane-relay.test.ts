// SPDX-License-Identifier: Apache-2.0
// Goal: what passes a relay between network namespaces arrives unchanged, half-closes and breaks too.
// Method: a network namespace of its own with a TCP server inside, clients outside; needs root.
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {type AddressInfo, connect, createServer, type Server, type Socket} from 'node:net'
import {after, before, suite, test} from 'node:test'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import type {Log} from '../../src/lib/ports.ts'
import {createRelay} from '../../src/lib/sandbox/real-control-plane/relay.ts'

const NAMESPACE = `kmt${process.pid}-relay`
const PATH = `/run/netns/${NAMESPACE}`
const PORT = 6443
const isRoot = process.geteuid?.() === 0
const skip = isRoot || process.env['KMESH_REQUIRE_KERNEL'] === '1' ? false : 'needs root'

suite('relay', {skip}, () => {
  const netns = createNetns()
  const nothing = (): void => undefined
  const log: Log = {trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing}
  let inside: Server
  let relay: Server
  let onConnection: (socket: Socket) => void = nothing

  before(async () => {
    execFileSync('ip', ['netns', 'add', NAMESPACE])
    execFileSync('ip', ['-n', NAMESPACE, 'link', 'set', 'lo', 'up'])
    inside = createServer({allowHalfOpen: true}, (socket) => {
      socket.on('error', nothing)
      onConnection(socket)
    })
    inside.listen({fd: netns.listen(PATH, '127.0.0.1', PORT)})
    relay = createRelay({netns, namespacePath: PATH, port: PORT, log})
    relay.listen(0, '127.0.0.1')
    await once(relay, 'listening')
  })
  after(() => {
    relay?.close()
    inside?.close()
    execFileSync('ip', ['netns', 'del', NAMESPACE])
  })

  function dial(): Socket {
    return connect({port: (relay.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true})
  }

  /** Of all that comes; iterating over the socket would destroy it at the end. */
  async function hashOf(socket: Socket): Promise<string> {
    const hash = createHash('sha256')
    socket.on('data', (chunk: Buffer) => hash.update(chunk))
    await once(socket, 'end')
    return hash.digest('hex')
  }

  test('5 MB each way, the answer after the end of the question', async () => {
    const question = randomBytes(5_000_000)
    const answer = randomBytes(5_000_000)
    const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
    const received = new Promise<string>((resolve) => {
      onConnection = (socket) => {
        void hashOf(socket).then((hash) => {
          resolve(hash)
          socket.end(answer)
        })
      }
    })
    const client = dial()
    client.end(question)
    assert.equal(await hashOf(client), sha(answer))
    assert.equal(await received, sha(question))
  })

  test('a client that breaks is broken inside too', async () => {
    const broken = new Promise<void>((resolve) => {
      onConnection = (socket) => {
        socket.once('close', () => resolve())
        socket.resume()
      }
    })
    const client = dial()
    client.write('x')
    await once(client, 'connect')
    client.resetAndDestroy()
    await broken
  })

  test('a server that breaks is broken outside too', async () => {
    onConnection = (socket) => socket.resetAndDestroy()
    const client = dial()
    client.on('error', nothing)
    client.resume()
    await new Promise((resolve) => client.once('close', resolve))
  })

  test('nobody listens inside: the client is told by a reset', async () => {
    const nowhere = createRelay({netns, namespacePath: PATH, port: 1, log})
    nowhere.listen(0, '127.0.0.1')
    await once(nowhere, 'listening')
    const client = connect((nowhere.address() as AddressInfo).port, '127.0.0.1')
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNRESET')
    nowhere.close()
  })
})
