// SPDX-License-Identifier: Apache-2.0
/** An HTTP server on a free local port, whose end does not wait for its clients. */
import {createServer, type RequestListener} from 'node:http'
import type {AddressInfo, Socket} from 'node:net'

export interface LocalServer {
  readonly port: number
  readonly url: string
  close(): Promise<void>
}

export async function listenLocally(handler: RequestListener): Promise<LocalServer> {
  const sockets = new Set<Socket>()
  const server = createServer(handler)
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
