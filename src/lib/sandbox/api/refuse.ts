// SPDX-License-Identifier: Apache-2.0
/** Failures as answers: to a request, and to an upgrade that has no response object. */
import type {IncomingMessage, ServerResponse} from 'node:http'
import type {Duplex} from 'node:stream'
import type {Log} from '../../ports.ts'
import {StatusError, toStatusError} from './status.ts'

function logFailure(log: Log, request: IncomingMessage, error: StatusError, thrown: unknown): void {
  const fields = {method: request.method, url: request.url, code: error.code, error: error.message}
  if (error.code === 500 && !(thrown instanceof StatusError)) {
    log.error('request failed', {...fields, stack: thrown instanceof Error ? thrown.stack : undefined})
  } else log.debug('request refused', fields)
}

export function refuse(log: Log, request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
  const error = toStatusError(thrown)
  logFailure(log, request, error, thrown)
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  // What is left of a body that nobody reads would be taken for the next request.
  const headers = request.complete ? {} : {connection: 'close'}
  // kubectl reads failures of these paths as plain text only.
  if (request.url?.startsWith('/openapi') === true) {
    response.writeHead(error.code, {'content-type': 'text/plain; charset=utf-8', ...headers})
    response.end(error.message)
    return
  }
  response.writeHead(error.code, {'content-type': 'application/json', ...headers})
  response.end(`${JSON.stringify(error.body())}\n`)
}

export function refuseUpgrade(log: Log, request: IncomingMessage, socket: Duplex, thrown: unknown): void {
  const error = toStatusError(thrown)
  logFailure(log, request, error, thrown)
  const body = `${JSON.stringify(error.body())}\n`
  socket.end(
    `HTTP/1.1 ${error.code} ${error.reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
