// SPDX-License-Identifier: Apache-2.0
/** `/debug/loggers` of every version (contracts 1.3 to 1.7). */
import type {Traits} from './dialects.ts'
import {goJson} from './dumps.ts'
import type {Answer} from './server.ts'

const LOGRUS = ['panic', 'fatal', 'error', 'warn', 'warning', 'info', 'debug', 'trace']
const BPF = ['error', 'warn', 'info', 'debug']

export function answerLoggers(
  traits: Traits,
  levels: Map<string, string>,
  method: string,
  name: string | null,
  body: string,
): Answer {
  if (method === 'GET') return read(traits, levels, name ?? '')
  if (method === 'POST') return write(levels, body)
  // Before v1.0: nothing but the status.
  return traits.age < 2 ? {status: 404, text: ''} : {status: 405, text: 'Method Not Allowed\n', plain: true}
}

function read(traits: Traits, levels: Map<string, string>, name: string): Answer {
  if (name === '' && traits.age > 0) return {status: 200, text: goJson(['default', 'fileOnly', 'bpf'])}
  const level = name === 'bpf' && traits.age === 0 ? undefined : levels.get(name)
  if (level === undefined) return {status: 400, text: `\tlogger ${name} does not exist\n`}
  return {status: 200, text: goJson({name, level})}
}

function write(levels: Map<string, string>, body: string): Answer {
  const bad = (why: string): Answer => ({status: 400, text: `\tInvalid request body format: ${why}\n`})
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return bad('unexpected end of JSON input')
  }
  if (Array.isArray(value)) return bad('json: cannot unmarshal array into Go value of type status.LoggerInfo')
  const fields = Object.fromEntries(
    Object.entries(value as object).map(([key, one]) => [key.toLowerCase(), one]),
  )
  const {name = '', level = ''} = fields as {name?: string; level?: string}
  if (name === 'bpf') {
    const index = /^[0-3]$/.test(level) ? Number(level) : BPF.indexOf(level)
    if (index < 0) return {status: 400, text: 'Invalid log level\n', plain: true}
    levels.set('bpf', BPF[index] ?? '')
    return {status: 200, text: `set BPF Log Level: ${index}\n`}
  }
  if (!LOGRUS.includes(level.toLowerCase())) return bad(`not a valid logrus Level: "${level}"`)
  if (!levels.has(name)) return {status: 400, text: `\tlogger ${name} does not exist\n`}
  // logrus reads `warn` and says `warning`.
  levels.set(name, level.toLowerCase() === 'warn' ? 'warning' : level.toLowerCase())
  return {status: 200, text: 'OK'}
}
