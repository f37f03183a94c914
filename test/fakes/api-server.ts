// SPDX-License-Identifier: Apache-2.0
/**
 * A small Kubernetes API for spawned CLI tests: TLS with client certificates,
 * lists of fixed objects, and port-forward to daemons that listen on this host.
 */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import type {IncomingMessage, ServerResponse} from 'node:http'
import {createServer} from 'node:https'
import {type AddressInfo, connect} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Duplex} from 'node:stream'
import type {TLSSocket} from 'node:tls'
import {type WebSocket, WebSocketServer} from 'ws'
import {kubeconfigText} from '../../src/lib/sandbox/kubeconfig.ts'
import {createAuthority} from '../../src/lib/sandbox/pki.ts'

/** A daemon of this process: gets the bytes of its port. */
export type DaemonInside = (connection: Duplex) => void

export interface FakeNode {
  readonly name: string
  readonly labels?: Readonly<Record<string, string>>
  /** Port of its daemon on 127.0.0.1; null: no daemon pod; 'refused': nobody listens in the pod; 'silent': the handshake gets no answer. */
  readonly daemon: number | null | 'refused' | 'silent' | DaemonInside
  /** Instead of the handshake of its port-forward: a status, or the connection is reset. */
  readonly handshake?: {status: number; body: string} | 'reset'
  readonly ready?: boolean
  /** Of its daemon's pod. */
  readonly podIp?: string
}

export interface FakeApiOptions {
  readonly nodes: readonly FakeNode[]
  /** More objects by collection path: `/api/v1/pods` -> items. */
  readonly objects?: Readonly<Record<string, readonly object[]>>
  /** A status and body instead of the answer. */
  readonly intercept?: (request: IncomingMessage) => FakeAnswer | 'hang' | undefined
  readonly meshNamespace?: string
}

export interface FakeAnswer {
  readonly status: number
  readonly body: string | Buffer
  /** JSON, unless it says otherwise. */
  readonly contentType?: string
}

export interface FakeApi {
  readonly server: string
  readonly kubeconfig: string
  /** `GET /api/v1/nodes`, in the order in which they came; upgrades too. */
  readonly requests: string[]
  readonly headers: IncomingMessage['headers'][]
  /** Port-forward streams that are open now. */
  readonly openStreams: () => number
  close(): Promise<void>
}

export async function startFakeApi(options: FakeApiOptions): Promise<FakeApi> {
  const authority = await createAuthority('fake', Date.now())
  const serving = await authority.issueServer(['127.0.0.1', 'localhost'])
  const client = await authority.issueClient('tester', ['system:masters'])
  const requests: string[] = []
  const headers: IncomingMessage['headers'][] = []
  const collections = collectionsOf(options)
  const sockets = new Set<WebSocket>()
  const nodeOf = nodeFinder(options)
  const server = createServer(
    {
      ca: authority.certificatePem,
      cert: serving.certificatePem,
      key: serving.keyPem,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      requests.push(`${request.method} ${request.url}`)
      headers.push(request.headers)
      answer(options, collections, request, response)
    },
  )
  const webSockets = new WebSocketServer({noServer: true, handleProtocols: () => 'v4.channel.k8s.io'})
  server.on('upgrade', (request: IncomingMessage, socket: TLSSocket, head: Buffer) => {
    requests.push(`UPGRADE ${request.url}`)
    headers.push(request.headers)
    socket.on('error', () => undefined)
    const intercepted = options.intercept?.(request)
    if (intercepted === 'hang') return
    if (intercepted !== undefined) {
      refuse(socket, intercepted)
      return
    }
    const {daemon, handshake} = nodeOf(request.url ?? '')
    if (handshake === 'reset') return void socket.destroy()
    if (handshake !== undefined) return refuse(socket, handshake)
    if (daemon === 'silent') return
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      sockets.add(webSocket)
      webSocket.once('close', () => sockets.delete(webSocket))
      forward(webSocket, daemon)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const folder = mkdtempSync(join(tmpdir(), 'kmt-api-'))
  const kubeconfig = join(folder, 'config')
  writeFileSync(
    kubeconfig,
    kubeconfigText({name: 'fake', server: url, authorityPem: authority.certificatePem, client}),
    {
      mode: 0o600,
    },
  )
  return {
    server: url,
    kubeconfig,
    requests,
    headers,
    openStreams: () => sockets.size,
    close: async () => {
      for (const socket of sockets) socket.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(folder, {recursive: true})
    },
  }
}

function collectionsOf({nodes, objects = {}, meshNamespace = 'kmesh-system'}: FakeApiOptions) {
  const pods = nodes
    .filter(({daemon}) => daemon !== null)
    .map(({name, ready = true, podIp}) => ({
      metadata: {name: `kmesh-${name}`, namespace: meshNamespace, uid: `uid-${name}`, labels: {app: 'kmesh'}},
      spec: {nodeName: name, hostNetwork: true, containers: [{name: 'kmesh'}]},
      status: {
        phase: 'Running',
        conditions: [{type: 'Ready', status: ready ? 'True' : 'False'}],
        ...(podIp === undefined ? {} : {podIP: podIp}),
      },
    }))
  return {
    '/api/v1/nodes': nodes.map(({name, labels = {}}) => ({metadata: {name, labels}})),
    [`/api/v1/namespaces/${meshNamespace}/pods`]: pods,
    '/api/v1/pods': pods,
    '/api/v1/namespaces': [],
    ...objects,
  } as Readonly<Record<string, readonly {metadata?: {labels?: Record<string, string>}}[]>>
}

function answer(
  options: FakeApiOptions,
  collections: ReturnType<typeof collectionsOf>,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const intercepted = options.intercept?.(request)
  if (intercepted === 'hang') return
  const url = new URL(request.url ?? '/', 'https://fake')
  if (intercepted !== undefined)
    return send(response, intercepted.status, intercepted.body, intercepted.contentType)
  if (!(request.socket as TLSSocket).authorized) {
    return send(
      response,
      401,
      JSON.stringify({kind: 'Status', reason: 'Unauthorized', message: 'Unauthorized'}),
    )
  }
  if (url.pathname === '/version') return send(response, 200, JSON.stringify({gitVersion: 'v1.33.4'}))
  const items = collections[url.pathname]
  if (items === undefined) {
    return send(response, 404, JSON.stringify({kind: 'Status', reason: 'NotFound', message: 'not found'}))
  }
  const wanted = (url.searchParams.get('labelSelector') ?? '').split(',').filter(Boolean)
  const chosen = items.filter((item) =>
    wanted.every((term) => {
      const [name, value] = term.split('=')
      return item.metadata?.labels?.[name ?? ''] === value
    }),
  )
  send(response, 200, JSON.stringify({kind: 'List', metadata: {resourceVersion: '7'}, items: chosen}))
}

function send(
  response: ServerResponse,
  status: number,
  body: string | Buffer,
  contentType = 'application/json',
): void {
  response.writeHead(status, {'content-type': contentType}).end(body)
}

function refuse(socket: Duplex, {status, body}: Pick<FakeAnswer, 'status' | 'body'>): void {
  socket.end(
    `HTTP/1.1 ${status} X\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}

/** Finds the node of a port-forward's URL. */
function nodeFinder({nodes}: FakeApiOptions): (url: string) => FakeNode {
  const byName = new Map(nodes.map((node) => [node.name, node]))
  return (url) => {
    const name = /\/pods\/kmesh-([^/]+)\/portforward/.exec(url)?.[1] ?? ''
    return byName.get(name) ?? {name, daemon: 'refused'}
  }
}

/** What a kubelet does: the port as the first frame of both channels, then bytes, or a text on channel 1. */
function forward(webSocket: WebSocket, daemon: FakeNode['daemon']): void {
  if (typeof daemon === 'function') {
    daemon(portStream(webSocket))
    return
  }
  const port = typeof daemon === 'number' ? daemon : 1
  const head = Buffer.from([0, 15200 & 0xff, 15200 >> 8])
  webSocket.send(head)
  webSocket.send(Buffer.from([1, head[1]!, head[2]!]))
  const socket = connect(port, '127.0.0.1')
  socket.on('data', (chunk: Buffer) => {
    socket.pause()
    webSocket.send(Buffer.concat([Buffer.from([0]), chunk]), () => socket.resume())
  })
  socket.on('error', (error) => {
    webSocket.send(Buffer.concat([Buffer.from([1]), Buffer.from(`error forwarding port: ${error.message}`)]))
  })
  socket.on('close', () => webSocket.close(1000))
  webSocket.on('message', (frame: Buffer) => socket.write(Uint8Array.from(frame.subarray(1))))
  webSocket.on('close', () => socket.destroy())
  webSocket.on('error', () => socket.destroy())
}

/** The daemon's side of a port, without a socket in between. */
function portStream(webSocket: WebSocket): Duplex {
  for (const channel of [0, 1]) webSocket.send(Buffer.from([channel, 15200 & 0xff, 15200 >> 8]))
  const stream = new Duplex({
    read: () => webSocket.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      webSocket.send(Buffer.from([0]), {fin: false})
      webSocket.send(chunk, () => done())
    },
    final: (done) => {
      webSocket.close(1000)
      done()
    },
    destroy: (error, done) => {
      webSocket.close(1000)
      done(error)
    },
  })
  webSocket.on('message', (frame: Buffer) => {
    if (!stream.push(frame.subarray(1))) webSocket.pause()
  })
  webSocket.on('close', () => stream.destroy())
  webSocket.on('error', () => stream.destroy())
  return stream
}
