// SPDX-License-Identifier: Apache-2.0
/**
 * Node side of port-forward over WebSocket `v4.channel.k8s.io`: for port number i
 * of the request, channel 2i carries data and channel 2i+1 error text. Each channel
 * begins with a message of the port, 2 bytes little-endian.
 */
import type {Socket} from 'node:net'
import type {WebSocket} from 'ws'
import type {Sockets} from './sockets.ts'

const MAX_BUFFERED_BYTES = 1024 * 1024
const CLOSE_NORMAL = 1000
const CLOSE_UNSUPPORTED = 1003

export interface ForwardTarget {
  /** Namespace whose 127.0.0.1 is connected to. */
  readonly namespacePath: string
  readonly sockets: Sockets
}

export function serveForward(websocket: WebSocket, ports: readonly number[], target: ForwardTarget): void {
  const sockets = ports.map((port, index) => forwardPort(websocket, port, index, target, closeWhenDone))
  let open = sockets.length

  function closeWhenDone(): void {
    open -= 1
    if (open === 0) websocket.close(CLOSE_NORMAL)
  }

  websocket.on('message', (data) => {
    const bytes = data as Buffer
    const channel = bytes[0] ?? 0
    const socket = sockets[channel >> 1]
    if (channel % 2 !== 0 || socket === undefined) {
      websocket.close(CLOSE_UNSUPPORTED, `channel ${channel} takes no data`)
      return
    }
    if (bytes.length === 1 || socket.destroyed) return
    if (!socket.write(bytes.subarray(1))) {
      websocket.pause()
      socket.once('drain', () => websocket.resume())
    }
  })
  const end = (): void => {
    for (const socket of sockets) {
      if (socket.connecting) socket.destroy()
      else socket.destroySoon()
    }
  }
  websocket.on('close', end)
  websocket.on('error', end)
}

function forwardPort(
  websocket: WebSocket,
  port: number,
  index: number,
  target: ForwardTarget,
  onDone: () => void,
): Socket {
  const dataChannel = Buffer.of(2 * index)
  const errorChannel = Buffer.of(2 * index + 1)
  const portBytes = Buffer.of(port & 255, port >> 8)
  websocket.send(Buffer.concat([dataChannel, portBytes]))
  websocket.send(Buffer.concat([errorChannel, portBytes]))

  const socket = target.sockets.connect(target.namespacePath, '127.0.0.1', port)
  socket.on('data', (chunk: Buffer) => {
    websocket.send(Buffer.concat([dataChannel, chunk]), () => {
      if (socket.isPaused() && websocket.bufferedAmount < MAX_BUFFERED_BYTES) socket.resume()
    })
    if (websocket.bufferedAmount >= MAX_BUFFERED_BYTES) socket.pause()
  })
  socket.once('error', (error) => {
    const text = `cannot connect to port ${port} of the pod: ${error.message}`
    websocket.send(Buffer.concat([errorChannel, Buffer.from(text, 'utf8')]))
  })
  // A drain that comes no more must not hold the other ports back.
  socket.once('close', () => {
    websocket.resume()
    onDone()
  })
  return socket
}
