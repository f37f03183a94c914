// SPDX-License-Identifier: Apache-2.0
/** Lines of the log as logrus' text formatter prints them, so that both daemons' logs read alike. */
import type {LogFields} from '../ports.ts'

export const LOG_LEVELS = ['panic', 'fatal', 'error', 'warning', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Undefined for a text that is no level. Any case; `warn` is `warning`. */
export function parseLogLevel(text: string): LogLevel | undefined {
  const name = text.toLowerCase() === 'warn' ? 'warning' : text.toLowerCase()
  return LOG_LEVELS.find((level) => level === name)
}

/** True where a logger at `threshold` prints lines of `level`. */
export function isLogged(level: LogLevel, threshold: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(threshold)
}

/** One line with its newline: `time="..." level=info msg="..." subsys=part key=value`. */
export function formatLine(
  timeMs: number,
  level: LogLevel,
  part: string,
  message: string,
  fields: LogFields = {},
): string {
  const time = new Date(Math.floor(timeMs / 1000) * 1000).toISOString().replace('.000Z', 'Z')
  const more = Object.entries(fields).map(([name, value]) => ` ${name}=${quote(String(value))}`)
  return `time="${time}" level=${level} msg=${quote(message)} subsys=${quote(part)}${more.join('')}\n`
}

/** Quoted where logrus would; control characters never reach a terminal. */
function quote(text: string): string {
  if (/^[A-Za-z0-9\-._/@^+]*$/.test(text)) return text
  const escaped = JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return escaped
}
