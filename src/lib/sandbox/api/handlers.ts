// SPDX-License-Identifier: Apache-2.0
/** What each verb does to what a path names. */
import type {ServerResponse} from 'node:http'
import {PROTOBUF} from '../../model/protobuf-bytes.ts'
import {type ApiContext, type ApiRequest, selected, send, sendObject, stored} from './exchange.ts'
import {serveLog} from './kubelet.ts'
import {pageOf} from './paging.ts'
import {messageOfKind} from './protobuf.ts'
import {isProtobufAsked, protobufItem, protobufList} from './protobuf-write.ts'
import {negotiate, renderList} from './represent.ts'
import {groupVersion} from './resource-row.ts'
import type {ResourceRoute} from './route.ts'
import {selection} from './selectors.ts'
import {badRequest, methodNotAllowed} from './status.ts'
import {serveWatch} from './watch.ts'
import {serveCreate, serveDelete, serveDeleteCollection, servePatch, serveUpdate} from './write-handlers.ts'

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
  const {verbs} = request.route.row
  if (handler === undefined || verbs?.includes(request.verb) === false) throw methodNotAllowed()
  await handler(context, request, response)
}

async function serveGet(context: ApiContext, request: ApiRequest, response: ServerResponse): Promise<void> {
  const {route, query} = request
  if (route.subresource === 'log') {
    return serveLog(context.store, context.dialNode, {...route, query}, response)
  }
  if (route.subresource === 'portforward') throw badRequest('Upgrade request required')
  if (['binding', 'finalize', 'token'].includes(route.subresource)) throw methodNotAllowed()
  sendObject(context, request, response, 200, stored(context, route))
}

function serveList(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route, query, accept} = request
  const {objects, metadata} = pageOf(context.store, route.row, selected(context, request), query)
  const {row} = route
  const bytes =
    row.custom === undefined && isProtobufAsked(accept) ? binaryItems(row.kind, objects) : undefined
  if (bytes === undefined) {
    send(response, 200, renderList(row, objects, metadata, negotiate(accept, query, context.clock.nowMs())))
  } else {
    const type = {kind: row.kind, apiVersion: groupVersion(row)}
    send(response, 200, protobufList(type, metadata, bytes), PROTOBUF)
  }
}

/** Undefined for a kind that is shown as JSON only. */
function binaryItems(kind: string, objects: readonly object[]): Buffer[] | undefined {
  if (messageOfKind(kind) === undefined) return undefined
  return objects.map((object) => protobufItem(kind, object)).filter((bytes) => bytes !== undefined)
}

function startWatch(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route, query, accept} = request
  if (route.name !== '') query.set('fieldSelector', `metadata.name=${route.name}`)
  const matches = selection(query, route.row, route.namespace)
  const as = negotiate(accept, query, context.clock.nowMs())
  serveWatch(context.store, context.clock, {row: route.row, query, matches, as}, response)
}
