// SPDX-License-Identifier: Apache-2.0
/** Daemons on real sockets: ours, a Go daemon, and broken ones of every kind. */
import type {IncomingMessage, ServerResponse} from 'node:http'
import {listenLocally} from './local-server.ts'

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
  const server = await listenLocally((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    if (options.override?.(request, response)) return
    void handler(request, response)
  })
  return {...server, requests, levels}
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

type Routes = Readonly<
  Record<string, (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>>
>

/** By `METHOD /path`; anything else is Go's 404. */
function routed(routes: Routes): Handler {
  return (request, response) => {
    const url = new URL(request.url ?? '/', 'http://daemon')
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const route = routes[`${method} ${url.pathname}`]
    if (route === undefined) text(response, 404, '404 page not found\n')
    else return route(request, response, url)
  }
}

/** Our agent, as far as the commands ask it. */
export function startOwnDaemon(options: DaemonOptions = {}): Promise<FakeDaemon> {
  const levels = new Map([
    ['default', 'info'],
    ['bpf', 'info'],
    ['manage', 'info'],
  ])
  const leases = new Map<string, string>()
  const maps = options.maps ?? {km_frontend: [FRONTEND_LINE], km_globals: []}
  const mapRoutes = Object.entries(maps).map(([name, lines]): [string, Routes[string]] => [
    `GET /debug/bpf/maps/${name}`,
    (_request, response) => {
      const all = [...lines, {end: true, entries: lines.length}]
      response.writeHead(200, {'content-type': 'application/x-ndjson'})
      response.end(all.map((line) => `${JSON.stringify(line)}\n`).join(''))
    },
  ])
  const routes: Routes = {
    'GET /version': (_request, response) => json(response, OWN_VERSION),
    'GET /debug/ready': (_request, response) => json(response, {ready: true, checks: []}),
    'GET /debug/enrollment': (_request, response) =>
      json(response, [ENROLLED, {...ENROLLED, pod: 'cart-2', captured: false}]),
    'GET /debug/loggers': (_request, response, url) => {
      const name = url.searchParams.get('name')
      if (name === null) return json(response, [...levels.keys()])
      const level = levels.get(name)
      const error = {code: 'UnknownLogger', message: 'no such logger', parameter: 'name'}
      if (level === undefined) return json(response, {error}, 400)
      json(response, {name, level, default: 'info', expiresAt: leases.get(name) ?? null})
    },
    'POST /debug/loggers': async (request, response) => {
      const {name, level, ttlSeconds} = await bodyOf(request)
      levels.set(String(name), String(level))
      if (typeof ttlSeconds === 'number') leases.set(String(name), '2026-01-01T00:10:00.000Z')
      text(response, 200, 'OK')
    },
    'GET /debug/bpf/maps': (_request, response) =>
      json(response, [
        ...Object.entries(maps).map(([name, lines]) => mapRow(name, 'hash', lines.length, true)),
        mapRow('km_log_event', 'ringbuf', null, false),
      ]),
    ...Object.fromEntries(mapRoutes),
  }
  return serve(routed(routes), options, levels)
}

const OWN_VERSION = {
  ...VERSION,
  gitVersion: '0.1.0',
  mode: 'dual-engine',
  capabilities: ['mapKeys', 'ttl', 'enrollment'],
  sidecarPolicy: 'exclude',
  existingPods: 'live',
}

const ENROLLED = {
  namespace: 'shop',
  pod: 'cart-1',
  uid: 'u1',
  cookie: '4711',
  classid: null,
  addresses: ['10.244.1.17'],
  since: '2026-01-01T00:00:00Z',
  rule: 'NamespaceLabel',
  intent: true,
  captured: true,
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
  const routes: Routes = {
    'GET /version': (_request, response) => json(response, {...VERSION, gitVersion}),
    'GET /debug/ready': (_request, response) => text(response, 200, 'OK'),
    'GET /connection_metrics': (_request, response) => text(response, 405, 'Method Not Allowed\n'),
    'GET /debug/config_dump/kernel-native': (_request, response) =>
      text(response, 400, '\tInvalid Client Mode\n'),
    'GET /debug/config_dump/dual-engine': (_request, response) =>
      json(response, {workloads: [], services: [], policies: []}),
    'GET /debug/config_dump/bpf/dual-engine': (_request, response) => json(response, GO_BPF_DUMP),
    'GET /debug/loggers': (_request, response, url) => {
      const name = url.searchParams.get('name')
      if (name === null) return json(response, [...levels.keys()])
      const level = levels.get(name)
      if (level === undefined) return text(response, 400, `\tlogger ${name} does not exist\n`)
      json(response, {name, level})
    },
    'POST /debug/loggers': async (request, response) => {
      const {name, level} = await bodyOf(request)
      const index = BPF_LEVELS.indexOf(String(level))
      if (name === 'bpf' && index < 0) return text(response, 400, 'Invalid log level\n')
      levels.set(String(name), String(level))
      text(response, 200, name === 'bpf' ? `set BPF Log Level: ${index}\n` : 'OK')
    },
  }
  return serve(routed(routes), options, levels)
}

const GO_BPF_DUMP = {
  workloadPolicies: [],
  backends: [{ip: '10.244.1.17', serviceCount: 1, services: ['shop/cart.shop.svc.cluster.local']}],
  endpoints: [{backendUid: 'Kubernetes//Pod/shop/cart-1'}],
  frontends: [{upstreamId: 'shop/cart.shop.svc.cluster.local'}],
  services: [{endpointCount: '1', lbPolicy: 'random', servicePort: '80', targetPort: '8080'}],
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
