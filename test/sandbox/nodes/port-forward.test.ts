// SPDX-License-Identifier: Apache-2.0
// Goal: the node's side of port-forward as a real kubelet of 1.34 gives it: first messages, data both ways
// without loss, an unreachable port, ends from both sides, several ports, bounded memory.
// Method: real WebSockets and TCP on loopback; the "pod" is this process's own namespace.
import assert from 'node:assert/strict'
import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {createServer as createHttpServer} from 'node:http'
import {type AddressInfo, createServer, type Server, type Socket} from 'node:net'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {WebSocket, WebSocketServer} from 'ws'
import {createNetns} from '../../../src/lib/adapters/netns.ts'
import {serveForward} from '../../../src/lib/sandbox/nodes/port-forward.ts'
import {namespaceSockets} from '../../../src/lib/sandbox/nodes/sockets.ts'

const target = {namespacePath: '/proc/self/ns/net', sockets: namespaceSockets(createNetns())}
const LARGE = randomBytes(16 * 1024 * 1024)

suite('port-forward', () => {
  const http = createHttpServer()
  const accepted: WebSocket[] = []
  before(async () => {
    const websockets = new WebSocketServer({server: http})
    websockets.on('connection', (websocket, request) => {
      accepted.push(websocket)
      const ports = new URL(request.url ?? '', 'http://node').searchParams.getAll('port').map(Number)
      serveForward(websocket, ports, target)
    })
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
  })
  after(() => {
    http.close()
    http.closeAllConnections()
  })

  async function pod(handle: (socket: Socket) => void): Promise<{server: Server; port: number}> {
    const server = createServer({allowHalfOpen: true}, handle)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {server, port: (server.address() as AddressInfo).port}
  }

  function open(...ports: number[]): {websocket: WebSocket; messages: Buffer[]; closed: Promise<number>} {
    const query = ports.map((port) => `port=${port}`).join('&')
    const websocket = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}/?${query}`)
    const messages: Buffer[] = []
    websocket.on('message', (data: Buffer) => messages.push(data))
    const closed = once(websocket, 'close').then(([code]) => code as number)
    return {websocket, messages, closed}
  }

  const ofChannel = (messages: readonly Buffer[], channel: number): Buffer =>
    Buffer.concat(messages.filter((message) => message[0] === channel).map((message) => message.subarray(1)))

  test('each channel begins with its port, and the end of the pod ends with 1000', async () => {
    const {server, port} = await pod((socket) => socket.end('bye'))
    const {messages, closed} = open(port)
    assert.equal(await closed, 1000)
    const head = Buffer.of(port & 255, port >> 8)
    assert.deepEqual(messages.slice(0, 2), [
      Buffer.concat([Buffer.of(0), head]),
      Buffer.concat([Buffer.of(1), head]),
    ])
    assert.equal(ofChannel(messages, 0).subarray(2).toString(), 'bye')
    assert.equal(ofChannel(messages, 1).length, 2, 'no error text')
    server.close()
  })

  test('a port where nobody listens is a text on channel 1 and 1000', async () => {
    const {server, port} = await pod(() => {})
    server.close()
    await once(server, 'close')
    const {messages, closed} = open(port)
    assert.equal(await closed, 1000)
    assert.match(ofChannel(messages, 1).subarray(2).toString(), new RegExp(`port ${port}.*ECONNREFUSED`))
  })

  test('16 MB come back as they were sent', async () => {
    const {server, port} = await pod((socket) => socket.pipe(socket))
    const {websocket, messages, closed} = open(port)
    await once(websocket, 'open')
    for (let at = 0; at < LARGE.length; at += 65_536) {
      websocket.send(Buffer.concat([Buffer.of(0), LARGE.subarray(at, at + 65_536)]))
    }
    while (ofChannel(messages, 0).length < LARGE.length + 2) await sleep(20)
    const hash = (data: Buffer): string => createHash('sha256').update(data).digest('hex')
    assert.equal(hash(ofChannel(messages, 0).subarray(2)), hash(LARGE))
    websocket.close()
    await closed
    server.close()
  })

  test('a client that does not read stops the pod, not the memory', async () => {
    let written = 0
    const {server, port} = await pod((socket) => {
      const chunk = Buffer.alloc(65_536)
      const fill = (): void => {
        while (written < 256 * 1024 * 1024) {
          written += chunk.length
          if (!socket.write(chunk)) return void socket.once('drain', fill)
        }
      }
      socket.on('error', () => {})
      fill()
    })
    const {websocket, closed} = open(port)
    await once(websocket, 'open')
    websocket.pause()
    await sleep(1000)
    const buffered = accepted.at(-1)?.bufferedAmount ?? 0
    assert.ok(buffered < 4 * 1024 * 1024, `${buffered} bytes wait in the node`)
    assert.ok(written < 128 * 1024 * 1024, `the pod could write ${written} bytes`)
    websocket.terminate()
    await closed
    server.close()
  })

  test('closing the WebSocket ends the connection in the pod, after everything was written', async () => {
    let received = 0
    let end: (bytes: number) => void = () => {}
    const ended = new Promise<number>((resolve) => {
      end = resolve
    })
    const {server, port} = await pod((socket) => {
      socket.on('data', (chunk) => {
        received += chunk.length
      })
      socket.on('end', () => {
        socket.end()
        end(received)
      })
    })
    const {websocket} = open(port)
    await once(websocket, 'open')
    websocket.send(Buffer.concat([Buffer.of(0), LARGE.subarray(0, 1 << 20)]))
    await sleep(100)
    websocket.close()
    assert.equal(await ended, 1 << 20)
    server.close()
  })

  test('several ports have channels of their own; one that fails leaves the other', async () => {
    const {server, port} = await pod((socket) => socket.pipe(socket))
    const dead = await pod(() => {})
    dead.server.close()
    await once(dead.server, 'close')
    const {websocket, messages, closed} = open(dead.port, port)
    await once(websocket, 'open')
    websocket.send(Buffer.concat([Buffer.of(2), Buffer.from('hello')]))
    while (ofChannel(messages, 2).length < 7) await sleep(10)
    assert.equal(ofChannel(messages, 2).subarray(2).toString(), 'hello')
    assert.match(ofChannel(messages, 1).subarray(2).toString(), /ECONNREFUSED/)
    websocket.close()
    await closed
    server.close()
  })

  test('data for a channel that takes none is refused with 1003', async () => {
    const {server, port} = await pod((socket) => socket.resume())
    const {websocket, closed} = open(port)
    await once(websocket, 'open')
    websocket.send(Buffer.from([9, 1, 2]))
    assert.equal(await closed, 1003)
    server.close()
  })
})
