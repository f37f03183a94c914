// SPDX-License-Identifier: Apache-2.0
/** Two sockets as one connection. */
import type {Socket} from 'node:net'
import {messageOf} from '../../errors.ts'
import {type FirstBytes, readFirstBytes} from './client-hello.ts'
import type {ConnectionRecord} from './connection-log.ts'

/** Both ways, half-closed as they are; an error of one side ends both. The record says how it went. */
export function relay(downstream: Socket, upstream: Socket, record: ConnectionRecord): void {
  const end = (): void => {
    record.finish('closed')
    downstream.destroy()
    upstream.destroy()
  }
  upstream.once('data', () => record.finish('ok'))
  upstream.on('error', (error) => {
    record.finish(`failed: ${messageOf(error)}`)
    end()
  })
  downstream.on('error', (error) => {
    record.finish(`failed: client: ${messageOf(error)}`)
    end()
  })
  downstream.on('close', end)
  upstream.on('close', end)
  downstream.pipe(upstream)
  upstream.pipe(downstream)
}

/** Ends without an answer, and says why. */
export function refuse(socket: Socket, record: ConnectionRecord, why: string): void {
  record.finish(`refused: ${why}`)
  socket.destroy()
}

/**
 * Looks at what the client says first and puts it back.
 *
 * @returns undefined where it closed before it said enough
 */
export async function peek(socket: Socket): Promise<Exclude<FirstBytes, {kind: 'more'}> | undefined> {
  let seen = Buffer.alloc(0)
  while (!socket.destroyed) {
    const chunk: Buffer | null = socket.read()
    if (chunk !== null) {
      seen = Buffer.concat([seen, chunk])
      const first = readFirstBytes(seen)
      if (first.kind === 'more') continue
      socket.unshift(seen)
      return first
    }
    if (socket.readableEnded || !(await isReadable(socket))) return undefined
  }
  return undefined
}

function isReadable(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (readable: boolean): void => {
      for (const [event, listener] of listeners) socket.off(event, listener)
      resolve(readable)
    }
    const listeners = [
      ['readable', () => finish(true)],
      ['end', () => finish(false)],
      ['error', () => finish(false)],
      ['close', () => finish(false)],
    ] as const
    for (const [event, listener] of listeners) socket.on(event, listener)
  })
}
