// SPDX-License-Identifier: Apache-2.0
/** The Admin port: HTTP/1.1 to one daemon, through a port-forward or straight to a URL. */
import type {Client, Dispatcher} from 'undici'
import {type DaemonTarget, ENDPOINTS, type EndpointName, type Params, type Reply} from '../model/api.ts'
import {checkReply} from '../model/api-check.ts'
import type {Admin, AdminDialer, KubeReadOptions, Member} from '../ports.ts'
import {type DialerOptions, openClient} from './admin-connection.ts'
import {requestError} from './admin-failure.ts'
import {daemonError, parseJson, readyReply, requestOf, type WireRequest} from './admin-wire.ts'
import {GarbageMeter, garbageCollector} from './garbage.ts'
import {Gate} from './gate.ts'
import {lineGroups, membersOf, textOf} from './lines.ts'
import {Stopwatch} from './stopwatch.ts'

const MAX_LINE_BYTES = 1024 * 1024
/** All lines of one answer together: more than any map of ours can be. */
const MAX_LINES_BYTES = 512 * 1024 * 1024
/** Answers above this are read by a few at a time: more would be no faster, and each one holds buffers. */
const LARGE_BYTES = 64 * 1024
const LARGE_AT_ONCE = 4
/** One for all connections: the streams below read its stack, which is costly to make for each. */
const CLOSED = new Error('closed')

export function createDialer(options: DialerOptions): AdminDialer {
  const open = new Set<HttpAdmin>()
  const facts = new Map<string, Facts>()
  const large = new Gate(LARGE_AT_ONCE)
  const garbage = new GarbageMeter(garbageCollector())
  return {
    dial: (target) => {
      const key = target.pod === null ? target.node : `${target.pod.namespace}/${target.pod.name}`
      const known: Facts = facts.get(key) ?? new Map()
      facts.set(key, known)
      const admin = new HttpAdmin(target, {...options, large, garbage}, known, () => open.delete(admin))
      open.add(admin)
      return admin
    },
    close: async () => {
      await Promise.all([...open].map((admin) => admin.close()))
    },
  }
}

type Line = Readonly<Record<string, unknown>>

/** All lines before the first one that is wrong, which is the failure. */
function parseLines(
  endpoint: EndpointName,
  texts: readonly string[],
): {readonly values: readonly Line[]; readonly failure?: {readonly error: unknown}} {
  const values: Line[] = []
  try {
    for (const text of texts) {
      if (text === '' || text.trim() === '') continue
      const value = parseJson(text)
      checkReply(endpoint, value)
      values.push(value as Line)
    }
  } catch (error) {
    return {values, failure: {error}}
  }
  return {values}
}

/** What is known of one daemon, for the whole run: endpoints come and go. */
type Facts = Map<string, Promise<unknown>>

interface AdminOptions extends DialerOptions {
  readonly large: Gate
  readonly garbage: GarbageMeter
}

class HttpAdmin implements Admin {
  readonly target: DaemonTarget
  private readonly options: AdminOptions
  private readonly facts: Facts
  private readonly onClose: () => void
  private client: Client | undefined
  private connected = false
  /** Ends a connect that is still under way when this is closed. */
  private readonly closing = new AbortController()

  constructor(target: DaemonTarget, options: AdminOptions, facts: Facts, onClose: () => void) {
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
      const text = await textOf(this.chunks(watch, body, request.maxBytes), request.maxBytes)
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
  ): AsyncGenerator<readonly Line[], void, undefined> {
    for await (const texts of this.stream(endpoint, params, options, (chunks) =>
      lineGroups(chunks, MAX_LINE_BYTES),
    )) {
      const {values, failure} = parseLines(endpoint, texts)
      if (values.length > 0) yield values
      if (failure !== undefined) throw failure.error
    }
  }

  members<E extends EndpointName>(
    endpoint: E,
    params: Params<E>,
    options: KubeReadOptions = {},
  ): AsyncIterable<readonly Member[]> {
    return this.stream(endpoint, params, options, (chunks) => membersOf(chunks, MAX_LINE_BYTES))
  }

  /** The body of a good answer through `read`, as it comes; what `read` throws ends the request. */
  private async *stream<E extends EndpointName, T>(
    endpoint: E,
    params: Params<E>,
    options: KubeReadOptions,
    read: (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
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
      yield* read(this.chunks(watch, body, MAX_LINES_BYTES))
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
    this.closing.abort(CLOSED)
    await this.client?.destroy(CLOSED)
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

  /** Waiting for the others is no waiting for this daemon: the limit on time stands still meanwhile. */
  private async *chunks(
    watch: Stopwatch,
    body: AsyncIterable<Uint8Array>,
    maxBytes: number,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let bytes = 0
    let leave: (() => void) | undefined
    try {
      for await (const chunk of watch.chunks(body, maxBytes)) {
        bytes += chunk.length
        if (bytes > LARGE_BYTES) leave ??= await this.options.large.enter(watch.signal)
        yield chunk
        if (leave !== undefined) this.options.garbage.add(chunk.length)
      }
    } finally {
      leave?.()
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
    return openClient(this.target, this.options, this.closing.signal, () => {
      this.connected = true
    })
  }

  private failure(error: unknown, watch: Stopwatch): unknown {
    return requestError(error, watch, this.connected)
  }
}
