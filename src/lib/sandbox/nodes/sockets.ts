// SPDX-License-Identifier: Apache-2.0
/** TCP inside the network namespaces of a sandbox, or, without namespaces, on loopback ports that stand in for them. */
import {isIPv6, type Server, Socket} from 'node:net'
import {KmeshError} from '../../errors.ts'
import type {Netns} from '../../ports.ts'

/** A place is a node or pod, named by what stands as `networkNamespace` in its record. */
export interface Sockets {
  /** A socket on its way from inside `place` to `host` `port`. @throws KernelError where there is no such place */
  connect(place: string, host: string, port: number): Socket
  /** Resolves when `server` listens inside `place`. */
  listen(server: Server, place: string, host: string, port: number): Promise<void>
}

export function namespaceSockets(netns: Netns): Sockets {
  return {
    connect: (place, host, port) =>
      new Socket({fd: netns.socket(place, isIPv6(host) ? 6 : 4)}).connect({host, port}),
    listen: async (server, place, host, port) => {
      await listening(server, {fd: netns.listen(place, host, port)})
    },
  }
}

const LOOPBACK = '127.0.0.1'

/** Ports of this machine's loopback in place of ports inside namespaces. Addresses do not matter: a place has one port table. */
export class LoopbackSockets implements Sockets {
  readonly #ports = new Map<string, number>()

  /** Whoever connects to `port` in `place` gets to `realPort` of 127.0.0.1. */
  map(place: string, port: number, realPort: number): void {
    this.#ports.set(`${place} ${port}`, realPort)
  }

  connect(place: string, _host: string, port: number): Socket {
    const realPort = this.#ports.get(`${place} ${port}`)
    const socket = new Socket()
    if (realPort !== undefined) return socket.connect({host: LOOPBACK, port: realPort})
    return socket.destroy(
      new KmeshError(
        `nothing stands in for port ${port} (backend memory knows the ports that a pod declares)`,
        {
          code: 'MemoryBackend',
        },
      ),
    )
  }

  async listen(server: Server, place: string, _host: string, port: number): Promise<void> {
    await listening(server, {host: LOOPBACK, port: 0})
    this.map(place, port, portOf(server))
  }
}

export function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function listening(server: Server, target: {fd: number} | {host: string; port: number}): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(target, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
