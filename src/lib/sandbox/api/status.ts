// SPDX-License-Identifier: Apache-2.0
/** Failures as Kubernetes words them: `Status` objects. */
import type {Fields} from './object.ts'

export interface StatusCause {
  readonly reason: string
  readonly message: string
  readonly field?: string
}

export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  readonly kind?: string
  readonly uid?: string
  readonly causes?: readonly StatusCause[]
  readonly retryAfterSeconds?: number
}

/** Group and plural of a resource, as messages name it. */
export interface ResourceName {
  readonly group: string
  readonly resource: string
}

/** A request that failed: becomes an HTTP answer with a Status body. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly code: number
  readonly reason: string
  readonly details: StatusDetails | undefined

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message)
    this.code = code
    this.reason = reason
    this.details = details
  }

  body(): Fields {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details ? {details: this.details} : {}),
      code: this.code,
    }
  }
}

/** Said where something of Kubernetes is not part of this server. */
export const SMALL_API_HINT =
  'the sandbox serves a small part of the Kubernetes API; run it with --control-plane for all of it'

export function notFound(resource: ResourceName, name: string): StatusError {
  return new StatusError(
    404,
    'NotFound',
    `${qualified(resource)} "${name}" not found`,
    details(resource, name),
  )
}

export function alreadyExists(resource: ResourceName, name: string): StatusError {
  const message = `${qualified(resource)} "${name}" already exists`
  return new StatusError(409, 'AlreadyExists', message, details(resource, name))
}

export function conflict(resource: ResourceName, name: string, cause?: string): StatusError {
  const why =
    cause ?? 'the object has been modified; please apply your changes to the latest version and try again'
  const message = `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`
  return new StatusError(409, 'Conflict', message, details(resource, name))
}

export function badRequest(message: string): StatusError {
  return new StatusError(400, 'BadRequest', message)
}

export function forbidden(
  resource: ResourceName,
  name: string,
  why: string,
  causes?: StatusCause[],
): StatusError {
  const subject = name ? `${qualified(resource)} "${name}"` : qualified(resource)
  const more = causes ? {causes} : {}
  return new StatusError(403, 'Forbidden', `${subject} is forbidden: ${why}`, {
    ...details(resource, name),
    ...more,
  })
}

/** `Pod "x" is invalid: ...` with one cause for each field. */
export function invalid(
  target: {readonly group: string; readonly kind: string},
  name: string,
  causes: readonly StatusCause[],
): StatusError {
  const lines = causes.map((cause) => (cause.field ? `${cause.field}: ${cause.message}` : cause.message))
  const list = lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`
  const subject = target.group ? `${target.kind}.${target.group}` : target.kind
  const about = {name, ...(target.group ? {group: target.group} : {}), kind: target.kind, causes}
  return new StatusError(422, 'Invalid', `${subject} "${name}" is invalid: ${list}`, about)
}

export function unknownPath(): StatusError {
  return new StatusError(
    404,
    'NotFound',
    `the server could not find the requested resource (${SMALL_API_HINT})`,
    {},
  )
}

export function methodNotAllowed(): StatusError {
  const message = `the server does not allow this method on the requested resource (${SMALL_API_HINT})`
  return new StatusError(405, 'MethodNotAllowed', message, {})
}

export function unsupportedMediaType(message: string): StatusError {
  return new StatusError(415, 'UnsupportedMediaType', `${message} (${SMALL_API_HINT})`)
}

export function notExplained(): StatusError {
  return new StatusError(501, 'NotImplemented', `explain has no schemas to show: ${SMALL_API_HINT}`)
}

export function noSpdy(): StatusError {
  const message = `port-forward over SPDY is not served, only over WebSocket as v4.channel.k8s.io: ${SMALL_API_HINT}`
  return new StatusError(400, 'BadRequest', message)
}

export function noServerSideApply(): StatusError {
  return new StatusError(415, 'UnsupportedMediaType', `server-side apply is not served: ${SMALL_API_HINT}`)
}

export function expired(asked: number, oldest: number): StatusError {
  return new StatusError(410, 'Expired', `too old resource version: ${asked} (${oldest})`)
}

/** Anything that was thrown, as a StatusError; what is not one is a bug or a broken body and becomes a 500. */
export function toStatusError(thrown: unknown): StatusError {
  if (thrown instanceof StatusError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new StatusError(500, 'InternalError', `Internal error occurred: ${message}`, {
    causes: [{reason: '', message}],
  })
}

function qualified(resource: ResourceName): string {
  return resource.group ? `${resource.resource}.${resource.group}` : resource.resource
}

function details(resource: ResourceName, name: string): StatusDetails {
  return {name, ...(resource.group ? {group: resource.group} : {}), kind: resource.resource}
}
