// SPDX-License-Identifier: Apache-2.0
/** Answers of the admin API, with the headers that a Go daemon's HTTP server would choose (contracts 1.1). */
import type {ErrorReply} from '../model/api.ts'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Pieces are sent as they come; a short body is sent with its length. */
  readonly body: string | AsyncIterable<string>
}

export interface AdminRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** @throws BodyTooLarge */
  readonly readBody: () => Promise<string>
}

export type Handler = (request: AdminRequest) => Answer | Promise<Answer>

const TEXT = {'Content-Type': 'text/plain; charset=utf-8'}

/** Plain text, also for JSON of the dialect: Go sniffs the type and takes JSON for text. */
export function text(status: number, body: string | AsyncIterable<string>): Answer {
  return {status, headers: TEXT, body}
}

/** What Go's `http.Error` sends. */
export function httpError(status: number, message: string): Answer {
  return {status, headers: {...TEXT, 'X-Content-Type-Options': 'nosniff'}, body: `${message}\n`}
}

export const METHOD_NOT_ALLOWED = httpError(405, 'Method Not Allowed')
export const NOT_FOUND = httpError(404, '404 page not found')

/** JSON of our own endpoints. */
export function json(value: unknown, status = 200): Answer {
  return {status, headers: {'Content-Type': 'application/json'}, body: `${goJson(value, 2)}\n`}
}

/** Error of our own endpoints. */
export function ownError(status: number, code: string, message: string, parameter?: string): Answer {
  const error = parameter === undefined ? {code, message} : {code, message, parameter}
  return json({error} satisfies ErrorReply, status)
}

export function lines(body: AsyncIterable<string>): Answer {
  return {status: 200, headers: {'Content-Type': 'application/x-ndjson'}, body}
}

/** Go's encoding/json: `<`, `>`, `&` and the two line separators are escaped. */
export function goJson(value: unknown, indent = 0): string {
  return escapeHtml(JSON.stringify(value, null, indent))
}

function escapeHtml(text: string): string {
  return text.replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Redirect of Go's mux to the cleaned path; undefined where the path is clean. */
export function redirect(method: string, path: string, search: string): Answer | undefined {
  const clean = cleanPath(path)
  if (clean === path || method === 'CONNECT') return undefined
  const location = `${clean}${search}`
  if (method !== 'GET' && method !== 'HEAD') return {status: 307, headers: {Location: location}, body: ''}
  const href = location.replaceAll('&', '&amp;').replaceAll('"', '&#34;').replaceAll("'", '&#39;')
  const shown = href.replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return {
    status: 307,
    headers: {'Content-Type': 'text/html; charset=utf-8', Location: location},
    body: `<a href="${shown}">Temporary Redirect</a>.\n\n`,
  }
}

/** Without `.`, `..` and empty parts; a slash at the end stays. */
function cleanPath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  const clean = `/${parts.join('/')}`
  return path.endsWith('/') && clean !== '/' ? `${clean}/` : clean
}
