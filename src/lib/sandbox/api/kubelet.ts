// SPDX-License-Identifier: Apache-2.0
/** Requests that the kubelet of the pod's node answers: port-forward and logs. */
import {request as httpRequest, type IncomingMessage, type ServerResponse} from 'node:http'
import type {Duplex} from 'node:stream'
import {messageOf} from '../../errors.ts'
import {arrayOf, fieldsOf, type StoredObject, textAt, textOf} from './object.ts'
import {resourceRow} from './resources.ts'
import {badRequest, notFound, StatusError} from './status.ts'
import type {Store} from './store.ts'

/** A stream to the kubelet of a node, ready for HTTP/1.1. Rejects where the node cannot be reached. */
export type DialNode = (nodeName: string) => Promise<Duplex>

/** Headers that are between the client and us. */
const OWN_HEADERS = ['host', 'authorization', 'impersonate-user', 'impersonate-group', 'impersonate-uid']

/** The pod and its node. @throws StatusError 400, 404 */
function podOnNode(store: Store, namespace: string, name: string): {pod: StoredObject; node: string} {
  const row = resourceRow('pods')
  const pod = store.get(row, namespace, name)
  if (pod === undefined) throw notFound(row, name)
  const node = textAt(pod, 'spec.nodeName')
  if (node === '') throw badRequest(`pod ${name} does not have a host assigned`)
  return {pod, node}
}

async function dial(dialNode: DialNode, node: string): Promise<Duplex> {
  try {
    return await dialNode(node)
  } catch (thrown) {
    const message = `error dialing backend: node ${node}: ${messageOf(thrown)}`
    throw new StatusError(500, 'InternalError', message, {causes: [{reason: '', message}]})
  }
}

/**
 * Hands an upgrade request on to `/portForward/{namespace}/{pod}` of the kubelet and then copies bytes both ways.
 * @throws StatusError before anything was written to `socket`
 */
export async function forwardUpgrade(
  store: Store,
  dialNode: DialNode,
  target: {readonly namespace: string; readonly name: string; readonly query: URLSearchParams},
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const {node} = podOnNode(store, target.namespace, target.name)
  const ports = (target.query.getAll('ports').join(',') || target.query.getAll('port').join(','))
    .split(',')
    .filter((port) => port !== '')
  if (ports.some((port) => !/^\d{1,5}$/.test(port)))
    throw badRequest(`ports: Invalid value: ${JSON.stringify(ports)}`)
  const stream = await dial(dialNode, node)
  if (socket.destroyed) {
    stream.destroy()
    return
  }
  const search = new URLSearchParams(ports.map((port) => ['port', port]))
  const path = `/portForward/${encodeURIComponent(target.namespace)}/${encodeURIComponent(target.name)}`
  const lines = [`${request.method} ${path}${ports.length > 0 ? `?${search}` : ''} HTTP/1.1`, `Host: ${node}`]
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? ''
    if (!OWN_HEADERS.includes(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[index + 1]}`)
  }
  stream.write(`${lines.join('\r\n')}\r\n\r\n`)
  if (head.length > 0) stream.write(head)
  join(socket, stream)
}

/** Copies both ways; the failure or the end of one side ends the other. */
function join(left: Duplex, right: Duplex): void {
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroy())
    from.pipe(to)
  }
}

/** Answers `pods/{name}/log` by the kubelet's `/containerLogs`. @throws StatusError before an answer began */
export async function serveLog(
  store: Store,
  dialNode: DialNode,
  target: {readonly namespace: string; readonly name: string; readonly query: URLSearchParams},
  response: ServerResponse,
): Promise<void> {
  const {pod, node} = podOnNode(store, target.namespace, target.name)
  checkLogOptions(target.query)
  const query = new URLSearchParams(target.query)
  const container = chosenContainer(pod, query.get('container') ?? '')
  query.delete('container')
  const stream = await dial(dialNode, node)
  const parts = [target.namespace, target.name, container].map(encodeURIComponent).join('/')
  await new Promise<void>((resolve, reject) => {
    const inner = httpRequest({
      createConnection: () => stream,
      host: node,
      path: `/containerLogs/${parts}?${query}`,
      headers: {connection: 'close'},
    })
    inner.on('error', (thrown) =>
      reject(new StatusError(500, 'InternalError', `error reading from node ${node}: ${messageOf(thrown)}`)),
    )
    inner.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 500, {
        'content-type': answer.headers['content-type'] ?? 'text/plain',
      })
      response.flushHeaders()
      answer.on('error', () => response.destroy())
      answer.pipe(response)
      resolve()
    })
    response.on('close', () => stream.destroy())
    inner.end()
  })
}

/** @throws StatusError 400 for what cannot be told from a file of plain output */
function checkLogOptions(query: URLSearchParams): void {
  for (const name of ['sinceSeconds', 'sinceTime', 'timestamps', 'previous']) {
    const value = query.get(name)
    if (value === null || value === 'false') continue
    throw badRequest(
      `${name} is not served: the sandbox keeps the output of a container's runs in one file, without times`,
    )
  }
}

function chosenContainer(pod: StoredObject, asked: string): string {
  const names = arrayOf(fieldsOf(pod.spec)['containers']).map((container) =>
    textOf(fieldsOf(container)['name']),
  )
  if (asked === '') {
    const byAnnotation = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container']
    if (byAnnotation !== undefined && names.includes(byAnnotation)) return byAnnotation
    if (names.length === 1) return names[0] ?? ''
    throw badRequest(
      `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(' ')}]`,
    )
  }
  if (names.includes(asked)) return asked
  throw badRequest(`container ${asked} is not valid for pod ${pod.metadata.name}`)
}
