// SPDX-License-Identifier: Apache-2.0
/** Brings TCP connections from one network namespace to a port on the loopback of another. */
import {type AddressInfo, createServer, type Server, Socket} from 'node:net'
import {messageOf} from '../../errors.ts'
import type {Log, Netns} from '../../ports.ts'

export interface RelayTarget {
  readonly netns: Netns
  /** Network namespace that connections are made in. */
  readonly namespacePath: string
  /** On 127.0.0.1 there. */
  readonly port: number
  readonly log: Log
}

/**
 * Relays until the process ends.
 * @returns the port that it listens on; 0 for a descriptor, whose address is in another namespace
 */
export async function listenOn(
  target: RelayTarget,
  where: {readonly host: string; readonly port: number} | {readonly fd: number},
): Promise<number> {
  const server = createRelay(target)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, resolve)
  })
  server.on('error', (error) => target.log.error(`a relay fails: ${error.message}`))
  return 'fd' in where ? 0 : (server.address() as AddressInfo).port
}

/** Bytes and half-closes pass unchanged. */
export function createRelay(target: RelayTarget): Server {
  return createServer({allowHalfOpen: true, noDelay: true}, (inbound) => {
    try {
      join(inbound, dial(target))
    } catch (error) {
      target.log.error(`a connection cannot be relayed: ${messageOf(error)}`, {to: target.namespacePath})
      inbound.destroy()
    }
  })
}

function dial({netns, namespacePath, port}: RelayTarget): Socket {
  const socket = new Socket({fd: netns.socket(namespacePath, 4), allowHalfOpen: true})
  socket.connect({host: '127.0.0.1', port})
  socket.setNoDelay(true)
  return socket
}

/** Ends when both ways have ended; a failure of one side breaks the other, as a lost connection would. */
function join(inbound: Socket, outbound: Socket): void {
  for (const [from, to] of [
    [inbound, outbound],
    [outbound, inbound],
  ] as const) {
    from.pipe(to)
    from.on('error', () => to.resetAndDestroy())
    from.on('close', () => {
      if (!from.readableEnded) to.destroy()
    })
  }
}
