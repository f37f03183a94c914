// SPDX-License-Identifier: Apache-2.0
/** What an API server or the way to it answered, as errors that say what to do. */
import {
  DeniedError,
  EXIT,
  KmeshError,
  KubeStatusError,
  messageOf,
  type Phase,
  TimeoutError,
  UnreachableError,
} from '../errors.ts'
import type {ResourcePath} from '../ports.ts'

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete'

/** What a request does, for messages and for the rule that a 403 misses. */
export interface Intent {
  readonly verb: Verb
  /** Undefined for `/version`. */
  readonly path?: ResourcePath
}

export function describeIntent({verb, path}: Intent): string {
  if (path === undefined) return 'get /version'
  const resource = path.subresource ? `${path.resource}/${path.subresource}` : path.resource
  const name = path.name === undefined ? '' : ` ${path.name}`
  const where = path.namespace === undefined ? '' : ` in namespace ${path.namespace}`
  return `${verb} ${resource}${name}${where}`
}

/** An error for a status that is no success. `body` may be a Status object, or anything. */
export function statusError(status: number, body: string, intent: Intent): KubeStatusError {
  const parsed = parseStatus(body)
  const reason = parsed.reason ?? REASONS[status] ?? ''
  const said = parsed.message ?? (body.trim().slice(0, 300) || 'no reason given')
  const message = `cannot ${describeIntent(intent)}: ${said} (HTTP ${status})`
  if (status === 401) {
    const hints = ['the API server does not accept these credentials; check the user of the kubeconfig']
    return new DeniedError(status, reason, message, {hints})
  }
  if (status === 403) return new DeniedError(status, reason, message, {hints: ruleHints(intent)})
  return new KubeStatusError(status, reason, message, status === 409 ? {exitCode: EXIT.conflict} : {})
}

const REASONS: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
}

function parseStatus(body: string): {reason?: string; message?: string} {
  try {
    const {reason, message} = JSON.parse(body) as {reason?: unknown; message?: unknown}
    return {
      ...(typeof reason === 'string' && /^[A-Za-z]{1,60}$/.test(reason) ? {reason} : {}),
      ...(typeof message === 'string' && message !== '' ? {message: message.slice(0, 2000)} : {}),
    }
  } catch {
    return {} // A proxy in between answers HTML or text.
  }
}

/** The RBAC rule that is missing, ready to be pasted. */
export function ruleHints({verb, path}: Intent): string[] {
  if (path === undefined) return []
  const resource = path.subresource ? `${path.resource}/${path.subresource}` : path.resource
  // The verb of an upgrade differs between versions and paths of the API server.
  const verbs = path.subresource === 'portforward' ? '"get", "create"' : `"${verb}"`
  const kind = path.namespace === undefined ? 'ClusterRole' : `Role in namespace ${path.namespace}`
  return [
    [
      `this rule is missing (${kind}; deploy/rbac.yaml has all of them):`,
      `- apiGroups: ["${path.group}"]`,
      `  resources: ["${resource}"]`,
      `  verbs: [${verbs}]`,
    ].join('\n'),
  ]
}

/** Connect timeouts of undici and of the system. */
const TIMEOUT_CODES = new Set(['UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT'])

/** A failure below HTTP. Our own errors pass through; an answer that is too large says to what. */
export function transportError(error: unknown, phase: Phase, server: string, intent: Intent): KmeshError {
  if (error instanceof KmeshError && error.code === 'TooLarge') {
    const message = `cannot ${describeIntent(intent)} at ${server}: ${error.message}`
    return new UnreachableError(phase, message, {code: error.code})
  }
  if (error instanceof KmeshError) return error
  const code = codeOf(error)
  const where = `cannot ${describeIntent(intent)} at ${server}`
  if (TIMEOUT_CODES.has(code)) {
    return new TimeoutError(`${where}: no connection in time`, {
      phase: 'connect',
      exitCode: EXIT.failure,
      cause: error,
    })
  }
  const actual: Phase = CONNECT_CODES.test(code) ? 'connect' : phase
  const hints = /CERT|SIGNED|ISSUER|ALTNAME|VERIFY/.test(code)
    ? ["the API server's certificate is not trusted; check certificate-authority in the kubeconfig"]
    : []
  return new UnreachableError(
    actual,
    `${where}: ${code === '' ? messageOf(error) : describeCode(code, error)}`,
    {
      hints,
      cause: error,
    },
  )
}

const CONNECT_CODES =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|ENOENT|ERR_TLS|.*CERT.*|.*SIGNED.*|.*ISSUER.*|ERR_SSL.*)/

function describeCode(code: string, error: unknown): string {
  const message = messageOf(error)
  return message.includes(code) || message === '' ? message || code : `${message} (${code})`
}

/** The system's or undici's code, also behind an AggregateError or a cause. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  if (error instanceof AggregateError) return codeOf(error.errors[0])
  return error.cause === undefined ? '' : codeOf(error.cause)
}
