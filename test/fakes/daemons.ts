// SPDX-License-Identifier: Apache-2.0
/** Daemons on real sockets: ours, a Go daemon, and broken ones of every kind. */
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http'
import type {AddressInfo, Socket} from 'node:net'

export interface FakeDaemon {
  readonly port: number
  readonly url: string
  /** `GET /version`, in order. */
  readonly requests: string[]
  readonly levels: Map<string, string>
  close(): Promise<void>
}

export interface DaemonOptions {
  /** Answers instead of the kind's own handler when it returns true. */
  readonly override?: (request: IncomingMessage, response: ServerResponse) => boolean
  /** ndjson lines of each map, without the last line. */
  readonly maps?: Readonly<Record<string, readonly object[]>>
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

async function serve(
  handler: Handler,
  options: DaemonOptions,
  levels = new Map<string, string>(),
): Promise<FakeDaemon> {
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const server: Server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    if (options.override?.(request, response)) return
    void handler(request, response)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    levels,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function text(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {'content-type': 'text/plain; charset=utf-8'}).end(body)
}

function json(response: ServerResponse, body: unknown, status = 200): void {
  text(response, status, JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let body = ''
  for await (const chunk of request) body += chunk
  return JSON.parse(body) as Record<string, unknown>
}

const VERSION = {
  gitCommit: 'abc',
  gitTreeState: 'clean',
  buildDate: 'x',
  goVersion: 'x',
  compiler: 'x',
  platform: 'linux/amd64',
}
const BPF_LEVELS = ['error', 'warn', 'info', 'debug']

const FRONTEND_LINE = {
  key: {address: '10.96.0.10'},
  value: {upstreamId: 7},
  keyHex: '0a60000a000000000000000000000000',
  valueHex: '07000000',
  names: {'7': 'shop/cart.shop.svc.cluster.local'},
}

/** Our agent, as far as the commands ask it. */
export function startOwnDaemon(options: DaemonOptions = {}): Promise<FakeDaemon> {
  const levels = new Map([
    ['default', 'info'],
    ['bpf', 'info'],
    ['manage', 'info'],
  ])
  const maps = options.maps ?? {km_frontend: [FRONTEND_LINE], km_globals: []}
  const handler: Handler = async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://daemon')
    const name = url.searchParams.get('name')
    if (url.pathname === '/version') {
      return json(response, {
        ...VERSION,
        gitVersion: '0.1.0',
        mode: 'dual-engine',
        capabilities: ['mapKeys', 'ttl', 'enrollment'],
        sidecarPolicy: 'exclude',
        existingPods: 'live',
      })
    }
    if (url.pathname === '/debug/ready') return json(response, {ready: true, checks: []})
    if (url.pathname === '/debug/loggers' && request.method === 'POST') {
      const body = await bodyOf(request)
      levels.set(String(body['name']), String(body['level']))
      return text(response, 200, 'OK')
    }
    if (url.pathname === '/debug/loggers' && name === null) return json(response, [...levels.keys()])
    if (url.pathname === '/debug/loggers') {
      const level = levels.get(name ?? '')
      if (level === undefined)
        return json(
          response,
          {error: {code: 'UnknownLogger', message: 'no such logger', parameter: 'name'}},
          400,
        )
      return json(response, {name, level, default: 'info', expiresAt: null})
    }
    if (url.pathname === '/debug/bpf/maps') {
      return json(response, [
        ...Object.entries(maps).map(([map, lines]) => mapRow(map, 'hash', lines.length, true)),
        mapRow('km_log_event', 'ringbuf', null, false),
      ])
    }
    const map = /^\/debug\/bpf\/maps\/(\w+)$/.exec(url.pathname)?.[1]
    if (map !== undefined && maps[map] !== undefined) {
      const lines = [...maps[map], {end: true, entries: maps[map].length}]
      response.writeHead(200, {'content-type': 'application/x-ndjson'})
      return void response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    }
    if (url.pathname === '/debug/enrollment') return json(response, [])
    text(response, 404, '404 page not found\n')
  }
  return serve(handler, options, levels)
}

function mapRow(name: string, type: string, entries: number | null, readable: boolean): object {
  return {name, type, keyBytes: 16, valueBytes: 4, entries, maxEntries: 1000, readable}
}

/** A Go daemon of v1.2 as far as the commands ask it. */
export function startGoDaemon(gitVersion = 'v1.2.0', options: DaemonOptions = {}): Promise<FakeDaemon> {
  const levels = new Map([
    ['default', 'info'],
    ['bpf', 'info'],
  ])
  const handler: Handler = async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://daemon')
    const name = url.searchParams.get('name')
    if (url.pathname === '/version') return json(response, {...VERSION, gitVersion})
    if (url.pathname === '/debug/ready') return text(response, 200, 'OK')
    if (url.pathname === '/connection_metrics') return text(response, 405, 'Method Not Allowed\n')
    if (url.pathname === '/debug/config_dump/kernel-native')
      return text(response, 400, '\tInvalid Client Mode\n')
    if (url.pathname === '/debug/config_dump/dual-engine') {
      return json(response, {workloads: [], services: [], policies: []})
    }
    if (url.pathname === '/debug/config_dump/bpf/dual-engine') {
      return json(response, {
        workloadPolicies: [],
        backends: [{ip: '10.244.1.17', serviceCount: 1, services: ['shop/cart.shop.svc.cluster.local']}],
        endpoints: [{backendUid: 'Kubernetes//Pod/shop/cart-1'}],
        frontends: [{upstreamId: 'shop/cart.shop.svc.cluster.local'}],
        services: [{endpointCount: '1', lbPolicy: 'random', servicePort: '80', targetPort: '8080'}],
      })
    }
    if (url.pathname === '/debug/loggers' && request.method === 'POST') {
      const body = await bodyOf(request)
      if (body['name'] === 'bpf') {
        const index = BPF_LEVELS.indexOf(String(body['level']))
        if (index < 0) return text(response, 400, 'Invalid log level\n')
        levels.set('bpf', String(body['level']))
        return text(response, 200, `set BPF Log Level: ${index}\n`)
      }
      levels.set(String(body['name']), String(body['level']))
      return text(response, 200, 'OK')
    }
    if (url.pathname === '/debug/loggers' && name === null) return json(response, [...levels.keys()])
    if (url.pathname === '/debug/loggers') {
      const level = levels.get(name ?? '')
      if (level === undefined) return text(response, 400, `\tlogger ${name} does not exist\n`)
      return json(response, {name, level})
    }
    text(response, 404, '404 page not found\n')
  }
  return serve(handler, options, levels)
}

export type BrokenKind =
  | 'hang'
  | 'error'
  | 'garbage'
  | 'endless'
  | 'cut'
  | 'endless-lines'
  | 'cut-map'
  | 'not-http'

/** A daemon that fails in one way; `endless-lines` and `cut-map` are ours and fail in the middle of a map. */
export function startBrokenDaemon(kind: BrokenKind): Promise<FakeDaemon> {
  if (kind === 'endless-lines' || kind === 'cut-map') {
    return startOwnDaemon({
      override: (request, response) => {
        if (!request.url?.startsWith('/debug/bpf/maps/')) return false
        response.writeHead(200)
        if (kind === 'cut-map') {
          response.write(`${JSON.stringify(FRONTEND_LINE)}\n`, () => response.end())
        } else {
          endless(response, 'x'.repeat(65_536))
        }
        return true
      },
    })
  }
  return serve((request, response) => {
    if (kind === 'hang') return
    if (kind === 'error') return text(response, 500, 'it broke \u001b[31mred\u001b[0m\n')
    if (kind === 'garbage') return text(response, 200, '\u001b]0;title\u0007<html>')
    if (kind === 'not-http') return void request.socket.end('hello, no HTTP here\r\n\r\n')
    if (kind === 'cut') {
      response.writeHead(200, {'content-length': '1000'})
      response.write('{"gitVersion":', () => request.socket.destroy())
      return
    }
    response.writeHead(200)
    endless(response, `"${'x'.repeat(65_535)}`)
  }, {})
}

function endless(response: ServerResponse, chunk: string): void {
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  }
  response.on('drain', more)
  more()
}
