// SPDX-License-Identifier: Apache-2.0
/**
 * One TCP connection into a pod, over the API server's WebSocket port-forward
 * (`v4.channel.k8s.io`): channel 0 is data, channel 1 an error text. The first
 * frame of each channel is the port, two bytes little-endian.
 */
import {connect, type Socket} from 'node:net'
import {Duplex} from 'node:stream'
import WebSocket from 'ws'
import {EXIT, type KmeshError, messageOf, TimeoutError, UnreachableError} from '../errors.ts'
import {RESOURCES} from '../model/kube.ts'
import type {Clock} from '../ports.ts'
import {type Intent, statusError} from './kube-errors.ts'
import type {Credentials} from './kubeconfig-credentials.ts'
import type {TlsConnector} from './tls-connector.ts'

export interface PortForwardRequest {
  readonly url: string
  readonly credentials: Credentials
  readonly tls: TlsConnector
  readonly namespace: string
  readonly pod: string
  readonly port: number
  readonly clock: Clock
  readonly connectTimeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** Bytes of the pod arrived: how many. */
  readonly onData?: ((bytes: number) => void) | undefined
}

const DATA = 0
const ERROR = 1
const PING_MS = 15_000
const CHUNK_BYTES = 64 * 1024
/** A frame of the server larger than this is no port-forward. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024
/** Paths above this stop reading the socket until the stream is read. */
const MAX_REPLY_BYTES = 64 * 1024

/** @throws DeniedError, KubeStatusError (the handshake's status), TimeoutError, UnreachableError, all of phase connect. */
export async function openPortForward(request: PortForwardRequest): Promise<Duplex> {
  request.signal?.throwIfAborted()
  const url = new URL(request.url)
  const socket = new WebSocket(request.url.replace(/^http/, 'ws'), 'v4.channel.k8s.io', {
    createConnection: (() => connectTo(url, request.tls)) as typeof connect,
    headers: headersOf(request.credentials.headers),
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
  })
  await handshake(socket, request)
  return new PortForwardStream(socket, request)
}

function connectTo({protocol, hostname, port}: URL, tls: TlsConnector): Socket {
  const host = hostname.replace(/^\[|\]$/g, '')
  return protocol === 'https:' ? tls.open(host, Number(port || 443)) : connect(Number(port || 80), host)
}

/** `ws` takes lists of a header in its request options, not in its types. */
function headersOf(headers: Credentials['headers']): Record<string, string> {
  return {...headers, 'user-agent': 'kmeshctl'} as Record<string, string>
}

function handshake(socket: WebSocket, request: PortForwardRequest): Promise<void> {
  const {namespace, pod, port, clock, connectTimeoutMs, signal} = request
  const where = `port ${port} of pod ${namespace}/${pod}`
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown): void => {
      stop()
      signal?.removeEventListener('abort', onAbort)
      socket.off('open', onOpen)
      if (error === undefined) {
        resolve()
        return
      }
      socket.on('error', () => undefined)
      socket.terminate()
      reject(error)
    }
    // Frames that came with the handshake's answer would be told before anybody listens; the first read resumes.
    const onOpen = (): void => {
      socket.pause()
      settle()
    }
    const onAbort = (): void => settle(signal?.reason)
    const stop = clock.after(connectTimeoutMs, () =>
      settle(
        new TimeoutError(`no connection to ${where} within ${connectTimeoutMs} ms`, {
          phase: 'connect',
          exitCode: EXIT.failure,
        }),
      ),
    )
    signal?.addEventListener('abort', onAbort, {once: true})
    socket.once('open', onOpen)
    socket.once('error', (error) =>
      settle(
        new UnreachableError('connect', `no connection to ${where}: ${messageOf(error)}`, {cause: error}),
      ),
    )
    socket.once('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = []
      let held = 0
      response.on('data', (chunk: Buffer) => {
        held += chunk.length
        if (held <= MAX_REPLY_BYTES) chunks.push(chunk)
      })
      const done = (): void =>
        settle(
          statusError(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'), intentOf(request)),
        )
      response.once('end', done).once('error', done)
    })
  })
}

function intentOf({namespace, pod}: PortForwardRequest): Intent {
  return {verb: 'create', path: {...RESOURCES.pods, namespace, name: pod, subresource: 'portforward'}}
}

class PortForwardStream extends Duplex {
  private readonly socket: WebSocket
  private readonly request: PortForwardRequest
  private readonly headsSeen = new Set<number>()
  private stopPing: () => void = () => undefined
  private answered = true

  constructor(socket: WebSocket, request: PortForwardRequest) {
    super({allowHalfOpen: false, highWaterMark: CHUNK_BYTES})
    this.socket = socket
    this.request = request
    socket.on('message', (data: Buffer) => this.onFrame(data))
    socket.on('pong', () => {
      this.answered = true
    })
    socket.on('error', (error) => this.destroy(this.lost(messageOf(error), error)))
    socket.on('close', () => this.push(null))
    this.ping()
  }

  override _read(): void {
    this.socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const frame = Buffer.allocUnsafe(chunk.length + 1)
    frame[0] = DATA
    chunk.copy(frame, 1)
    this.socket.send(frame, {binary: true}, (error) =>
      callback(error ? this.lost(messageOf(error), error) : null),
    )
  }

  override _final(callback: () => void): void {
    this.socket.close(1000)
    callback()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.stopPing()
    this.socket.removeAllListeners('message')
    this.socket.resume()
    if (error === null) this.socket.close(1000)
    else this.socket.terminate()
    callback(error)
  }

  private onFrame(frame: Buffer): void {
    const channel = frame[0] ?? 0
    if (!this.headsSeen.has(channel)) {
      this.headsSeen.add(channel)
      return
    }
    if (channel === DATA) {
      this.request.onData?.(frame.length - 1)
      if (!this.push(frame.subarray(1))) this.socket.pause()
    } else if (channel === ERROR && frame.length > 1) {
      this.destroy(this.lost(frame.subarray(1).toString('utf8')))
    }
  }

  /** A path that went silent is noticed: two unanswered pings end the stream. */
  private ping(): void {
    this.stopPing = this.request.clock.after(PING_MS, () => {
      if (!this.answered && !this.socket.isPaused) {
        this.destroy(this.lost(`no sign of life for ${PING_MS * 2} ms`))
        return
      }
      this.answered = false
      if (this.socket.readyState === WebSocket.OPEN) this.socket.ping()
      this.ping()
    })
  }

  private lost(why: string, cause?: unknown): KmeshError {
    const {namespace, pod, port} = this.request
    const message = `port ${port} of pod ${namespace}/${pod}: ${why.slice(0, 1000)}`
    return new UnreachableError('connect', message, cause === undefined ? {} : {cause})
  }
}
