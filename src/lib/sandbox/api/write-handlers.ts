// SPDX-License-Identifier: Apache-2.0
/** Handlers of the verbs that change something. */
import type {ServerResponse} from 'node:http'
import {definitionWarnings} from './custom-definition.ts'
import {checkedFields, decodeObject, parseJson} from './decode.ts'
import {type ApiContext, type ApiRequest, selected, send, sendObject, stored} from './exchange.ts'
import {managerName, timestamp} from './managed-fields.ts'
import type {StoredObject} from './object.ts'
import {applyPatch} from './patch.ts'
import {deleteObject, deleteOptions} from './remove.ts'
import {negotiate, renderList} from './represent.ts'
import {isCore} from './resource-row.ts'
import {reviewed} from './reviews.ts'
import {scaleOf, withBinding, withScale} from './scale.ts'
import {badRequest, methodNotAllowed, noServerSideApply, unsupportedMediaType} from './status.ts'
import {createObject, updateObject, type WriteContext} from './write.ts'

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

const VALIDATIONS = ['Ignore', 'Warn', 'Strict']

/** What the query's `fieldValidation` wants done with fields that Kubernetes does not have; the default is to warn. */
function unknownFields(request: ApiRequest, response: ServerResponse): (paths: readonly string[]) => void {
  const validation = request.query.get('fieldValidation') || 'Warn'
  if (!VALIDATIONS.includes(validation)) {
    throw badRequest(
      `fieldValidation: Unsupported value: "${validation}": supported values: ${VALIDATIONS.join(', ')}`,
    )
  }
  return (paths) => {
    const texts = paths.map((path) => `unknown field ${JSON.stringify(path)}`)
    if (validation === 'Strict') throw badRequest(`strict decoding error: ${texts.join(', ')}`)
    if (validation === 'Warn') warn(response, texts)
  }
}

/** A Warning header as kubectl prints it; header values hold plain text only. */
function warning(text: string): string {
  const plain = text.replace(/[^\x20-\x7e]/g, '?').slice(0, 300)
  return `299 - ${JSON.stringify(plain)}`
}

/** The body as JSON. @throws StatusError 400, 415 */
function jsonBody(request: ApiRequest): unknown {
  const type = request.contentType.split(';')[0]?.trim() ?? ''
  if (type === 'application/json' || type === '') return parseJson(request.body)
  throw unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: application/json, application/vnd.kubernetes.protobuf; got "${type}"`,
  )
}

export function serveCreate(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route} = request
  if (route.subresource === 'portforward') throw badRequest('Upgrade request required')
  if (route.subresource === 'binding') serveBinding(context, request, response)
  else if (route.subresource === 'token') serveToken(context, request, response)
  else if (route.name !== '' || (route.row.namespaced && route.namespace === '')) throw methodNotAllowed()
  else if (route.row.verbs !== undefined) serveReview(context, request, response)
  else {
    const body = decodeObject(route.row, jsonBody(request), unknownFields(request, response))
    const object = createObject(writeContext(context, request), route, body)
    if (route.row.resource === 'customresourcedefinitions') warn(response, definitionWarnings(object))
    sendObject(context, request, response, 201, object)
  }
}

function serveBinding(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route} = request
  const pod = stored(context, route)
  const bound = withBinding(route.row, pod, jsonBody(request), timestamp(context.clock.nowMs()))
  if (!writeContext(context, request).dryRun) context.store.put(route.row, {...bound, metadata: pod.metadata})
  const success = {kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201}
  send(response, 201, `${JSON.stringify(success)}\n`)
}

/** Adds Warning headers to those that are there. */
function warn(response: ServerResponse, texts: readonly string[]): void {
  const before = [response.getHeader('warning') ?? []].flat().map(String)
  if (texts.length > 0) response.setHeader('warning', [...before, ...texts.slice(0, 10).map(warning)])
}

function serveToken(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const account = stored(context, request.route)
  const asked = checkedFields('TokenRequest', jsonBody(request))
  send(response, 201, `${JSON.stringify(context.tokens.issue(account, asked))}\n`)
}

function serveReview(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {row, namespace} = request.route
  const review = decodeObject(row, jsonBody(request), unknownFields(request, response))
  send(response, 201, `${JSON.stringify(reviewed(context, request.user, namespace, review))}\n`)
}

const UPDATABLE = ['', 'status', 'scale', 'finalize']

export function serveUpdate(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route} = request
  if (route.name === '' || !UPDATABLE.includes(route.subresource)) throw methodNotAllowed()
  const old = stored(context, route)
  write(context, request, response, old, jsonBody(request))
}

export function servePatch(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route} = request
  if (route.name === '' || !UPDATABLE.includes(route.subresource)) throw methodNotAllowed()
  // Before the object is looked for: an apply may be meant to create it.
  if (request.contentType.startsWith('application/apply-patch')) throw noServerSideApply()
  const old = stored(context, route)
  const current = route.subresource === 'scale' ? scaleOf(old) : old
  if (route.row.custom !== undefined && request.contentType.startsWith('application/strategic-merge-patch'))
    throw unsupportedMediaType(
      'custom resources have no strategic merge patch; use application/merge-patch+json',
    )
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
  const next =
    route.subresource === 'scale'
      ? withScale(route.row, old, body)
      : decodeObject(route.row, body, unknownFields(request, response))
  sendObject(context, request, response, 200, updateObject(writeContext(context, request), route, old, next))
}

function optionsOf(request: ApiRequest): ReturnType<typeof deleteOptions> {
  return deleteOptions(request.query, request.body === '' ? undefined : jsonBody(request))
}

export function serveDelete(context: ApiContext, request: ApiRequest, response: ServerResponse): void {
  const {route} = request
  if (route.subresource !== '') throw methodNotAllowed()
  const object = stored(context, route)
  const {object: last, removed} = deleteObject(
    writeContext(context, request),
    route.row,
    object,
    optionsOf(request),
  )
  if (!removed || isCore(route.row, 'pods')) {
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

export function serveDeleteCollection(
  context: ApiContext,
  request: ApiRequest,
  response: ServerResponse,
): void {
  const {route, query, accept} = request
  const writing = writeContext(context, request)
  const options = optionsOf(request)
  if (route.row.namespaced && route.namespace === '') throw methodNotAllowed()
  const gone = selected(context, request).map(
    (object) => deleteObject(writing, route.row, object, options).object,
  )
  const as = negotiate(accept, query, context.clock.nowMs())
  send(response, 200, renderList(route.row, gone, {resourceVersion: String(context.store.version)}, as))
}
