// SPDX-License-Identifier: Apache-2.0
/** The Admin port: HTTP/1.1 to one daemon, through a port-forward or straight to a URL. */
import type {Duplex} from 'node:stream'
import {Client, type Dispatcher} from 'undici'
import {EXIT, KmeshError, messageOf, type Phase, TimeoutError, UnreachableError} from '../errors.ts'
import {type DaemonTarget, ENDPOINTS, type EndpointName, type Params, type Reply} from '../model/api.ts'
import {checkReply} from '../model/api-check.ts'
import type {Admin, AdminDialer, Clock, Kube, KubeReadOptions} from '../ports.ts'
import {daemonError, parseJson, readyReply, requestOf, type WireRequest} from './admin-wire.ts'
import {linesOf, textOf} from './lines.ts'
import {Stopwatch} from './stopwatch.ts'

export interface DialerOptions {
  /** Leads to daemons in pods; not needed for targets that are URLs. */
  readonly kube: Pick<Kube, 'portForward'> | undefined
  readonly adminPort: number
  readonly requestTimeoutMs: number
  readonly connectTimeoutMs?: number
  readonly clock: Clock
}

const CONNECT_TIMEOUT_MS = 3000
const MAX_LINE_BYTES = 1024 * 1024
/** All lines of one answer together: more than any map of ours can be. */
const MAX_LINES_BYTES = 512 * 1024 * 1024

export function createDialer(options: DialerOptions): AdminDialer {
  const open = new Set<HttpAdmin>()
  const facts = new Map<string, Facts>()
  return {
    dial: (target) => {
      const key = target.pod === null ? target.node : `${target.pod.namespace}/${target.pod.name}`
      const known: Facts = facts.get(key) ?? new Map()
      facts.set(key, known)
      const admin = new HttpAdmin(target, options, known, () => open.delete(admin))
      open.add(admin)
      return admin
    },
    close: async () => {
      await Promise.all([...open].map((admin) => admin.close()))
    },
  }
}

/** What is known of one daemon, for the whole run: endpoints come and go. */
type Facts = Map<string, Promise<unknown>>

class HttpAdmin implements Admin {
  readonly target: DaemonTarget
  private readonly options: DialerOptions
  private readonly facts: Facts
  private readonly onClose: () => void
  private client: Client | undefined
  private connected = false
  /** Ends a connect that is still under way when this is closed. */
  private readonly closing = new AbortController()

  constructor(target: DaemonTarget, options: DialerOptions, facts: Facts, onClose: () => void) {
    this.target = target
    this.options = options
    this.facts = facts
    this.onClose = onClose
  }

  async call<E extends EndpointName>(
    endpoint: E,
    params: Params<E>,
    options: KubeReadOptions = {},
  ): Promise<Reply<E>> {
    const request = requestOf(endpoint, params)
    return this.exchange(options, async (watch) => {
      const {statusCode, body} = await this.send(request, watch)
      watch.phase = 'read'
      const text = await textOf(watch.chunks(body), request.maxBytes)
      watch.phase = 'decode'
      if (endpoint === 'ready') return readyReply(statusCode, text) as Reply<E>
      if (statusCode < 200 || statusCode >= 300) throw daemonError(statusCode, text)
      const reply = ENDPOINTS[endpoint].answer === 'text' ? text : parseJson(text)
      checkReply(endpoint, reply)
      return reply as Reply<E>
    })
  }

  async *lines<E extends EndpointName>(
    endpoint: E,
    params: Params<E>,
    options: KubeReadOptions = {},
  ): AsyncGenerator<Readonly<Record<string, unknown>>, void, undefined> {
    const request = requestOf(endpoint, params)
    const watch = this.stopwatch(options)
    let body: Dispatcher.ResponseData['body'] | undefined
    try {
      const answer = await this.send(request, watch)
      body = answer.body
      watch.phase = 'read'
      if (answer.statusCode < 200 || answer.statusCode >= 300) {
        throw daemonError(answer.statusCode, await textOf(watch.chunks(body), request.maxBytes))
      }
      for await (const line of linesOf(watch.chunks(body, MAX_LINES_BYTES), MAX_LINE_BYTES)) {
        if (line.trim() === '') continue
        const value = parseJson(line)
        checkReply(endpoint, value)
        yield value as Readonly<Record<string, unknown>>
      }
    } catch (error) {
      throw this.failure(error, watch)
    } finally {
      watch.close()
      body?.on('error', () => undefined).destroy()
    }
  }

  head(path: string, options: KubeReadOptions = {}): Promise<number> {
    return this.exchange(options, async (watch) => {
      const {statusCode, body} = await this.send({method: 'HEAD', path, body: undefined, maxBytes: 0}, watch)
      await body.dump()
      return statusCode
    })
  }

  peek(path: string, options: KubeReadOptions = {}): Promise<number> {
    return this.exchange(options, async (watch) => {
      const {statusCode, body} = await this.send({method: 'GET', path, body: undefined, maxBytes: 0}, watch)
      body.on('error', () => undefined).destroy()
      return statusCode
    })
  }

  text<E extends EndpointName>(
    endpoint: E,
    params: Params<E>,
    options: KubeReadOptions = {},
  ): Promise<{readonly status: number; readonly text: string}> {
    const request = requestOf(endpoint, params)
    return this.exchange(options, async (watch) => {
      const {statusCode, body} = await this.send(request, watch)
      watch.phase = 'read'
      return {status: statusCode, text: await textOf(watch.chunks(body), request.maxBytes)}
    })
  }

  once<T>(fact: string, ask: () => Promise<T>): Promise<T> {
    const known = this.facts.get(fact) as Promise<T> | undefined
    if (known !== undefined) return known
    const asked = ask()
    this.facts.set(fact, asked)
    asked.catch(() => this.facts.delete(fact))
    return asked
  }

  async close(): Promise<void> {
    this.onClose()
    this.closing.abort(new Error('closed'))
    await this.client?.destroy()
    this.client = undefined
  }

  private async exchange<T>(options: KubeReadOptions, run: (watch: Stopwatch) => Promise<T>): Promise<T> {
    const watch = this.stopwatch(options)
    try {
      return await run(watch)
    } catch (error) {
      throw this.failure(error, watch)
    } finally {
      watch.close()
    }
  }

  private stopwatch({signal, timeoutMs}: KubeReadOptions): Stopwatch {
    const limitMs = timeoutMs ?? this.options.requestTimeoutMs
    return new Stopwatch(this.options.clock, limitMs, signal, this.connected ? 'request' : 'connect')
  }

  private send(request: WireRequest, watch: Stopwatch): Promise<Dispatcher.ResponseData> {
    this.client ??= this.createClient()
    return watch.wait(
      this.client.request({
        method: request.method,
        path: request.path,
        signal: watch.signal,
        headers: request.body === undefined ? {} : {'content-type': 'application/json'},
        body: request.body ?? null,
        // undici would close the connection after HEAD, and the next request would take a second tunnel.
        ...(request.method === 'HEAD' ? {reset: false} : {}),
      }),
      () => {
        if (watch.phase === 'connect' && this.connected) watch.phase = 'request'
      },
    )
  }

  private createClient(): Client {
    const {pod, node} = this.target
    const limits = {headersTimeout: 0, bodyTimeout: 0, pipelining: 1}
    const timeout = this.options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS
    if (pod === null) {
      const client = new Client(node, {...limits, connect: {timeout}})
      client.on('connect', () => {
        this.connected = true
      })
      return client
    }
    return new Client(`http://localhost:${this.options.adminPort}`, {
      ...limits,
      connect: (_options, callback) => {
        // undici expects the answer later, never during the call: a synchronous one hangs the request.
        this.forward(pod, timeout).then(
          (stream) => {
            this.connected = true
            setImmediate(() => callback(null, stream as never))
          },
          (error: Error) => setImmediate(() => callback(error, null)),
        )
      },
    })
  }

  private async forward(pod: {namespace: string; name: string}, connectTimeoutMs: number): Promise<Duplex> {
    const {kube, adminPort} = this.options
    if (kube === undefined) throw new KmeshError('a daemon in a pod needs a cluster', {code: 'NoCluster'})
    return kube.portForward(pod.namespace, pod.name, adminPort, {
      connectTimeoutMs,
      signal: this.closing.signal,
    })
  }

  private failure(error: unknown, watch: Stopwatch): unknown {
    if (watch.expired) {
      const phase = watch.phase === 'connect' && this.connected ? 'request' : watch.phase
      return new TimeoutError(`no answer within ${watch.limitMs} ms`, {
        phase,
        exitCode: EXIT.failure,
        hints: ['--request-timeout sets this limit'],
      })
    }
    if (watch.signal.aborted) return watch.signal.reason
    if (error instanceof KmeshError) return error
    const code = (error as {code?: unknown}).code
    if (code === 'UND_ERR_CONNECT_TIMEOUT') {
      return new TimeoutError('no connection in time', {
        phase: 'connect',
        exitCode: EXIT.failure,
        cause: error,
      })
    }
    return new UnreachableError(this.phaseOf(watch.phase), describe(error), {cause: error})
  }

  private phaseOf(phase: Phase): Phase {
    return phase === 'connect' && this.connected ? 'request' : phase
  }
}

function describe(error: unknown): string {
  const {code} = error as {code?: unknown}
  const message = messageOf(error)
  if (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET')
    return `the connection was closed in mid-answer (${message})`
  if (typeof code === 'string' && code.startsWith('HPE_')) return `the answer is no HTTP (${message})`
  return message === '' ? String(code) : message
}
