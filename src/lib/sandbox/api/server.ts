// SPDX-License-Identifier: Apache-2.0
/** The sandbox's Kubernetes API: TLS listeners, authentication, and the way from a request to its handler. */
import type {IncomingMessage, RequestListener, ServerResponse} from 'node:http'
import {createServer, type Server} from 'node:https'
import type {AddressInfo} from 'node:net'
import type {Duplex} from 'node:stream'
import {PROTOBUF} from '../../model/protobuf-bytes.ts'
import type {Clock, Log} from '../../ports.ts'
import type {KeyPair} from '../pki.ts'
import {type Attributes, type Authorize, authenticate, checkAllowed, type User} from './authenticate.ts'
import {apiContext} from './context.ts'
import {fixedAnswer} from './discovery.ts'
import type {ApiContext} from './exchange.ts'
import {serveResource, verbOf} from './handlers.ts'
import {type DialNode, forwardUpgrade} from './kubelet.ts'
import {decodeProtobuf} from './protobuf.ts'
import {refuse, refuseUpgrade} from './refuse.ts'
import type {Registry} from './registry.ts'
import {isCore} from './resource-row.ts'
import {parseResourcePath, type ResourceRoute} from './route.ts'
import {methodNotAllowed, noSpdy, notExplained, StatusError, unknownPath} from './status.ts'
import {isForApi} from './tokens.ts'

export interface ApiServerOptions {
  /** PEM of the authority that client certificates must come from. */
  readonly authorityPem: string
  /** Certificate and key of the server; its names cover every address that it listens on. */
  readonly serving: KeyPair
  readonly clock: Clock
  readonly log: Log
  readonly dialNode: DialNode
  /** Ranges of service addresses, the primary family first: `['10.96.0.0/16', 'fd00:10:96::/112']`. */
  readonly serviceCidrs: readonly string[]
  /** Asked for everybody but system:masters; without it the roles and bindings in the store decide. */
  readonly authorize?: Authorize
  /** What `/version` says. */
  readonly gitVersion?: string
  /** Changes that are kept for watchers that resume, for each resource. */
  readonly historyLimit?: number
}

/** An address, or the descriptor of a socket that listens already (in whatever network namespace). */
export type ListenTarget = {readonly host: string; readonly port: number} | {readonly fd: number}

export interface ApiServer {
  /** Handles requests of any TLS server that was made with the authority as `ca` and asks for certificates. */
  readonly listener: RequestListener
  /** Listens on one more place. Resolves to the port. */
  listen(target: ListenTarget): Promise<number>
  /** Ends all watches and connections. */
  close(): Promise<void>
}

const GIT_VERSION = 'v1.33.4'
const BODY_MAX_BYTES = 3 << 20

export function createApiServer(options: ApiServerOptions): ApiServer {
  const {log} = options
  const context = apiContext(options)
  const servers = new Set<Server>()
  /** Node forgets sockets that were upgraded, but waits for them when it closes. */
  const upgraded = new Set<Duplex>()

  const listener: RequestListener = (request, response) => {
    // A client that goes away in the middle is no fault of ours, and must not end the process.
    response.on('error', (thrown) => log.debug('answer broke off', {url: request.url, error: thrown.message}))
    serve(context, options.gitVersion ?? GIT_VERSION, request, response).catch((thrown) => {
      refuse(log, request, response, thrown)
    })
  }
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    upgraded.add(socket)
    socket.on('close', () => upgraded.delete(socket))
    socket.on('error', () => socket.destroy())
    upgrade(context, request, socket, head).catch((thrown) => refuseUpgrade(log, request, socket, thrown))
  }

  async function listen(target: ListenTarget): Promise<number> {
    const server = createServer(
      {
        ca: options.authorityPem,
        cert: options.serving.certificatePem,
        key: options.serving.keyPem,
        requestCert: true,
        // Whoever has no good certificate is told so by a Status, not by a TLS alert.
        rejectUnauthorized: false,
        minVersion: 'TLSv1.2',
        // Watches are long; a request that only trickles in is cut.
        requestTimeout: 60_000,
        // Longer than clients keep an idle connection: they close first, so no request meets a closing one.
        keepAliveTimeout: 120_000,
      },
      listener,
    )
    server.on('upgrade', onUpgrade)
    server.on('tlsClientError', (thrown) => log.debug('TLS handshake failed', {error: thrown.message}))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(target, resolve)
    })
    server.on('error', (thrown) => log.error('listener failed', {error: thrown.message}))
    servers.add(server)
    const address = server.address() as AddressInfo | null
    return address?.port ?? 0
  }

  async function close(): Promise<void> {
    const closing = [...servers].map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    )
    for (const server of servers) server.closeAllConnections()
    for (const socket of upgraded) socket.destroy()
    servers.clear()
    await Promise.all(closing)
  }

  return {listener, listen, close}
}

function target(request: IncomingMessage): {path: string; query: URLSearchParams} {
  const [path = '/', ...search] = (request.url ?? '/').split('?')
  return {path, query: new URLSearchParams(search.join('?'))}
}

function attributesOf(
  verb: string,
  path: string,
  route: ResourceRoute | undefined,
  query: URLSearchParams,
): Attributes {
  if (route === undefined) {
    return {verb, path, group: '', resource: '', subresource: '', namespace: '', name: ''}
  }
  const {row, subresource} = route
  // A list of the one object with a name is allowed to whoever may see that object.
  const name = route.name || (/^metadata\.name==?([^,]+)$/.exec(query.get('fieldSelector') ?? '')?.[1] ?? '')
  // A namespace is its own namespace to authorization rules, as in Kubernetes.
  const namespace = isCore(row, 'namespaces') ? name : route.namespace
  return {verb, path: '', group: row.group, resource: row.resource, subresource, namespace, name}
}

async function serve(
  context: ApiContext,
  gitVersion: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const {authorize, registry} = context
  const user = authenticate(request, (token) => tokenUser(context, token), authorize)
  const {path, query} = target(request)
  const method = request.method ?? 'GET'
  const route = parseResourcePath(registry, path)
  if (route === undefined) {
    checkAllowed(user, attributesOf(method.toLowerCase(), path, undefined, query), authorize)
    // The documents have no schemas: without this, kubectl would say that the resource does not exist.
    if (path.startsWith('/openapi') && /\bexplain\b/.test(String(request.headers['kubectl-command'])))
      throw notExplained()
    return serveFixed(registry, path, method, gitVersion, response)
  }
  const verb = verbOf(method, route, query)
  checkAllowed(user, attributesOf(verb, path, route, query), authorize)
  const {accept, 'user-agent': userAgent, 'content-type': given = ''} = request.headers
  const {contentType, body} = readable(given, await readBody(request))
  await serveResource(context, {verb, user, route, query, accept, userAgent, contentType, body}, response)
}

function tokenUser(context: ApiContext, token: string): User | undefined {
  const owner = context.tokens.owner(token)
  return owner !== undefined && isForApi(owner) ? owner.user : undefined
}

function serveFixed(
  registry: Registry,
  path: string,
  method: string,
  gitVersion: string,
  response: ServerResponse,
): void {
  const answer = fixedAnswer(registry.rows(), path, gitVersion)
  if (answer === undefined) throw unknownPath()
  if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed()
  response.writeHead(200, {'content-type': answer.contentType, 'cache-control': 'no-cache, private'})
  response.end(answer.body)
}

/** Protobuf becomes JSON at the door; anything else is text. */
function readable(contentType: string, bytes: Buffer): {readonly contentType: string; readonly body: string} {
  if (contentType.split(';')[0]?.trim() !== PROTOBUF || bytes.length === 0) {
    return {contentType, body: bytes.toString('utf8')}
  }
  return {contentType: 'application/json', body: JSON.stringify(decodeProtobuf(bytes))}
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  // Without destroyOnReturn the refusal below could not be sent any more.
  for await (const chunk of request.iterator({destroyOnReturn: false})) {
    bytes += (chunk as Buffer).length
    if (bytes > BODY_MAX_BYTES) {
      throw new StatusError(
        413,
        'RequestEntityTooLarge',
        `Request entity too large: limit is ${BODY_MAX_BYTES}`,
      )
    }
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
}

async function upgrade(
  context: ApiContext,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const {authorize, registry} = context
  const user = authenticate(request, (token) => tokenUser(context, token), authorize)
  const {path, query} = target(request)
  const route = parseResourcePath(registry, path)
  if (route === undefined) throw unknownPath()
  checkAllowed(
    user,
    attributesOf(verbOf(request.method ?? 'GET', route, query), path, route, query),
    authorize,
  )
  if (route.subresource !== 'portforward') throw methodNotAllowed()
  const protocols = request.headers['sec-websocket-protocol'] ?? ''
  if (/^SPDY/i.test(request.headers.upgrade ?? '') || /^SPDY/i.test(protocols)) {
    throw noSpdy()
  }
  await forwardUpgrade(context.store, context.dialNode, {...route, query}, request, socket, head)
}
