// SPDX-License-Identifier: Apache-2.0
/** HTTP side of the CNI socket: how much, how long, how many; whatever is sent, the agent goes on. */
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http'
import {KmeshError, messageOf, TimeoutError, UnreachableError} from '../errors.ts'
import {CNI_PATHS} from '../model/cni.ts'
import type {CaseLog} from './case-log.ts'
import type {CniRoute} from './cni-routes.ts'

const TIMEOUT_MS = 20_000
const MAX_PARALLEL = 128
const MAX_CONNECTIONS = 256
const MAX_BODY_BYTES = 64 * 1024
/** A node's containers, each with two names. */
const MAX_GC_BODY_BYTES = 4 * 1024 * 1024
const MAX_HEADER_BYTES = 8192

/** May pass: the plugin asks again. */
const BUSY = new Set(['Starting', 'Busy'])
const MALFORMED = new Set(['BadRequest', 'BadNetns', 'NodeNamespace'])

/** Not yet listening. */
export function createCniServer(routes: ReadonlyMap<string, CniRoute>, cases: CaseLog): Server {
  let running = 0
  const server = createServer({maxHeaderSize: MAX_HEADER_BYTES}, (request, response) => {
    response.on('error', () => undefined)
    if (running >= MAX_PARALLEL) {
      sendError(
        response,
        new KmeshError(`more than ${MAX_PARALLEL} requests at once`, {code: 'Busy'}),
        cases,
        '',
      )
      return
    }
    running += 1
    void serve(routes, request, response, cases).finally(() => {
      running -= 1
    })
  })
  server.requestTimeout = TIMEOUT_MS
  server.headersTimeout = TIMEOUT_MS
  server.keepAliveTimeout = TIMEOUT_MS
  server.timeout = TIMEOUT_MS
  server.maxHeadersCount = 50
  server.maxConnections = MAX_CONNECTIONS
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    cases.warn(
      `http ${error.code ?? ''}`,
      `CNI socket: what was sent is no HTTP request: ${messageOf(error)}`,
    )
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    else socket.destroy()
  })
  return server
}

async function serve(
  routes: ReadonlyMap<string, CniRoute>,
  request: IncomingMessage,
  response: ServerResponse,
  cases: CaseLog,
): Promise<void> {
  let place = 'CNI socket'
  try {
    const route = routes.get(`${request.method} ${request.url}`)
    if (route === undefined) throw new KmeshError('there is no such request', {code: 'NotFound'})
    place = `CNI socket: ${request.method} ${request.url}`
    const limit = request.url === CNI_PATHS.gc ? MAX_GC_BODY_BYTES : MAX_BODY_BYTES
    send(response, 200, await route(await readBody(request, limit)))
  } catch (error) {
    // A plugin that has gone away asks again.
    if (request.destroyed && !request.complete) cases.warn(`${place} gone`, `${place}: the peer went away`)
    else sendError(response, error, cases, place)
  }
}

async function readBody(request: IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  // Kept open: who sends too much is told so.
  for await (const chunk of request.iterator({destroyOnReturn: false}) as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > limit) throw new KmeshError(`the body is longer than ${limit} bytes`, {code: 'BadRequest'})
    chunks.push(chunk)
  }
  try {
    return new TextDecoder('utf-8', {fatal: true}).decode(Buffer.concat(chunks))
  } catch (cause) {
    throw new KmeshError('the body is no UTF-8', {code: 'BadRequest', cause})
  }
}

function sendError(response: ServerResponse, error: unknown, cases: CaseLog, place: string): void {
  const known = error instanceof KmeshError ? error : undefined
  const code = known?.code ?? 'Internal'
  const parameter = known?.parameter
  const message = messageOf(error)
  cases.warn(`${place} ${code} ${parameter ?? ''}`, `${place}: ${message}`, {code})
  const body = {error: {code, message, ...(parameter === undefined ? {} : {parameter})}}
  send(response, statusOf(code, error), body)
}

function statusOf(code: string, error: unknown): number {
  if (BUSY.has(code)) return 503
  // The API server is away: that passes too.
  if (error instanceof UnreachableError || error instanceof TimeoutError) return 503
  if (MALFORMED.has(code)) return 400
  return ['NotFound', 'PodNotFound'].includes(code) ? 404 : 500
}

/** One request a connection: what a peer sent besides is not looked at. */
function send(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent || response.destroyed) return
  const text = `${JSON.stringify(body)}\n`
  const headers = {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(text)),
    Connection: 'close',
  }
  response.writeHead(status, headers).end(text)
}
