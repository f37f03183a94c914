// SPDX-License-Identifier: Apache-2.0
/** The few calls of the Kubernetes CRI (`runtime.v1`) that start a pod, as a kubelet makes them: gRPC over a unix socket. */
import {once} from 'node:events'
import {type ClientHttp2Session, connect} from 'node:http2'
import {connect as dial} from 'node:net'

/** Field number -> text, number, message, or several of them. */
export interface Message {
  readonly [field: number]: string | number | Message | readonly (string | Message)[]
}

/** Fields of an answer by number, each as often as it came: bytes, or the number of a varint. */
export type Answer = ReadonlyMap<number, readonly (Buffer | number)[]>

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5
const CALL_LIMIT_MS = 60_000

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest % 128) | 128)
    rest = Math.floor(rest / 128)
  }
  return Buffer.from([...bytes, rest])
}

export function encode(message: Message): Buffer {
  const parts: Buffer[] = []
  for (const [field, value] of Object.entries(message)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (typeof one === 'number') parts.push(varint(Number(field) * 8 + VARINT), varint(one))
      else {
        const bytes = typeof one === 'string' ? Buffer.from(one) : encode(one as Message)
        parts.push(varint(Number(field) * 8 + BYTES), varint(bytes.length), bytes)
      }
    }
  }
  return Buffer.concat(parts)
}

/** A map<string, string> field. */
export function map(entries: Readonly<Record<string, string>>): Message[] {
  return Object.entries(entries).map(([key, value]) => ({1: key, 2: value}))
}

export function decode(bytes: Buffer): Answer {
  const fields = new Map<number, (Buffer | number)[]>()
  let at = 0
  const next = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++] ?? 0
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = next()
    const kind = tag & 7
    const length = kind === BYTES ? next() : kind === FIXED64 ? 8 : kind === FIXED32 ? 4 : 0
    const value = kind === VARINT ? next() : bytes.subarray(at, at + length)
    at += length
    const field = Math.floor(tag / 8)
    fields.set(field, [...(fields.get(field) ?? []), value])
  }
  return fields
}

/** The field as text; '' where it did not come. */
export function textOf(answer: Answer, field: number): string {
  const value = answer.get(field)?.[0]
  return Buffer.isBuffer(value) ? value.toString('utf8') : ''
}

/** The messages of a field. */
export function messagesOf(answer: Answer, field: number): Answer[] {
  return (answer.get(field) ?? []).filter((value) => Buffer.isBuffer(value)).map(decode)
}

/** A call that containerd refused; the text is its own. */
export class CriError extends Error {}

export class Cri {
  readonly #session: ClientHttp2Session

  constructor(socket: string) {
    this.#session = connect('http://localhost', {createConnection: () => dial(socket)})
    this.#session.on('error', () => undefined) // The call that it hits says so.
  }

  async call(method: string, message: Message, service = 'RuntimeService'): Promise<Answer> {
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': `/runtime.v1.${service}/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.setTimeout(CALL_LIMIT_MS, () => stream.destroy(new Error(`${method}: no answer`)))
    const body = encode(message)
    const head = Buffer.alloc(5)
    head.writeUInt32BE(body.length, 1)
    let trailers: Readonly<Record<string, unknown>> = {}
    const keep = (headers: object): void => {
      trailers = {...trailers, ...headers}
    }
    // An error without a body comes as response alone.
    stream.on('response', keep)
    stream.on('trailers', keep)
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.end(Buffer.concat([head, body]))
    await once(stream, 'end')
    if (String(trailers['grpc-status'] ?? '') !== '0') {
      throw new CriError(`${method}: ${decodeURIComponent(String(trailers['grpc-message'] ?? 'no status'))}`)
    }
    return decode(Buffer.concat(chunks).subarray(5))
  }

  close(): void {
    this.#session.destroy()
  }
}
