// SPDX-License-Identifier: Apache-2.0
/** What each verb does to what a path names. */
import type {ServerResponse} from 'node:http'
import type {Clock} from '../../ports.ts'
import type {ServiceRanges} from './addresses.ts'
import {decodeObject, parseJson} from './decode.ts'
import {type DialNode, serveLog} from './kubelet.ts'
import {managerName, timestamp} from './managed-fields.ts'
import type {StoredObject} from './object.ts'
import {applyPatch} from './patch.ts'
import {deleteObject, deleteOptions} from './remove.ts'
import {negotiate, renderList, renderObject} from './represent.ts'
import type {ResourceRoute} from './route.ts'
import {scaleOf, withBinding, withScale} from './scale.ts'
import {selection} from './selectors.ts'
import {badRequest, methodNotAllowed, notFound, unsupportedMediaType} from './status.ts'
import type {Store} from './store.ts'
import {storeKey} from './store.ts'
import {serveWatch} from './watch.ts'
import {createObject, updateObject, type WriteContext} from './write.ts'

export interface ApiContext {
  readonly store: Store
  readonly ranges: ServiceRanges
  readonly clock: Clock
  readonly dialNode: DialNode
}

export interface ApiRequest {
  readonly verb: string
  readonly route: ResourceRoute
  readonly query: URLSearchParams
  readonly accept: string | undefined
  readonly userAgent: string | undefined
  readonly contentType: string
  readonly body: string
}

type Handler = (context: ApiContext, request: ApiRequest, response: ServerResponse) => void | Promise<void>

/** The verb of a request, as Kubernetes names it for authorization. */
export function verbOf(method: string, route: ResourceRoute, query: URLSearchParams): string {
  const isCollection = route.name === ''
  const watch = query.get('watch')
  if (method === 'GET' && watch !== null && watch !== 'false' && watch !== '0') return 'watch'
  if (method === 'GET' || method === 'HEAD') return isCollection ? 'list' : 'get'
  if (method === 'POST') return 'create'
  if (method === 'PUT') return 'update'
  if (method === 'PATCH') return 'patch'
  if (method === 'DELETE') return isCollection ? 'deletecollection' : 'delete'
  return method.toLowerCase()
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  get: serveGet,
  list: serveList,
  watch: startWatch,
  create: serveCreate,
  update: serveUpdate,
  patch: servePatch,
  delete: serveDelete,
  deletecollection: serveDeleteCollection,
}

/** @throws StatusError; nothing was written to `response` then */
export async function serveResource(
  context: ApiContext,
  request: ApiRequest,
  response: ServerResponse,
): Promise<void> {
  const handler = HANDLERS[request.verb]
  if (handler === undefined) throw methodNotAllowed()
  await handler(context, request, response)
}

function send(response: ServerResponse, code: number, json: string): void {
  response.writeHead(code, {'content-type': 'application/json', 'cache-control': 'no-cache, private'})
  response.end(json)
}

function stored(context: ApiContext, route: ResourceRoute): StoredObject {
  const object = context.store.get(route.row, route.namespace, route.name)
  if (object === undefined) throw notFound(route.row, route.name)
  return object
}

async function serveGet(context: ApiContext, request: ApiRequest, response: ServerResponse): Promise<void> {
  const {route, query} = request
  if (route.subresource === 'log') {
    return serveLog(context.store, context.dialNode, {...route, query}, response)
  }
  if (route.subresource === 'portforward') throw badRequest('Upgrade request required')
  if (route.subresource === 'binding' || route.subresource === 'finalize') throw methodNotAllowed()
  sendObject(context, request, response, 200, stored(context, route))
}

function sendObject(
  context: ApiContext,
  request: ApiRequest,
  response: ServerResponse,
  code: number,
  object: StoredObject,
): void {
  const {route, query, accept} = request
  if (route.subresource === 'scale') {
    send(response, code, `${JSON.stringify(scaleOf(object))}\n`)
    return
  }
  send(response, code, renderObject(route.row, object, negotiate(accept, query, context.clock.nowMs())))
}

function serveList(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route, query, accept} = request
  const as = negotiate(accept, query, context.clock.nowMs())
  send(response, 200, renderList(route.row, selected(context, request), context.store.version, as))
}

/** In the order of their keys, as Kubernetes lists. */
function selected(context: ApiContext, {route, query}: ApiRequest): StoredObject[] {
  const matches = selection(query, route.row, route.namespace)
  const found = [...context.store.values(route.row)].filter(matches)
  const keyed = found.map((object) => ({
    key: storeKey(object.metadata.namespace ?? '', object.metadata.name),
    object,
  }))
  return keyed.sort((left, right) => (left.key < right.key ? -1 : 1)).map(({object}) => object)
}

function startWatch(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route, query, accept} = request
  if (route.name !== '') query.set('fieldSelector', `metadata.name=${route.name}`)
  const matches = selection(query, route.row, route.namespace)
  const as = negotiate(accept, query, context.clock.nowMs())
  serveWatch(context.store, context.clock, {row: route.row, query, matches, as}, response)
}

function writeContext(context: ApiContext, request: ApiRequest): WriteContext {
  const {query, route} = request
  const dryRun = query.getAll('dryRun')
  if (dryRun.some((value) => value !== 'All')) {
    throw badRequest(`dryRun: Unsupported value: ${JSON.stringify(dryRun)}: supported values: "All"`)
  }
  return {
    store: context.store,
    ranges: context.ranges,
    dryRun: dryRun.length > 0,
    writer: {
      manager: managerName(query, request.userAgent),
      subresource: route.subresource,
      nowMs: context.clock.nowMs(),
    },
  }
}

/** The body as JSON. @throws StatusError 400, 415 */
function jsonBody(request: ApiRequest): unknown {
  const type = request.contentType.split(';')[0]?.trim() ?? ''
  if (type !== 'application/json' && type !== '') {
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: application/json; got "${type}"`,
    )
  }
  return parseJson(request.body)
}

function serveCreate(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route} = request
  const writing = writeContext(context, request)
  if (route.subresource === 'binding') {
    const pod = stored(context, route)
    const bound = withBinding(route.row, pod, jsonBody(request), timestamp(context.clock.nowMs()))
    if (!writing.dryRun) context.store.put(route.row, {...bound, metadata: pod.metadata})
    const success = {kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201}
    send(response, 201, `${JSON.stringify(success)}\n`)
    return
  }
  if (route.subresource === 'portforward') throw badRequest('Upgrade request required')
  if (route.name !== '' || (route.row.namespaced && route.namespace === '')) throw methodNotAllowed()
  const object = createObject(writing, route, decodeObject(route.row, jsonBody(request)))
  sendObject(context, request, response, 201, object)
}

const UPDATABLE = ['', 'status', 'scale', 'finalize']

function serveUpdate(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route} = request
  if (route.name === '' || !UPDATABLE.includes(route.subresource)) throw methodNotAllowed()
  const old = stored(context, route)
  write(context, request, response, old, jsonBody(request))
}

function servePatch(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route} = request
  if (route.name === '' || !UPDATABLE.includes(route.subresource)) throw methodNotAllowed()
  const old = stored(context, route)
  const current = route.subresource === 'scale' ? scaleOf(old) : old
  write(context, request, response, old, applyPatch(request.contentType, request.body, current))
}

function write(
  context: ApiContext,
  request: ApiRequest,
  response: ServerResponse,
  old: StoredObject,
  body: unknown,
): void {
  const {route} = request
  const next = route.subresource === 'scale' ? withScale(route.row, old, body) : decodeObject(route.row, body)
  sendObject(context, request, response, 200, updateObject(writeContext(context, request), route, old, next))
}

function optionsOf(request: ApiRequest): ReturnType<typeof deleteOptions> {
  return deleteOptions(request.query, request.body === '' ? undefined : jsonBody(request))
}

function serveDelete(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route} = request
  if (route.subresource !== '') throw methodNotAllowed()
  const object = stored(context, route)
  const {object: last, removed} = deleteObject(
    writeContext(context, request),
    route.row,
    object,
    optionsOf(request),
  )
  if (!removed || route.row.resource === 'pods') {
    sendObject(context, request, response, 200, last)
    return
  }
  const {name, uid} = last.metadata
  const details = {name, ...(route.row.group ? {group: route.row.group} : {}), kind: route.row.resource, uid}
  send(
    response,
    200,
    `${JSON.stringify({kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details})}\n`,
  )
}

function serveDeleteCollection(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route, query, accept} = request
  const writing = writeContext(context, request)
  const options = optionsOf(request)
  if (route.row.namespaced && route.namespace === '') throw methodNotAllowed()
  const gone = selected(context, request).map(
    (object) => deleteObject(writing, route.row, object, options).object,
  )
  const as = negotiate(accept, query, context.clock.nowMs())
  send(response, 200, renderList(route.row, gone, context.store.version, as))
}
