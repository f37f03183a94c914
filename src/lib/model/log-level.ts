// SPDX-License-Identifier: Apache-2.0
/** Log levels of daemons and of their BPF programs. */
import {UsageError} from '../errors.ts'
import {LOGGER_BPF, LOGGER_DEFAULT} from './api.ts'
import {BPF_LEVELS} from './map-fields.ts'

/** Quietest first. Names that Go daemons take (logrus), and ours. */
export const LOG_LEVELS = ['panic', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
const ALIASES: Readonly<Record<string, string>> = {warning: 'warn'}

export interface LevelChange {
  readonly logger: string
  readonly level: string
}

/** One logger of one daemon. Unknown is null. */
export interface LogLevelItem {
  readonly node: string
  readonly pod: string | null
  readonly logger: string
  readonly level: string | null
  /** Level of a logger that nobody changed. */
  readonly default: string | null
  readonly lease: {readonly expiresAt: string; readonly keptBy: 'daemon' | 'kmeshctl'} | null
}

/** What became of one change on one daemon. */
export interface LevelChangeItem extends LogLevelItem {
  /** `set`: it was another level, or nobody can tell. `unchanged`: it was that level before. */
  readonly result: 'set' | 'unchanged'
  readonly previous: string | null
}

/**
 * `debug` sets `default`, `bpf=debug` names the logger.
 *
 * @throws UsageError for a level that no daemon knows, an empty name, a logger named twice.
 */
export function parseLevelChanges(words: readonly string[]): LevelChange[] {
  const changes = words.map(parseChange)
  const twice = changes.find(
    (change, index) => changes.findIndex((other) => other.logger === change.logger) < index,
  )
  if (twice !== undefined)
    throw new UsageError(`logger '${twice.logger}' is given twice`, {parameter: 'LEVEL'})
  return changes
}

function parseChange(word: string): LevelChange {
  const separator = word.indexOf('=')
  const logger = separator < 0 ? LOGGER_DEFAULT : word.slice(0, separator)
  const typed = (separator < 0 ? word : word.slice(separator + 1)).toLowerCase()
  const level = ALIASES[typed] ?? typed
  if (logger === '') throw new UsageError(`'${word}' names no logger before '='`, {parameter: 'LEVEL'})
  const known: readonly string[] = logger === LOGGER_BPF ? BPF_LEVELS : LOG_LEVELS
  if (!known.includes(level)) {
    throw new UsageError(`'${typed}' is no level of logger '${logger}'`, {
      parameter: 'LEVEL',
      hints: [`levels are ${known.join(', ')}`],
    })
  }
  return {logger, level}
}

/** Level as daemons spell it on reading (`warning` of logrus is `warn`). */
export function normalLevel(level: string): string {
  const lower = level.toLowerCase()
  return ALIASES[lower] ?? lower
}

/** BPF lines come out at info under `default`: a quieter default hides them. */
export function hidesBpf(defaultLevel: string | null | undefined): boolean {
  if (defaultLevel === undefined || defaultLevel === null) return false
  const rank = (LOG_LEVELS as readonly string[]).indexOf(normalLevel(defaultLevel))
  return rank >= 0 && rank < LOG_LEVELS.indexOf('info')
}
