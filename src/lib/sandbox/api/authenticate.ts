// SPDX-License-Identifier: Apache-2.0
/** Who asks: the subject of the client certificate, or whom a master asks to be taken for. */
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

/** @throws StatusError 401 without a certificate of our authority, 403 where impersonation is not allowed */
export function authenticate(request: IncomingMessage): User {
  const user = certificateUser(request.socket as TLSSocket)
  const name = request.headers['impersonate-user']
  if (name === undefined) return user
  if (!user.groups.includes(MASTERS)) {
    throw new StatusError(
      403,
      'Forbidden',
      `users "${String(name)}" is forbidden: User "${user.name}" cannot impersonate resource "users" in API group "" at the cluster scope`,
    )
  }
  const groups = request.headersDistinct['impersonate-group'] ?? []
  return {name: String(name), groups: [...groups, AUTHENTICATED]}
}

function certificateUser(socket: TLSSocket): User {
  // `authorized` is OpenSSL's verdict against our authority, made for use by a client.
  if (!socket.authorized) throw new StatusError(401, 'Unauthorized', 'Unauthorized')
  const {subject} = socket.getPeerCertificate()
  const name = [subject?.CN ?? []].flat()[0]
  if (name === undefined || name === '') throw new StatusError(401, 'Unauthorized', 'Unauthorized')
  return {name, groups: [...[subject.O ?? []].flat(), AUTHENTICATED]}
}

/** @throws StatusError 403 */
export function checkAllowed(user: User, attributes: Attributes, authorize: Authorize): void {
  if (user.groups.includes(MASTERS)) return
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
