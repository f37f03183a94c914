// SPDX-License-Identifier: Apache-2.0
/** Rows of the endpoint registry as HTTP, and answers back. */
import {DaemonError, type KmeshErrorOptions, UnreachableError} from '../errors.ts'
import {ENDPOINTS, type EndpointName, type ErrorReply, type ReadyReply} from '../model/api.ts'
import {checkReply} from '../model/api-check.ts'

export interface WireRequest {
  readonly method: 'GET' | 'POST' | 'HEAD'
  readonly path: string
  readonly body: string | undefined
  /** Limit of the answer, and of an error's text. */
  readonly maxBytes: number
}

const SMALL_BYTES = 1024 * 1024
const DUMP_BYTES = 64 * 1024 * 1024
const DUMPS: ReadonlySet<EndpointName> = new Set(['configDump', 'bpfDump', 'enrollment'])

export function requestOf(endpoint: EndpointName, params: object): WireRequest {
  const row = ENDPOINTS[endpoint]
  const values = params as Readonly<Record<string, unknown>>
  const template = row.elsewhere && typeof values['path'] === 'string' ? values['path'] : row.path
  const path = template.replace(/\{(\w+)\}/g, (_match, name: string) =>
    encodeURIComponent(String(values[name])),
  )
  const query = new URLSearchParams(present(row.query, values).map(([name, value]) => [name, String(value)]))
  const body =
    row.body.length === 0 ? undefined : JSON.stringify(Object.fromEntries(present(row.body, values)))
  return {
    method: row.method,
    path: query.size === 0 ? path : `${path}?${query}`,
    body,
    maxBytes: DUMPS.has(endpoint) ? DUMP_BYTES : SMALL_BYTES,
  }
}

function present(names: readonly string[], values: Readonly<Record<string, unknown>>): [string, unknown][] {
  return names.filter((name) => values[name] !== undefined).map((name) => [name, values[name]])
}

/** @throws UnreachableError `decode`. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const start = JSON.stringify(text.slice(0, 40))
    throw new UnreachableError('decode', `the answer is no JSON, it begins with ${start}`, {
      code: 'BadAnswer',
      cause: error,
    })
  }
}

/** Our agent answers 200 or 503 with its checks; Go daemons answer the text `OK`. */
export function readyReply(status: number, text: string): ReadyReply {
  if (status === 200 && text.trim() === 'OK') return {ready: true, checks: []}
  if (status !== 200 && status !== 503) throw daemonError(status, text)
  const reply = parseJson(text)
  checkReply('ready', reply)
  return reply as ReadyReply
}

/** The daemon's own code and parameter, where it gave some. */
export function daemonError(status: number, text: string): DaemonError {
  const {code, message, parameter} = errorOf(text)
  const options: KmeshErrorOptions = {
    ...(code === undefined ? {} : {code}),
    ...(parameter === undefined ? {} : {parameter}),
  }
  const said = message ?? text.trim().slice(0, 300)
  return new DaemonError(status, `the daemon answered ${status}${said === '' ? '' : `: ${said}`}`, options)
}

function errorOf(text: string): {code?: string; message?: string; parameter?: string} {
  try {
    const {error} = JSON.parse(text) as Partial<ErrorReply>
    if (typeof error?.code !== 'string' || typeof error.message !== 'string') return {}
    if (!/^[A-Za-z][A-Za-z0-9]{0,59}$/.test(error.code)) return {message: error.message.slice(0, 1000)}
    const parameter = typeof error.parameter === 'string' ? {parameter: error.parameter} : {}
    return {code: error.code, message: error.message.slice(0, 1000), ...parameter}
  } catch {
    return {} // Go daemons answer text.
  }
}
