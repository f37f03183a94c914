// SPDX-License-Identifier: Apache-2.0
/** Plain HTTPS towards an API server: what is tested is the server, so nothing of our client stands between. */
import type {IncomingMessage} from 'node:http'
import {request} from 'node:https'
import {createInterface} from 'node:readline'

export interface Access {
  readonly server: string
  readonly authorityPem: string
  readonly certificatePem?: string
  readonly keyPem?: string
}

// biome-ignore lint/suspicious/noExplicitAny: answers are compared with literals by the tests
export type Json = any

export interface Answer {
  readonly status: number
  readonly contentType: string
  /** The Warning header; empty where there is none. */
  readonly warning: string
  readonly text: string
  readonly bytes: Buffer
  readonly body: Json
}

export interface CallOptions {
  readonly type?: string
  readonly accept?: string
  readonly headers?: Readonly<Record<string, string>>
}

function open(
  access: Access,
  method: string,
  path: string,
  body: string | undefined,
  options: CallOptions,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`${access.server}${path}`, {
      method,
      ca: access.authorityPem,
      ...(access.certificatePem ? {cert: access.certificatePem, key: access.keyPem} : {}),
      agent: false,
      headers: {
        accept: options.accept ?? 'application/json',
        'user-agent': 'contract/1.0',
        ...(body === undefined
          ? {}
          : {'content-type': options.type ?? 'application/json', 'content-length': Buffer.byteLength(body)}),
        ...options.headers,
      },
    })
    outgoing.on('error', reject)
    outgoing.on('response', resolve)
    outgoing.end(body)
  })
}

/** One request; a body that is no string goes as JSON. */
export async function call(
  access: Access,
  method: string,
  path: string,
  body?: unknown,
  options: CallOptions = {},
): Promise<Answer> {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const response = await open(access, method, path, text, options)
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  const answer = bytes.toString()
  const contentType = response.headers['content-type'] ?? ''
  const warning = String(response.headers['warning'] ?? '')
  const isJson = contentType.startsWith('application/json') && answer !== ''
  return {
    status: response.statusCode ?? 0,
    contentType,
    warning,
    text: answer,
    bytes,
    body: isJson ? JSON.parse(answer) : undefined,
  }
}

export interface Watch {
  readonly status: number
  /** The next event; undefined when the server ended the stream. Fails after 20 s. */
  next(): Promise<Json | undefined>
  close(): void
}

export async function watch(access: Access, path: string, options: CallOptions = {}): Promise<Watch> {
  const response = await open(access, 'GET', path, undefined, options)
  response.on('error', () => {})
  const lines = createInterface({input: response})[Symbol.asyncIterator]()
  return {
    status: response.statusCode ?? 0,
    next: async () => {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no watch event on ${path} within 20 s`)), 20_000)
      })
      try {
        const line = await Promise.race([lines.next(), late])
        return line.done ? undefined : JSON.parse(line.value)
      } finally {
        clearTimeout(timer)
      }
    },
    close: () => void response.destroy(),
  }
}
