// SPDX-License-Identifier: Apache-2.0
/** One JSON request over a unix socket. Plain node:http: the plugin's start-up time is its budget. */
import {type IncomingMessage, request} from 'node:http'
import {messageOf, TimeoutError, UnreachableError} from '../errors.ts'

const MAX_ANSWER_BYTES = 256 * 1024

export interface SocketReply {
  readonly status: number
  /** Parsed JSON. */
  readonly body: unknown
}

/**
 * @param body - without one it is a GET
 * @param timeoutMs - from the connect to the last byte
 * @throws UnreachableError, TimeoutError
 */
export async function askSocket(
  socketPath: string,
  path: string,
  body: object | undefined,
  timeoutMs: number,
): Promise<SocketReply> {
  const signal = AbortSignal.timeout(Math.ceil(timeoutMs))
  try {
    const text = body === undefined ? '' : JSON.stringify(body)
    const response = await send(socketPath, path, text, signal)
    return {status: response.statusCode ?? 0, body: JSON.parse(await textOf(response))}
  } catch (error) {
    if (signal.aborted) throw new TimeoutError(`no answer at ${socketPath} within ${Math.ceil(timeoutMs)} ms`)
    if (error instanceof SyntaxError) {
      throw new UnreachableError('decode', `the answer at ${socketPath} is no JSON`, {cause: error})
    }
    throw new UnreachableError('request', `no answer at ${socketPath}: ${messageOf(error)}`, {cause: error})
  }
}

function send(socketPath: string, path: string, text: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = {
      host: 'localhost',
      connection: 'close',
      ...(text === '' ? {} : {'content-type': 'application/json', 'content-length': Buffer.byteLength(text)}),
    }
    const sent = request({
      socketPath,
      path,
      method: text === '' ? 'GET' : 'POST',
      headers,
      signal,
      agent: false,
    })
    sent.once('response', resolve)
    sent.on('error', reject)
    sent.end(text)
  })
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
