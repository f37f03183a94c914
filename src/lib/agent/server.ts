// SPDX-License-Identifier: Apache-2.0
/** HTTP side of the admin API: who may ask, how much, how long; what is answered is in routes. */
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http'
import {messageOf} from '../errors.ts'
import type {Log} from '../ports.ts'
import {type AdminRequest, type Answer, type Handler, ownError, redirect} from './answer.ts'

const TIMEOUT_MS = 20_000
const MAX_PARALLEL = 64
const MAX_BODY_BYTES = 64 * 1024
/** Go's server sends up to this much with a length, more in chunks. */
const LENGTH_LIMIT_BYTES = 2048

/** The body is longer than any that makes sense here. */
export class BodyTooLarge extends Error {
  constructor() {
    super('http: request body too large')
  }
}

/** Not yet listening. */
export function createAdminServer(handle: Handler, log: Log): Server {
  let running = 0
  const server = createServer((request, response) => {
    if (running >= MAX_PARALLEL) {
      void send(request, response, ownError(503, 'Busy', `more than ${MAX_PARALLEL} requests at once`))
      return
    }
    running += 1
    void serve(handle, request, response, log).finally(() => {
      running -= 1
    })
  })
  server.requestTimeout = TIMEOUT_MS
  server.headersTimeout = TIMEOUT_MS
  server.keepAliveTimeout = TIMEOUT_MS
  // Also ends an answer that its reader does not take.
  server.timeout = TIMEOUT_MS
  server.maxHeadersCount = 100
  return server
}

async function serve(handle: Handler, request: IncomingMessage, response: ServerResponse, log: Log) {
  const line = `${request.method} ${request.url}`
  try {
    const answer = refuse(request) ?? (await answerOf(handle, request))
    log.debug(`${line}: ${answer.status}`)
    await send(request, response, answer)
  } catch (error) {
    log.error(`${line}: ${messageOf(error)}`)
    if (response.headersSent) response.destroy()
    else await send(request, response, ownError(500, 'Internal', messageOf(error)))
  }
}

/** A browser's page, or a name that was made to point here, must not reach the API. */
function refuse(request: IncomingMessage): Answer | undefined {
  if (request.headers.origin !== undefined) {
    return ownError(403, 'Forbidden', 'requests with an Origin are refused', 'Origin')
  }
  const host = (request.headers.host ?? '').replace(/:\d*$/, '').toLowerCase()
  if (['localhost', '127.0.0.1', '[::1]'].includes(host)) return undefined
  return ownError(403, 'Forbidden', 'only the hosts localhost, 127.0.0.1 and [::1] are served', 'Host')
}

async function answerOf(handle: Handler, request: IncomingMessage): Promise<Answer> {
  const [target = '/', ...search] = (request.url ?? '/').split('?')
  const path = decodePath(target)
  if (path === undefined) return {status: 400, headers: {}, body: ''}
  const query = search.join('?')
  const method = request.method ?? 'GET'
  const moved = redirect(method, path, query === '' ? '' : `?${query}`)
  if (moved !== undefined) return moved
  const asked: AdminRequest = {
    method,
    path,
    query: new URLSearchParams(query),
    readBody: () => readBody(request),
  }
  return handle(asked)
}

function decodePath(target: string): string | undefined {
  try {
    return decodeURIComponent(target)
  } catch {
    return undefined
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  // Kept open: who sends too much is told so.
  for await (const chunk of request.iterator({destroyOnReturn: false}) as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > MAX_BODY_BYTES) throw new BodyTooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  // What was not read of a request would be taken for the next one.
  if (!request.complete && request.headers['content-length'] !== undefined) response.shouldKeepAlive = false
  if (typeof answer.body === 'string') {
    sendWhole(response, answer, answer.body)
    return
  }
  if (request.method === 'HEAD') {
    response.writeHead(answer.status, {...answer.headers}).end()
    return
  }
  await sendPieces(response, answer, answer.body)
}

function sendWhole(response: ServerResponse, answer: Answer, body: string): void {
  const length = {'Content-Length': String(Buffer.byteLength(body))}
  response.writeHead(answer.status, {...answer.headers, ...length}).end(body)
}

async function sendPieces(
  response: ServerResponse,
  answer: Answer,
  pieces: AsyncIterable<string>,
): Promise<void> {
  let held: string | undefined = ''
  for await (const piece of pieces) {
    if (response.destroyed) return
    if (held !== undefined) {
      held += piece
      if (Buffer.byteLength(held) <= LENGTH_LIMIT_BYTES) continue
      response.writeHead(answer.status, {...answer.headers})
      await writeOut(response, held)
      held = undefined
    } else {
      await writeOut(response, piece)
    }
  }
  if (held !== undefined) sendWhole(response, answer, held)
  else response.end()
}

/** Resolves when the reader has room again, or is gone. */
function writeOut(response: ServerResponse, piece: string): Promise<void> {
  return new Promise((resolve) => {
    if (response.write(piece) || response.destroyed) return resolve()
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}
