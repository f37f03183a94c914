// SPDX-License-Identifier: Apache-2.0
/** `/debug/loggers` as Go daemons speak it (contracts 1.3 to 1.7), with `ttlSeconds` of ours. */
import {messageOf} from '../errors.ts'
import {LOGGER_BPF} from '../model/api.ts'
import {BPF_LEVELS, type BpfLevel} from '../model/map-fields.ts'
import {
  type AdminRequest,
  type Answer,
  goJson,
  httpError,
  METHOD_NOT_ALLOWED,
  ownError,
  text,
} from './answer.ts'
import {type Levels, normalLevel} from './levels.ts'

/** A week: what lasts longer is set for good. */
const MAX_TTL_SECONDS = 7 * 24 * 3600

export function loggersRoute(levels: Levels) {
  return (request: AdminRequest): Answer | Promise<Answer> => {
    if (request.method === 'GET') return getLogger(levels, request.query.get('name') ?? '')
    if (request.method === 'POST') return setLogger(levels, request)
    return METHOD_NOT_ALLOWED
  }
}

function getLogger(levels: Levels, name: string): Answer {
  if (name === '') return text(200, goJson(levels.names(), 4))
  if (!levels.has(name)) return text(400, `\tlogger ${name} does not exist\n`)
  try {
    return text(200, goJson(levels.get(name), 4))
  } catch (error) {
    return httpError(500, `get log level error: ${messageOf(error)}`)
  }
}

async function setLogger(levels: Levels, request: AdminRequest): Promise<Answer> {
  let body: string
  try {
    body = await request.readBody()
  } catch (error) {
    return text(400, `\tError reading request body: ${messageOf(error)}\n`)
  }
  const wish = parseWish(body)
  if ('problem' in wish) return text(400, `\tInvalid request body format: ${wish.problem}\n`)
  const {name, level} = wish
  const normal = normalLevel(name, level)
  if (normal === undefined) {
    if (name === LOGGER_BPF) return httpError(400, 'Invalid log level')
    return text(400, `\tInvalid request body format: not a valid logrus Level: ${JSON.stringify(level)}\n`)
  }
  if (!levels.has(name)) return text(400, `\tlogger ${name} does not exist\n`)
  const ttl = wish.ttlSeconds
  if (ttl !== undefined && !(Number.isInteger(ttl) && Number(ttl) > 0 && Number(ttl) <= MAX_TTL_SECONDS)) {
    const message = `ttlSeconds must be a whole number from 1 to ${MAX_TTL_SECONDS}`
    return ownError(400, 'BadParameter', message, 'ttlSeconds')
  }
  return apply(levels, name, normal, ttl === undefined ? undefined : Number(ttl) * 1000)
}

function apply(levels: Levels, name: string, level: string, ttlMs: number | undefined): Answer {
  try {
    levels.set(name, level, ttlMs)
  } catch (error) {
    if (ttlMs !== undefined)
      return ownError(500, 'NotSet', `logger ${name} stays as it was: ${messageOf(error)}`)
    return httpError(name === LOGGER_BPF ? 400 : 500, `update ${name} log level error: ${messageOf(error)}`)
  }
  if (name !== LOGGER_BPF) return text(200, 'OK')
  return text(200, `set BPF Log Level: ${BPF_LEVELS.indexOf(level as BpfLevel)}\n`)
}

interface Wish {
  readonly name: string
  readonly level: string
  readonly ttlSeconds: unknown
}

/** As Go's encoding/json fills a struct: keys in any case, the last one wins, unknown ones are ignored. */
function parseWish(body: string): Wish | {readonly problem: string} {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch (error) {
    return {problem: syntaxProblem(body, messageOf(error))}
  }
  if (value === null) return {name: '', level: '', ttlSeconds: undefined}
  if (typeof value !== 'object' || Array.isArray(value)) {
    return {problem: `json: cannot unmarshal ${goKind(value)} into Go value of type status.LoggerInfo`}
  }
  const wish = {name: '', level: '', ttlSeconds: undefined as unknown}
  for (const [key, content] of Object.entries(value)) {
    const field = key.toLowerCase()
    if (field === 'ttlseconds') wish.ttlSeconds = content ?? undefined
    if ((field !== 'name' && field !== 'level') || content === null) continue
    if (typeof content !== 'string') {
      return {
        problem: `json: cannot unmarshal ${goKind(content)} into Go struct field LoggerInfo.${field} of type string`,
      }
    }
    wish[field] = content
  }
  return wish
}

function goKind(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

/** Go's two usual complaints; others keep our parser's words. */
function syntaxProblem(body: string, message: string): string {
  const isCut = /end of JSON input|Unterminated string|property name or '}' in JSON at position \d+/.test(
    message,
  )
  if (body.trim() === '' || (isCut && !/^\s*[^{["\d\-tfn]/.test(body))) return 'unexpected end of JSON input'
  const first = /^\s*([^{["\d\-tfn\s])/.exec(body)?.[1]
  return first === undefined ? message : `invalid character '${first}' looking for beginning of value`
}
