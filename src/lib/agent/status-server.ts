// SPDX-License-Identifier: Apache-2.0
/**
 * What a kubelet asks, on every address of the node: `/healthz` (the event loop turns) and `/readyz` (the checks
 * of /debug/ready). It tells names, never reasons: those are for the admin API, which is local.
 */
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http'
import {isIP} from 'node:net'
import {KmeshError, messageOf} from '../errors.ts'
import type {ReadyReply} from '../model/api.ts'
import type {Log} from '../ports.ts'

/** Nothing here takes longer, and nothing is read. */
const TIMEOUT_MS = 5000
const MAX_CONNECTIONS = 64
const MAX_HEADER_BYTES = 8192

export interface StatusAddress {
  readonly host: string
  readonly port: number
}

export interface StatusOptions {
  /** Undefined: nothing listens. */
  readonly statusAddress: StatusAddress | undefined
  readonly nodeName: string
  readonly log: Log
}

export interface StatusServer {
  /** 0 where nothing listens. */
  readonly port: number
  /** Before this the agent starts: `/readyz` says no. */
  readyIs(ready: () => ReadyReply): void
  close(): void
}

/**
 * Returns when it answers. Start it first of all: a kubelet that asks while maps are read learns that this one lives.
 * @throws KmeshError `StatusAddress` where the address is taken or is none of this machine
 */
export async function startStatusServer(options: StatusOptions): Promise<StatusServer> {
  const {statusAddress} = options
  if (statusAddress === undefined) return {port: 0, readyIs: () => undefined, close: () => undefined}
  let ready: () => ReadyReply | undefined = () => undefined
  const server = createServer({maxHeaderSize: MAX_HEADER_BYTES}, (request, response) =>
    answer(request, response, options, () => ready()),
  )
  server.maxConnections = MAX_CONNECTIONS
  server.requestTimeout = TIMEOUT_MS
  server.headersTimeout = TIMEOUT_MS
  server.keepAliveTimeout = TIMEOUT_MS
  server.timeout = TIMEOUT_MS
  const port = await listenOnAny(server, statusAddress)
  server.on('error', (error) => options.log.error(`the status server: ${messageOf(error)}`))
  return {
    port,
    readyIs: (checks) => {
      ready = checks
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: StatusOptions,
  ready: () => ReadyReply | undefined,
): void {
  // Whatever body somebody sends is not read, so the connection cannot go on.
  response.setHeader('Connection', 'close')
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  const [status, text] = statusOf(request, options, ready)
  response.writeHead(status).end(request.method === 'HEAD' ? undefined : text)
}

function statusOf(
  request: IncomingMessage,
  {nodeName, log}: StatusOptions,
  ready: () => ReadyReply | undefined,
): readonly [number, string] {
  if (request.headers.origin !== undefined) return [403, 'requests with an Origin are refused\n']
  if (!isOurHost(request.headers.host, nodeName)) {
    return [403, 'only addresses, localhost and the name of the node are served as Host\n']
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return [405, 'only GET and HEAD are allowed\n']
  const path = (request.url ?? '').split('?')[0]
  if (path === '/healthz') return [200, 'ok\n']
  if (path !== '/readyz') return [404, 'there are /healthz and /readyz\n']
  try {
    return readiness(ready())
  } catch (error) {
    log.error(`readiness is not known: ${messageOf(error)}`)
    return [503, 'not ready: readiness is not known, see the log\n']
  }
}

function readiness(reply: ReadyReply | undefined): readonly [number, string] {
  if (reply === undefined) return [503, 'not ready: the agent starts\n']
  const lines = reply.checks.map(({name, ok}) => (ok ? `[+] ${name} ok\n` : `[-] ${name} failed\n`))
  const end = reply.ready ? 'ready\n' : 'not ready: GET /debug/ready of the admin API tells why\n'
  return [reply.ready ? 200 : 503, lines.join('') + end]
}

/** A name that somebody else's DNS makes point here is none of ours; a kubelet sends an address. */
function isOurHost(header: string | undefined, nodeName: string): boolean {
  const host = (header ?? '').replace(/:\d*$/, '').toLowerCase()
  return host === 'localhost' || host === nodeName.toLowerCase() || isIP(host.replace(/^\[|\]$/g, '')) !== 0
}

/** A kubelet asks by the node's address, which may be IPv6 alone: every address means both families, where there are both. */
async function listenOnAny(server: Server, {host, port}: StatusAddress): Promise<number> {
  if (host !== '0.0.0.0') return await listen(server, {host, port})
  try {
    return await listen(server, {host: '::', port})
  } catch (error) {
    const {code} = ((error as Error).cause ?? {}) as {code?: string}
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') throw error
    return await listen(server, {host, port})
  }
}

function listen(server: Server, {host, port}: StatusAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void =>
      reject(
        new KmeshError(`cannot serve health and readiness on ${host}:${port}: ${messageOf(error)}`, {
          code: 'StatusAddress',
          hints: ["choose another one with --status-address, or 'off'"],
          cause: error,
        }),
      )
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}
