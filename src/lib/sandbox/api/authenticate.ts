// SPDX-License-Identifier: Apache-2.0
/** Who asks: the subject of the client certificate, a service account's token, or whom somebody asks to be taken for. */
import type {IncomingMessage} from 'node:http'
import type {TLSSocket} from 'node:tls'
import {StatusError} from './status.ts'

export interface User {
  readonly name: string
  readonly groups: readonly string[]
}

/** What a request would do, as authorization sees it. */
export interface Attributes {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  /** Set for requests that name no resource, such as `/version`. */
  readonly path: string
}

/** Undefined allows; a text refuses and says why (it may be empty). */
export type Authorize = (user: User, attributes: Attributes) => string | undefined

const MASTERS = 'system:masters'
const AUTHENTICATED = 'system:authenticated'

/** Who a bearer token stands for; undefined for a token that is not good here. */
export type TokenUser = (token: string) => User | undefined

/** @throws StatusError 401 without a certificate of our authority or a good token, 403 where impersonation is not allowed */
export function authenticate(request: IncomingMessage, tokenUser: TokenUser, authorize: Authorize): User {
  const user = certificateUser(request.socket as TLSSocket) ?? bearerUser(request, tokenUser)
  if (user === undefined) throw new StatusError(401, 'Unauthorized', 'Unauthorized')
  const name = request.headers['impersonate-user']
  if (name === undefined) return user
  return impersonated(user, String(name), request.headersDistinct['impersonate-group'] ?? [], authorize)
}

export function isMaster(user: User): boolean {
  return user.groups.includes(MASTERS)
}

/** Each name that is taken on needs a right of its own, as in Kubernetes. */
function impersonated(user: User, name: string, groups: readonly string[], authorize: Authorize): User {
  const check = (resource: string, namespace: string, what: string): void =>
    checkAllowed(
      user,
      {verb: 'impersonate', group: '', resource, subresource: '', namespace, name: what, path: ''},
      authorize,
    )
  const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name) ?? []
  if (namespace !== undefined && account !== undefined) check('serviceaccounts', namespace, account)
  else check('users', '', name)
  for (const group of groups) check('groups', '', group)
  const own =
    namespace === undefined || groups.length > 0
      ? groups
      : ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
  return {name, groups: [...new Set([...own, AUTHENTICATED])]}
}

function bearerUser(request: IncomingMessage, tokenUser: TokenUser): User | undefined {
  const [scheme = '', token = ''] = (request.headers.authorization ?? '').split(' ')
  return scheme.toLowerCase() === 'bearer' ? tokenUser(token) : undefined
}

/** Undefined without a certificate of ours. */
function certificateUser(socket: TLSSocket): User | undefined {
  // `authorized` is OpenSSL's verdict against our authority, made for use by a client.
  if (!socket.authorized) return undefined
  const {subject} = socket.getPeerCertificate()
  const name = [subject?.CN ?? []].flat()[0]
  if (name === undefined || name === '') return undefined
  return {name, groups: [...[subject.O ?? []].flat(), AUTHENTICATED]}
}

/** @throws StatusError 403 */
export function checkAllowed(user: User, attributes: Attributes, authorize: Authorize): void {
  if (isMaster(user)) return
  const why = authorize(user, attributes)
  if (why === undefined) return
  throw new StatusError(403, 'Forbidden', `${deniedText(user, attributes)}${why ? `: ${why}` : ''}`, {
    ...(attributes.name ? {name: attributes.name} : {}),
    ...(attributes.group ? {group: attributes.group} : {}),
    kind: attributes.resource,
  })
}

function deniedText(user: User, attributes: Attributes): string {
  const {verb, group, subresource, namespace, name, path} = attributes
  if (path) return `forbidden: User "${user.name}" cannot ${verb} path "${path}"`
  const resource = subresource ? `${attributes.resource}/${subresource}` : attributes.resource
  const qualified = group ? `${attributes.resource}.${group}` : attributes.resource
  const subject = name ? `${qualified} "${name}"` : qualified
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope'
  return `${subject} is forbidden: User "${user.name}" cannot ${verb} resource "${resource}" in API group "${group}" ${scope}`
}
