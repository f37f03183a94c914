// SPDX-License-Identifier: Apache-2.0
/**
 * `connect HOST PORT [--tcp] [--every MS] [--count N] [--quiet]`: connects and prints
 * which address the socket has as its peer (getpeername) and which pod answered.
 */
import {createConnection} from 'node:net'
import {parseArgs} from 'node:util'

const TIMEOUT_MS = 5000
const MAX_ANSWER_BYTES = 64 * 1024

interface Settings {
  readonly host: string
  readonly port: number
  readonly tcp: boolean
}

interface Result {
  /** As getpeername(2) tells: the service's address, or the endpoint's when eBPF chose it. */
  readonly peer?: string
  readonly peerPort?: number
  readonly pod?: string
  readonly node?: string
  /** Address of the client as the server sees it. */
  readonly seenAs?: string
  readonly error?: string
}

type Print = (line: string) => void

/** @returns the exit status: 0 when no connection failed */
export async function connectMain(args: readonly string[], print: Print): Promise<number> {
  const {values, positionals} = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      tcp: {type: 'boolean', default: false},
      quiet: {type: 'boolean', default: false},
      every: {type: 'string'},
      count: {type: 'string'},
    },
  })
  const [host, port] = positionals
  if (host === undefined || port === undefined || !(Number(port) > 0)) {
    print('usage: connect HOST PORT [--tcp] [--every MS] [--count N] [--quiet]')
    return 2
  }
  const settings = {host, port: Number(port), tcp: values.tcp}
  if (values.every === undefined && values.count === undefined) {
    const result = await connectOnce(settings)
    print(JSON.stringify(result))
    return result.error === undefined ? 0 : 1
  }
  const everyMs = Number(values.every ?? 0)
  const count = Number(values.count ?? Number.POSITIVE_INFINITY)
  return await connectOften(settings, everyMs, count, values.quiet ? () => {} : print, print)
}

function connectOnce(settings: Settings): Promise<Result> {
  return new Promise((resolve) => {
    const socket = createConnection({host: settings.host, port: settings.port})
    let text = ''
    let peer: Pick<Result, 'peer' | 'peerPort'> = {}
    const finish = (result: Result): void => {
      socket.destroy()
      resolve({...peer, ...result})
    }
    socket.setTimeout(TIMEOUT_MS, () => finish({error: `no answer within ${TIMEOUT_MS} ms`}))
    socket.on('error', (error) => finish({error: error.message}))
    socket.on('connect', () => {
      peer = {peer: (socket.remoteAddress ?? '').replace(/^::ffff:/, ''), peerPort: socket.remotePort ?? 0}
      if (!settings.tcp) socket.write('GET / HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n')
    })
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      text += chunk
      const answer = parseAnswer(text)
      if (answer !== undefined) finish(answer)
      else if (text.length > MAX_ANSWER_BYTES) finish({error: 'the answer is too long'})
    })
    socket.on('end', () => finish({error: 'closed before the answer was complete'}))
  })
}

/** The line of JSON in the answer, wherever HTTP put it; undefined while it is not complete. */
function parseAnswer(text: string): Result | undefined {
  const line = /^(\{.*\})$/m.exec(text.slice(0, text.lastIndexOf('\n') + 1))?.[1]
  if (line === undefined) return undefined
  try {
    const said = JSON.parse(line) as {pod?: unknown; node?: unknown; peer?: unknown}
    return {pod: String(said.pod), node: String(said.node), seenAs: String(said.peer)}
  } catch {
    return {error: `no JSON: ${line}`}
  }
}

/** Starts a connection every `everyMs`, whatever became of the one before; 0 is one after the other. */
async function connectOften(
  settings: Settings,
  everyMs: number,
  count: number,
  each: Print,
  print: Print,
): Promise<number> {
  const sums = new Sums()
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
  const open = new Set<Promise<void>>()
  const startMs = performance.now()
  for (let index = 0; index < count && !stop.signal.aborted; index += 1) {
    const one = connectOnce(settings).then((result) => {
      sums.add(result)
      each(JSON.stringify(result))
    })
    open.add(one)
    void one.finally(() => open.delete(one))
    if (everyMs > 0) await sleepUntil(startMs + (index + 1) * everyMs, stop.signal)
    else await one
  }
  await Promise.all(open)
  print(JSON.stringify(sums))
  return sums.errors === 0 ? 0 : 1
}

function sleepUntil(atMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, atMs - performance.now()))
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      {once: true},
    )
  })
}

/** How often each answer came; printed as JSON. */
class Sums {
  connections = 0
  errors = 0
  readonly pods: Record<string, number> = {}
  readonly peers: Record<string, number> = {}
  readonly messages: Record<string, number> = {}

  add(result: Result): void {
    this.connections += 1
    if (result.error !== undefined) {
      this.errors += 1
      count(this.messages, result.error)
      return
    }
    count(this.pods, result.pod ?? '')
    count(this.peers, `${result.peer} ${result.peerPort}`)
  }
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1
}
