// SPDX-License-Identifier: Apache-2.0
/**
 * HTTP daemons of three dialects that answer everything but their map as the fakes do, and the map in the way
 * that a benchmark wants: late, never, broken, or very long.
 */
import {createServer, request as httpRequest, type IncomingMessage, type ServerResponse} from 'node:http'
import type {AddressInfo} from 'node:net'
import {Readable} from 'node:stream'
import {startOwnDaemon} from '../fakes/daemons.ts'
import {goJson} from '../fakes/go-daemon/dumps.ts'
import {startDaemon} from '../fakes/go-daemon/server.ts'

export const DIALECTS = ['own', 'v1.2.0', 'v1.0.0'] as const
export type FleetDialect = (typeof DIALECTS)[number]

/** What a daemon does when its map is asked for. */
export type Manner = 'slow' | 'hang' | 'error' | 'garbage' | 'cut' | 'endless' | 'megabyte' | 'gigabyte'

export interface FleetDaemon {
  readonly port: number
  readonly url: string
  close(): Promise<void>
}

type Answer = (response: ServerResponse) => void

const DELAY_MS = 50
const MEGABYTE = 1024 * 1024
const MAP_PATHS: readonly string[] = ['/debug/bpf/maps/km_frontend', '/debug/config_dump/bpf/dual-engine']

/** @param map - instead of a manner: the map's whole answer. */
export async function startFleetDaemon(dialect: FleetDialect, map: Manner | Answer): Promise<FleetDaemon> {
  const behind =
    dialect === 'own' ? await startOwnDaemon() : await startDaemon({version: dialect, mode: 'dual-engine'})
  const recorded = new Map<string, Promise<Recorded>>()
  const answer = typeof map === 'function' ? map : answerOf(dialect, map, behind.port)
  const server = createServer((request, response) => {
    const {method = 'GET', url = '/'} = request
    if (method === 'GET' && MAP_PATHS.includes(url)) return answer(response)
    const key = `${method} ${url}`
    const known = recorded.get(key) ?? record(behind.port, method, url)
    recorded.set(key, known)
    known.then(
      ({status, headers, body}) => response.writeHead(status, headers).end(body),
      () => response.destroy(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await behind.close()
    },
  }
}

interface Recorded {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** Fakes answer the same question the same way: asked once, they cost the fleet nothing. */
function record(port: number, method: string, path: string): Promise<Recorded> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({host: '127.0.0.1', port, method, path}, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
      response.on('end', () => {
        const {connection: _connection, 'keep-alive': _keepAlive, ...headers} = response.headers
        resolve({status: response.statusCode ?? 500, headers, body: Buffer.concat(chunks)})
      })
    })
    request.on('error', reject).end()
  })
}

function answerOf(dialect: FleetDialect, manner: Manner, behind: number): Answer {
  if (manner === 'slow') return late(dialect, behind)
  if (manner === 'hang') return () => undefined
  if (manner === 'error') return (response) => void response.writeHead(500).end('it broke\n')
  if (manner === 'garbage') return (response) => void response.end('<html>\n')
  if (manner === 'endless') return endless
  if (manner === 'cut') return (response) => void response.write(part(dialect), () => response.destroy())
  return long(dialect, manner === 'megabyte' ? MEGABYTE : 1024 * MEGABYTE)
}

function late(dialect: FleetDialect, behind: number): Answer {
  const recorded = record(behind, 'GET', MAP_PATHS[dialect === 'own' ? 0 : 1] as string)
  return (response) => {
    setTimeout(() => void recorded.then(({body}) => response.end(body)), DELAY_MS)
  }
}

const endless: Answer = (response) => {
  response.on('error', () => undefined)
  const chunk = 'x'.repeat(256 * 1024)
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  }
  response.on('drain', more)
  more()
}

/** A map of about `bytes`, no faster than it is read. */
function long(dialect: FleetDialect, bytes: number): Answer {
  return (response) => {
    Readable.from(blocks(dialect, bytes))
      .on('error', () => undefined)
      .pipe(response.on('error', () => undefined))
  }
}

function* blocks(dialect: FleetDialect, bytes: number): Generator<string> {
  // Lines of 4 kB: what is measured is what is held, not how fast lines are parsed.
  const text = dialect === 'own' ? `${JSON.stringify(line(4096))}\n` : part(dialect)
  const pieces = Math.max(1, Math.round(65_536 / text.length))
  const [before, between, after] = frame(dialect)
  const block = Array(pieces).fill(text).join(between)
  const total = Math.max(1, Math.floor(bytes / block.length))
  for (let sent = 0; sent < total; sent += 1) yield (sent === 0 ? before : between) + block
  yield dialect === 'own' ? `${JSON.stringify({end: true, entries: total * pieces})}\n` : after
}

/** Text before the first entry, between two, and after the last. */
function frame(dialect: FleetDialect): [string, string, string] {
  if (dialect === 'own') return ['', '', '']
  const name = dialect === 'v1.0.0' ? 'Frontends' : 'frontends'
  return [`{\n    "${name}": [\n`, ',\n', '\n    ]\n}']
}

const line = (valueBytes: number): object => ({
  key: {address: '10.96.0.10'},
  value: {upstreamId: 7},
  keyHex: '00',
  valueHex: '0'.repeat(valueBytes),
  names: {},
})

/** One entry as text. */
function part(dialect: FleetDialect): string {
  if (dialect === 'own') return `${JSON.stringify(line(2))}\n`
  const entry = dialect === 'v1.0.0' ? {UpstreamId: 391_707_715} : {upstreamId: `shop/${'cart'.repeat(60)}`}
  return goJson(entry).replace(/^/gm, '        ')
}
