// SPDX-License-Identifier: Apache-2.0
/** What all handlers work with: one request, its object, its answer. */
import type {ServerResponse} from 'node:http'
import type {Clock} from '../../ports.ts'
import type {ServiceRanges} from './addresses.ts'
import type {Authorize, User} from './authenticate.ts'
import type {DialNode} from './kubelet.ts'
import {inVersion, type StoredObject} from './object.ts'
import {keyOf} from './paging.ts'
import type {Registry} from './registry.ts'
import {negotiate, renderObject} from './represent.ts'
import type {ResourceRoute} from './route.ts'
import {scaleOf} from './scale.ts'
import {selection} from './selectors.ts'
import {notFound} from './status.ts'
import type {Store} from './store.ts'
import type {Tokens} from './tokens.ts'

export interface ApiContext {
  readonly store: Store
  readonly ranges: ServiceRanges
  readonly clock: Clock
  readonly dialNode: DialNode
  readonly registry: Registry
  readonly tokens: Tokens
  readonly authorize: Authorize
}

export interface ApiRequest {
  readonly verb: string
  readonly user: User
  readonly route: ResourceRoute
  readonly query: URLSearchParams
  readonly accept: string | undefined
  readonly userAgent: string | undefined
  readonly contentType: string
  readonly body: string
}

export function send(
  response: ServerResponse,
  code: number,
  body: string | Buffer,
  contentType = 'application/json',
): void {
  response.writeHead(code, {'content-type': contentType, 'cache-control': 'no-cache, private'})
  response.end(body)
}

export function stored(context: ApiContext, route: ResourceRoute): StoredObject {
  const object = context.store.get(route.row, route.namespace, route.name)
  if (object === undefined) throw notFound(route.row, route.name)
  return inVersion(route.row, object)
}

export function sendObject(
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

/** In the order of their keys, as Kubernetes lists. */
export function selected(context: ApiContext, {route, query}: ApiRequest): StoredObject[] {
  const matches = selection(query, route.row, route.namespace)
  const found = [...context.store.values(route.row)].filter(matches)
  const keyed = found.map((object) => ({key: keyOf(object), object}))
  return keyed.sort((left, right) => (left.key < right.key ? -1 : 1)).map(({object}) => object)
}
