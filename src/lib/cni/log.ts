// SPDX-License-Identifier: Apache-2.0
import type {Clock, Log, LogFields} from '../ports.ts'
import type {LogThreshold} from './config.ts'

/** What a runtime or an agent sent is cut to this. */
const MAX_TEXT = 1000
const MAX_LINE = 8000
const ORDER = ['error', 'warn', 'info', 'debug', 'trace'] as const

/** Lines of JSON: time, level, message and what they are about; control characters are escaped. */
export function createLineLog(clock: Clock, threshold: LogThreshold, write: (line: string) => void): Log {
  const at =
    (level: (typeof ORDER)[number]) =>
    (message: string, fields: LogFields = {}): void => {
      if (ORDER.indexOf(level) > ORDER.indexOf(threshold)) return
      write(lineOf(clock.nowMs(), level, message, fields))
    }
  return {trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error')}
}

function lineOf(nowMs: number, level: string, message: string, fields: LogFields): string {
  const line = {time: new Date(nowMs).toISOString(), level, message, ...fields}
  const text = JSON.stringify(line, (_key, value: unknown) =>
    typeof value === 'string' && value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}...` : value,
  )
  // DEL, C1 controls, line and direction marks: JSON leaves them, terminals act on them.
  const safe = text.replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return `${safe.slice(0, MAX_LINE)}\n`
}
