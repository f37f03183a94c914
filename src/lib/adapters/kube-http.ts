// SPDX-License-Identifier: Apache-2.0
/** HTTP requests to one API server: credentials, deadlines, retries of reads, limits. */
import type {Dispatcher} from 'undici'
import {EXIT, KmeshError, type Phase, TimeoutError, UnreachableError} from '../errors.ts'
import {PROTOBUF} from '../model/protobuf-bytes.ts'
import type {Clock, Log} from '../ports.ts'
import {KubeAgent} from './kube-agent.ts'
import {statusText} from './kube-answers.ts'
import {parseJson} from './kube-bodies.ts'
import {codeOf, describeIntent, type Intent, statusError, transportError} from './kube-errors.ts'
import type {Connection} from './kubeconfig.ts'
import type {Credentials} from './kubeconfig-credentials.ts'
import {bytesOf, textOf} from './lines.ts'
import type {TlsConnector} from './tls-connector.ts'

export interface HttpOptions {
  readonly clock: Clock
  readonly log: Log
  readonly requestTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly maxBodyBytes: number
  /** 0 to 1, for back-off; Math.random but in tests. */
  readonly random: () => number
  readonly onRequest?: ((what: string) => void) | undefined
}

export interface HttpRequest {
  readonly intent: Intent
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path and query. */
  readonly url: string
  readonly accept?: string
  readonly contentType?: string
  readonly body?: object
  /** Makes an object of a good answer, whose bytes are its own; default is JSON. What it throws is no answer. */
  readonly read?: ((bytes: Buffer, contentType: string) => Promise<unknown>) | undefined
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
}

const RETRIES = 3
const RETRY_STATUSES = new Set([429, 500, 502, 503, 504])
const RETRY_CODES = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])
const BACKOFF_MS = 100
const MAX_BACKOFF_MS = 5000
/** Credentials are asked for again after this time; exec plugins and token files decide whether they changed. */
const CREDENTIALS_MS = 10_000
const UNAUTHORIZED = 401

export class KubeHttp {
  readonly connection: Connection
  private readonly options: HttpOptions
  private readonly pool: KubeAgent
  private known: {credentials: Promise<Credentials>; atMs: number} | undefined

  constructor(connection: Connection, options: HttpOptions) {
    this.connection = connection
    this.options = options
    this.pool = new KubeAgent(connection, options)
  }

  /** The parsed answer; reads are retried. */
  async json(request: HttpRequest): Promise<unknown> {
    const deadline = this.deadline(request)
    try {
      for (let attempt = 0; ; attempt += 1) {
        const outcome = await this.attempt(request, deadline.signal)
        if (!(outcome instanceof Retry)) return outcome
        if (request.method !== 'GET' || attempt >= RETRIES) throw outcome.error
        const delayMs =
          outcome.delayMs ?? this.options.random() * Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 4 ** attempt)
        this.options.log.debug('retrying', {
          request: describeIntent(request.intent),
          delayMs: Math.round(delayMs),
        })
        await this.options.clock.sleep(delayMs, deadline.signal)
      }
    } catch (error) {
      throw deadline.signal.aborted ? deadline.signal.reason : error
    } finally {
      deadline.clear()
    }
  }

  /** An answer whose body is read by the caller; only its head is under the deadline. */
  async open(request: HttpRequest): Promise<Dispatcher.ResponseData['body']> {
    const deadline = this.deadline(request)
    try {
      const {statusCode, body} = await this.send(request, deadline.signal)
      if (statusCode >= 200 && statusCode < 300) return body
      throw statusError(statusCode, await textOf(body, this.options.maxBodyBytes), request.intent)
    } catch (error) {
      throw deadline.signal.aborted
        ? deadline.signal.reason
        : transportError(error, 'request', this.connection.server, request.intent)
    } finally {
      deadline.clear()
    }
  }

  /** What opens connections for WebSockets: the same certificates and sessions as for requests. */
  tls(credentials: Credentials): TlsConnector {
    return this.pool.of(credentials).tls
  }

  /** Credentials of now, for WebSockets too. */
  credentials(): Promise<Credentials> {
    const nowMs = this.options.clock.monotonicMs()
    if (this.known === undefined || nowMs - this.known.atMs > CREDENTIALS_MS) {
      this.known = {credentials: this.connection.credentials(), atMs: nowMs}
      this.known.credentials.catch(() => {
        this.known = undefined
      })
    }
    return this.known.credentials
  }

  async close(): Promise<void> {
    await this.pool.close()
  }

  private async attempt(request: HttpRequest, signal: AbortSignal): Promise<unknown> {
    let phase: Phase = 'request'
    try {
      const {statusCode, headers, body} = await this.send(request, signal)
      phase = 'read'
      const bytes = await bytesOf(body, this.options.maxBodyBytes)
      if (statusCode >= 200 && statusCode < 300) {
        return await this.decode(request, bytes, typeOf(headers))
      }
      const text = await statusText(bytes, typeOf(headers))
      const error = statusError(statusCode, text, request.intent)
      return retryable(request, statusCode)
        ? new Retry(error, retryAfterMs(headers['retry-after']))
        : raise(error)
    } catch (error) {
      const mapped = transportError(error, phase, this.connection.server, request.intent)
      if (RETRY_CODES.has(codeOf(error))) return new Retry(mapped, undefined)
      throw mapped
    }
  }

  private async decode({intent, read}: HttpRequest, bytes: Buffer, contentType: string): Promise<unknown> {
    let cause: unknown
    try {
      const value = read === undefined ? parseJson(bytes) : await read(bytes, contentType)
      if (typeof value === 'object' && value !== null) return value
    } catch (error) {
      if (error instanceof KmeshError) throw error
      // A parser's message would only quote the text.
      if (!(error instanceof SyntaxError)) cause = error
    }
    const format = contentType === PROTOBUF ? 'protobuf' : 'JSON'
    throw new UnreachableError(
      'decode',
      `cannot ${describeIntent(intent)}: what ${this.connection.server} answered is no ${format} of Kubernetes`,
      {cause, hints: ['is this an API server, or a proxy in front of one?']},
    )
  }

  private async send(request: HttpRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    this.options.onRequest?.(describeIntent(request.intent))
    const credentials = await this.credentials()
    const base = new URL(this.connection.server)
    const response = await this.pool.of(credentials).dispatcher.request({
      origin: base.origin,
      path: `${base.pathname.replace(/\/$/, '')}${request.url}`,
      method: request.method,
      signal,
      headersTimeout: 0,
      bodyTimeout: 0,
      headers: {
        ...credentials.headers,
        accept: request.accept ?? 'application/json',
        'user-agent': 'kmeshctl',
        ...(request.body === undefined ? {} : {'content-type': request.contentType ?? 'application/json'}),
      },
      body: request.body === undefined ? null : JSON.stringify(request.body),
    })
    // Perhaps expired: whoever asks next takes what the file or the plugin has by now.
    if (response.statusCode === UNAUTHORIZED) this.known = undefined
    return response
  }

  private deadline(request: HttpRequest): {signal: AbortSignal; clear: () => void} {
    const timeoutMs = request.timeoutMs ?? this.options.requestTimeoutMs
    const controller = new AbortController()
    const onAbort = (): void => controller.abort(request.signal?.reason)
    if (request.signal?.aborted) onAbort()
    request.signal?.addEventListener('abort', onAbort, {once: true})
    const expire = (): void => {
      const where = `${describeIntent(request.intent)} at ${this.connection.server}`
      controller.abort(
        new TimeoutError(`cannot ${where}: no answer within ${timeoutMs} ms`, {
          phase: 'request',
          exitCode: EXIT.failure,
          hints: ['--request-timeout sets this limit'],
        }),
      )
    }
    const stop = timeoutMs > 0 ? this.options.clock.after(timeoutMs, expire) : () => undefined
    return {
      signal: controller.signal,
      clear: () => {
        stop()
        request.signal?.removeEventListener('abort', onAbort)
      },
    }
  }
}

/** A failure that may pass. */
class Retry {
  readonly error: KmeshError
  readonly delayMs: number | undefined
  constructor(error: KmeshError, delayMs: number | undefined) {
    this.error = error
    this.delayMs = delayMs
  }
}

function raise(error: KmeshError): never {
  throw error
}

function retryable(request: HttpRequest, status: number): boolean {
  return request.method === 'GET' && RETRY_STATUSES.has(status)
}

function retryAfterMs(value: string | string[] | undefined): number | undefined {
  const seconds = Number(Array.isArray(value) ? value[0] : value)
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(MAX_BACKOFF_MS, seconds * 1000) : undefined
}

function typeOf(headers: Dispatcher.ResponseData['headers']): string {
  const type = headers['content-type']
  return (Array.isArray(type) ? type[0] : type)?.split(';', 1)[0]?.trim() ?? ''
}
