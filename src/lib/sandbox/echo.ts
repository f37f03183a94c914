// SPDX-License-Identifier: Apache-2.0
/**
 * The program behind `image: sandbox/echo`: says over HTTP ($PORT, 8080) and TCP
 * lines ($TCP_PORT, 9090) which pod answers, and serves on for $SERVE_ON_MS
 * (2000) after SIGTERM.
 * `echo.js connect HOST PORT` is the client side.
 */
import {createServer as createHttpServer} from 'node:http'
import {createServer, type Socket} from 'node:net'
import {hostname, networkInterfaces} from 'node:os'
import {createInterface} from 'node:readline'
import {connectMain} from './echo-client.ts'

const SERVE_ON_MS = 2000
const MAX_LINE_BYTES = 64 * 1024

function identity(): {pod: string; namespace: string; node: string; addresses: string[]} {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((entry) => !entry.internal && !entry.address.startsWith('fe80:'))
    .map((entry) => entry.address)
  return {
    pod: process.env['POD_NAME'] ?? hostname(),
    namespace: process.env['POD_NAMESPACE'] ?? '',
    node: process.env['NODE_NAME'] ?? '',
    addresses,
  }
}

function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '')
}

function ends(socket: Socket): {peer: string; peerPort: number; local: string; localPort: number} {
  return {
    peer: plainAddress(socket.remoteAddress),
    peerPort: socket.remotePort ?? 0,
    local: plainAddress(socket.localAddress),
    localPort: socket.localPort ?? 0,
  }
}

function serveHttp(port: number): void {
  const server = createHttpServer((request, response) => {
    const body = {...identity(), ...ends(request.socket), method: request.method, path: request.url}
    request.resume()
    response.writeHead(200, {'content-type': 'application/json'})
    response.end(`${JSON.stringify(body)}\n`)
  })
  server.listen(listenTarget(port))
}

/** Without a network of its own the pod is given a port of the machine's loopback instead. */
function listenTarget(port: number): {host: string; port: number; backlog: number} {
  const standIn = process.env[`KMESHCTL_PORT_${port}`]
  if (standIn === undefined) return {host: '::', port, backlog: 511}
  return {host: '127.0.0.1', port: Number(standIn), backlog: 511}
}

/** First line: who answers. Then each line comes back. */
function serveLines(port: number): void {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.write(`${JSON.stringify({...identity(), ...ends(socket)})}\n`)
    const lines = createInterface({input: socket, crlfDelay: Number.POSITIVE_INFINITY})
    lines.on('line', (line) => {
      if (line.length > MAX_LINE_BYTES) socket.destroy()
      else socket.write(`${identity().pod} ${line}\n`)
    })
    lines.on('error', () => socket.destroy())
  })
  server.listen(listenTarget(port))
}

function serve(): void {
  serveHttp(Number(process.env['PORT'] ?? 8080))
  serveLines(Number(process.env['TCP_PORT'] ?? 9090))
  process.once('SIGTERM', () => {
    setTimeout(() => process.exit(0), Number(process.env['SERVE_ON_MS'] ?? SERVE_ON_MS))
  })
}

const [mode, ...rest] = process.argv.slice(2)
if (mode === 'connect') {
  process.exitCode = await connectMain(rest, (line) => process.stdout.write(`${line}\n`))
} else {
  serve()
}
