// SPDX-License-Identifier: Apache-2.0
/** What a node answers to the API server on its own address: port-forward and container output. */
import type {IncomingMessage, ServerResponse} from 'node:http'
import {createServer, type Server} from 'node:https'
import type {Duplex} from 'node:stream'
import type {TLSSocket} from 'node:tls'
import {WebSocketServer} from 'ws'
import {messageOf} from '../../errors.ts'
import {serveLog} from './container-logs.ts'
import type {Kubelet} from './kubelet.ts'
import type {NodeContext} from './node-context.ts'
import {KUBELET_PORT} from './node-object.ts'
import {serveForward} from './port-forward.ts'

const PROTOCOL = 'v4.channel.k8s.io'
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
const MAX_PORTS = 16

export interface KubeletTls {
  readonly certificatePem: string
  readonly keyPem: string
  readonly authorityPem: string
  /** Common name that a client's certificate must have. */
  readonly clientName: string
}

export interface KubeletServer {
  close(): void
}

/** Listens on each of the node's addresses, inside its namespace. */
export async function startKubeletServer(
  node: NodeContext,
  kubelet: Kubelet,
  tls: KubeletTls,
): Promise<KubeletServer> {
  const servers: Server[] = []
  for (const {address} of node.addresses) {
    const server = createKubeletServer(node, kubelet, tls)
    await node.sockets.listen(server, node.namespacePath, address, KUBELET_PORT)
    servers.push(server)
  }
  return {
    close: () => {
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}

function createKubeletServer(node: NodeContext, kubelet: Kubelet, tls: KubeletTls): Server {
  const server = createServer({
    cert: tls.certificatePem,
    key: tls.keyPem,
    ca: tls.authorityPem,
    requestCert: true,
    rejectUnauthorized: true,
  })
  const websockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    handleProtocols: (protocols) => (protocols.has(PROTOCOL) ? PROTOCOL : false),
  })
  server.on('request', (request, response) => {
    void answer(node, kubelet, tls, request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else refuse(response, 500, messageOf(error))
    })
  })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    const forward = findForward(node, kubelet, tls, request)
    if ('status' in forward) return refuseUpgrade(socket, forward.status, forward.message)
    websockets.handleUpgrade(request, socket, head, (websocket) => {
      serveForward(websocket, forward.ports, {
        namespacePath: forward.namespacePath,
        sockets: node.sockets,
      })
    })
  })
  return server
}

interface Refusal {
  readonly status: number
  readonly message: string
}

function isAllowed(request: IncomingMessage, tls: KubeletTls): boolean {
  return (request.socket as TLSSocket).getPeerCertificate().subject?.CN === tls.clientName
}

function findForward(
  node: NodeContext,
  kubelet: Kubelet,
  tls: KubeletTls,
  request: IncomingMessage,
): Refusal | {readonly ports: readonly number[]; readonly namespacePath: string} {
  if (!isAllowed(request, tls)) return {status: 403, message: 'this certificate may not ask a node'}
  const url = new URL(request.url ?? '/', 'https://node')
  const [action, namespace = '', name = ''] = url.pathname.split('/').slice(1).map(decodeURIComponent)
  if (action !== 'portForward') return {status: 404, message: `no such path: ${url.pathname}`}
  const pod = kubelet.pod(namespace, name)
  if (pod === undefined) return {status: 404, message: `no pod ${namespace}/${name} on node ${node.name}`}
  const offered = request.headers['sec-websocket-protocol'] ?? ''
  if (!offered.split(/\s*,\s*/).includes(PROTOCOL)) {
    return {
      status: 400,
      message: `port-forward needs the WebSocket subprotocol ${PROTOCOL}, not "${offered}"`,
    }
  }
  const ports = url.searchParams.getAll('port').flatMap((list) => list.split(',').map(Number))
  const isValid = ports.every((port) => Number.isInteger(port) && port > 0 && port < 65_536)
  if (ports.length === 0 || ports.length > MAX_PORTS || !isValid) {
    return {status: 400, message: `"port" must be given 1 to ${MAX_PORTS} times, each 1 to 65535`}
  }
  return {ports, namespacePath: pod.namespacePath}
}

async function answer(
  node: NodeContext,
  kubelet: Kubelet,
  tls: KubeletTls,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://node')
  if (!isAllowed(request, tls)) return refuse(response, 403, 'this certificate may not ask a node')
  if (url.pathname === '/healthz') return void response.writeHead(200).end('ok')
  const [action, namespace = '', name = '', container = ''] = url.pathname
    .split('/')
    .slice(1)
    .map(decodeURIComponent)
  if (action !== 'containerLogs' || request.method !== 'GET') {
    return refuse(response, 404, `no such path: ${url.pathname}`)
  }
  const file = kubelet.pod(namespace, name)?.outputFile(container)
  if (file === undefined)
    return refuse(response, 404, `no container ${container} in pod ${namespace}/${name}`)
  const number = (key: string): number | undefined => {
    const text = url.searchParams.get(key)
    return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined
  }
  const options = {
    tailLines: number('tailLines'),
    limitBytes: number('limitBytes'),
    follow: url.searchParams.get('follow') === 'true',
  }
  await serveLog(file, options, response, node.clock, () => kubelet.pod(namespace, name) === undefined)
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, {'content-type': 'text/plain; charset=utf-8'}).end(`${message}\n`)
}

function refuseUpgrade(socket: Duplex, status: number, message: string): void {
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
  )
}
