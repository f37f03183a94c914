// SPDX-License-Identifier: Apache-2.0
/** Loggers of one daemon, as far as its dialect can tell them. */
import {DaemonError, KmeshError} from '../errors.ts'
import {LOGGER_BPF, type LoggerReply} from '../model/api.ts'
import {type Dialect, versionText} from '../model/dialect.ts'
import {type LogLevelItem, normalLevel} from '../model/log-level.ts'
import {compareText, type ReportWarning} from '../model/report.ts'
import type {Admin} from '../ports.ts'
import type {FoundDaemon} from './daemons.ts'

/** Sorted. Assumed where the daemon cannot list them. */
export async function knownLoggers(
  admin: Admin,
  {row}: Dialect,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (row.missing.includes('listLoggers')) return row.assumedLoggers
  return [...(await admin.call('loggers', {}, {signal}))].sort(compareText)
}

/** Does the daemon tell this logger's level? */
export function isReadable({row}: Dialect, logger: string): boolean {
  return logger !== LOGGER_BPF || !row.missing.includes('readBpfLevel')
}

/** @throws KmeshError `UnknownLogger` */
export function checkLogger(logger: string, known: readonly string[], {row}: Dialect): void {
  // Names that are only assumed refuse nothing: the daemon itself says what it does not have.
  if (known.includes(logger) || row.missing.includes('listLoggers')) return
  throw unknownLogger(logger, known)
}

function unknownLogger(logger: string, known: readonly string[]): KmeshError {
  return new KmeshError(`there is no logger '${logger}'`, {
    code: 'UnknownLogger',
    parameter: 'LOGGER',
    hints: [`loggers are ${known.join(', ')}`],
  })
}

/** Null where the daemon cannot tell this level. @throws KmeshError `UnknownLogger` */
export async function readLogger(
  admin: Admin,
  dialect: Dialect,
  name: string,
  signal: AbortSignal,
): Promise<LoggerReply | null> {
  if (!isReadable(dialect, name)) return null
  try {
    return await admin.call('logger', {name}, {signal})
  } catch (error) {
    const isUnknown =
      error instanceof DaemonError && error.status === 400 && /does not exist/.test(error.message)
    throw isUnknown ? unknownLogger(name, await knownLoggers(admin, dialect, signal)) : error
  }
}

/** @param reply - null: the level is not known */
export function levelItem({target}: FoundDaemon, logger: string, reply: LoggerReply | null): LogLevelItem {
  return {
    node: target.node,
    pod: target.pod?.name ?? null,
    logger: reply?.name ?? logger,
    level: reply === null ? null : normalLevel(reply.level),
    default: reply?.default === undefined ? null : normalLevel(reply.default),
    lease: typeof reply?.expiresAt === 'string' ? {expiresAt: reply.expiresAt, keptBy: 'daemon'} : null,
  }
}

/** What could not be told about these loggers, and why. */
export function dialectWarnings(
  {target}: FoundDaemon,
  dialect: Dialect,
  loggers: readonly string[],
  listed: boolean,
): ReportWarning[] {
  const place = {node: target.node, pod: target.pod?.name ?? null}
  const warnings: ReportWarning[] = []
  if (listed && dialect.row.missing.includes('listLoggers')) {
    const message = `${versionText(dialect)} cannot list loggers: ${dialect.row.assumedLoggers.join(', ')} are assumed`
    warnings.push({...place, code: 'LoggersAssumed', message})
  }
  if (loggers.some((logger) => !isReadable(dialect, logger))) {
    const message = `${versionText(dialect)} does not tell the level of logger '${LOGGER_BPF}'`
    warnings.push({...place, code: 'LevelUnreadable', message})
  }
  return warnings
}
