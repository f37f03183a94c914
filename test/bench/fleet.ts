// SPDX-License-Identifier: Apache-2.0
/**
 * A fleet of daemons of our dialect behind one API server, as a process of its own: HTTP in port-forward
 * WebSockets over TLS. `fleet.ts SCENARIO NODES` tells its kubeconfig to the parent, and the counts when asked.
 */
import {createServer, type ServerResponse} from 'node:http'
import type {Duplex} from 'node:stream'
import {type FakeNode, startFakeApi} from '../fakes/api-server.ts'

export type Scenario = 'slow' | 'half' | 'faults' | 'large' | 'huge'

export interface FleetCounts {
  /** WebSockets that the busiest daemon saw. */
  readonly mostTunnels: number
  /** Tunnels that were open at the same time. */
  readonly mostOpen: number
}

const DELAY_MS = 50
const LARGE_BYTES = 1024 * 1024
const HUGE_BYTES = 1024 * LARGE_BYTES
const VERSION = {
  gitVersion: '0.1.0',
  gitCommit: 'abc',
  gitTreeState: 'clean',
  buildDate: 'x',
  goVersion: 'x',
  compiler: 'x',
  platform: 'linux/amd64',
  mode: 'dual-engine',
  capabilities: ['mapKeys', 'ttl', 'enrollment'],
  sidecarPolicy: 'exclude',
  existingPods: 'live',
}
const MAPS = [
  {name: 'km_frontend', type: 'hash', keyBytes: 16, valueBytes: 4, entries: 1, maxEntries: 9, readable: true},
]

type Answer = (response: ServerResponse) => void

/** A daemon whose map is answered by `map`. Its other endpoints work at once. */
function daemon(map: Answer): FakeNode['daemon'] {
  const server = createServer((request, response) => {
    if (request.url === '/version') return void response.end(JSON.stringify(VERSION))
    if (request.url === '/debug/bpf/maps') return void response.end(JSON.stringify(MAPS))
    map(response)
  })
  return (connection: Duplex) => {
    connection.on('error', () => undefined)
    server.emit('connection', connection)
  }
}

const line = (value: string): string =>
  `${JSON.stringify({key: {address: '10.96.0.10'}, value: {upstreamId: 7}, keyHex: '00', valueHex: value, names: {}})}\n`
const END = (entries: number): string => `${JSON.stringify({end: true, entries})}\n`

/** One small line, 50 ms later. */
const slow: Answer = (response) => void setTimeout(() => response.end(line('00') + END(1)), DELAY_MS)

/** Lines of about `lineBytes`, `bytes` in all, no faster than they are read. */
const lines =
  (bytes: number, lineBytes: number): Answer =>
  (response) => {
    const text = line('0'.repeat(lineBytes))
    const total = Math.ceil(bytes / text.length)
    let sent = 0
    const more = (): void => {
      while (sent < total) {
        sent += 1
        if (!response.write(text)) return
      }
      if (!response.writableEnded) response.end(END(total))
    }
    response.on('drain', more)
    more()
  }

const endless: Answer = (response) => {
  response.on('error', () => undefined)
  const timer = setInterval(() => response.write('x'.repeat(256 * 1024)), 1)
  response.on('close', () => clearInterval(timer))
}

/** Eight ways to fail; each one gets its share of the nodes. */
const FAULTS: readonly Omit<FakeNode, 'name'>[] = [
  {daemon: 'refused'},
  {daemon: 'refused', handshake: 'reset'},
  {
    daemon: 'refused',
    handshake: {status: 403, body: '{"kind":"Status","reason":"Forbidden","message":"no"}'},
  },
  {
    daemon: 'refused',
    handshake: {status: 404, body: '{"kind":"Status","reason":"NotFound","message":"gone"}'},
  },
  {daemon: daemon((response) => void response.writeHead(500).end('it broke\n'))},
  {daemon: daemon((response) => void response.end('<html>\n'))},
  {daemon: daemon((response) => void response.write(line('00'), () => response.destroy()))},
  {daemon: daemon(endless)},
]

function nodesOf(scenario: Scenario, count: number): FakeNode[] {
  const good = daemon(slow)
  const hanging = daemon(() => undefined)
  const large = daemon(lines(LARGE_BYTES, 4096))
  const huge = daemon(lines(HUGE_BYTES, 65_536))
  return Array.from({length: count}, (_empty, index): FakeNode => {
    const name = `n${String(index).padStart(4, '0')}`
    if (scenario === 'half') return {name, daemon: index % 2 === 0 ? hanging : good}
    if (scenario === 'large') return {name, daemon: large}
    if (scenario === 'huge') return {name, daemon: index === 0 ? huge : good}
    const fault = scenario === 'faults' && index % 20 === 0 ? FAULTS[(index / 20) % FAULTS.length] : undefined
    return {name, daemon: good, ...fault}
  })
}

async function main(scenario: Scenario, count: number): Promise<void> {
  const tunnels = new Map<string, number>()
  let mostOpen = 0
  const api = await startFakeApi({
    nodes: nodesOf(scenario, count),
    intercept: ({url = '', headers}) => {
      if (headers.upgrade === undefined) return undefined
      tunnels.set(url, (tunnels.get(url) ?? 0) + 1)
      mostOpen = Math.max(mostOpen, api.openStreams() + 1)
      return undefined
    },
  })
  process.on('message', () => {
    const counts: FleetCounts = {mostTunnels: Math.max(...tunnels.values()), mostOpen}
    process.send?.(counts)
  })
  process.on('disconnect', () => void api.close().then(() => process.exit(0)))
  process.send?.({kubeconfig: api.kubeconfig})
}

if (process.send !== undefined) {
  const [scenario = 'slow', count = '1000'] = process.argv.slice(2)
  await main(scenario as Scenario, Number(count))
}
