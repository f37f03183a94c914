// SPDX-License-Identifier: Apache-2.0
/** Log levels of daemons: list, read, change, read back. */
import {KmeshError} from '../errors.ts'
import {LOGGER_BPF, LOGGER_DEFAULT, type LoggerReply} from '../model/api.ts'
import {backendOf, memoryWarnings} from '../model/backend.ts'
import {type Dialect, versionText} from '../model/dialect.ts'
import {
  hidesBpf,
  type LevelChange,
  type LevelChangeItem,
  type LogLevelItem,
  normalLevel,
} from '../model/log-level.ts'
import {compareText, type Report, type ReportError, type ReportWarning} from '../model/report.ts'
import type {Admin} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {type FoundDaemon, findDaemons} from './daemons.ts'
import {readDialect} from './dialect.ts'
import {fanOut, targetError} from './fan-out.ts'

/** Every logger of each daemon, or only `logger`. */
export async function readLevels(
  access: DaemonAccess,
  logger: string | undefined,
): Promise<Report<LogLevelItem>> {
  const search = await findDaemons(access)
  const {answers, errors, summary} = await fanOut(access, search, async (admin, daemon) => {
    const {version} = await readDialect(admin, access.signal)
    const known = await admin.call('loggers', {}, {signal: access.signal})
    if (logger !== undefined) checkLogger(logger, known)
    const items: LogLevelItem[] = []
    for (const name of logger === undefined ? [...known].sort(compareText) : [logger]) {
      items.push(levelItem(daemon, await readLogger(admin, name, access.signal)))
    }
    return {items, inMemory: backendOf(version) === 'memory'}
  })
  const items = answers.flatMap(({value}) => value.items)
  const hidden = answers.flatMap(({daemon, value}) => hiddenBpf(daemon, value.items, undefined))
  const warnings = [...hidden, ...noBpfLines(answers)]
  return {kind: 'LogLevelList', summary, items, errors, warnings}
}

interface ChangeOutcome {
  readonly items: readonly LevelChangeItem[]
  readonly failures: readonly ReportError[]
  readonly warnings: readonly ReportWarning[]
  readonly inMemory: boolean
}

/**
 * Sets levels on each chosen daemon and reads each one back. All changes of a daemon are checked against what it
 * reports before the first is written.
 *
 * @param ttlSeconds - the daemon itself puts the old level back after this time.
 */
export async function setLevels(
  access: DaemonAccess,
  changes: readonly LevelChange[],
  ttlSeconds: number | undefined,
): Promise<Report<LevelChangeItem>> {
  const search = await findDaemons(access)
  const {answers, errors, summary} = await fanOut(access, search, (admin, daemon) =>
    changeDaemon(access, admin, daemon, changes, ttlSeconds),
  )
  const failures = answers.flatMap(({value}) => value.failures)
  const failedNodes = new Set(failures.map(({node}) => node)).size
  return {
    kind: 'LogLevelChangeList',
    summary: {...summary, ok: summary.ok - failedNodes, failed: summary.failed + failedNodes},
    items: answers.flatMap(({value}) => value.items),
    errors: [...errors, ...failures].sort((a, b) => compareText(a.node, b.node)),
    warnings: [...answers.flatMap(({value}) => value.warnings), ...noBpfLines(answers)],
  }
}

async function changeDaemon(
  access: DaemonAccess,
  admin: Admin,
  daemon: FoundDaemon,
  changes: readonly LevelChange[],
  ttlSeconds: number | undefined,
): Promise<ChangeOutcome> {
  const dialect = await readDialect(admin, access.signal)
  if (ttlSeconds !== undefined) checkLease(dialect)
  const known = await admin.call('loggers', {}, {signal: access.signal})
  for (const {logger} of changes) checkLogger(logger, known)
  const items: LevelChangeItem[] = []
  const failures: ReportError[] = []
  for (const change of changes) {
    const startMs = access.clock.monotonicMs()
    try {
      items.push(await changeLogger(access, admin, daemon, change, ttlSeconds))
    } catch (error) {
      access.signal.throwIfAborted()
      failures.push(targetError(error, daemon.target, access.clock.monotonicMs() - startMs))
    }
  }
  const warnings = await warnHiddenBpf(access, admin, daemon, items)
  return {items, failures, warnings, inMemory: backendOf(dialect.version) === 'memory'}
}

interface LevelAnswer {
  readonly daemon: FoundDaemon
  readonly value: {readonly items: readonly LogLevelItem[]; readonly inMemory: boolean}
}

/** The level of `bpf` can be set in memory too; lines come from programs in a kernel only. */
function noBpfLines(answers: readonly LevelAnswer[]): ReportWarning[] {
  const nodes = answers
    .filter(({value}) => value.inMemory && value.items.some(({logger}) => logger === LOGGER_BPF))
    .map(({daemon}) => daemon.target.node)
  return memoryWarnings(nodes, "no BPF program runs, so logger 'bpf' writes no lines at any level")
}

async function changeLogger(
  {signal}: DaemonAccess,
  admin: Admin,
  daemon: FoundDaemon,
  {logger, level}: LevelChange,
  ttlSeconds: number | undefined,
): Promise<LevelChangeItem> {
  const before = await readLogger(admin, logger, signal)
  await admin.call('setLogger', {name: logger, level, ttlSeconds}, {signal})
  const after = await readLogger(admin, logger, signal)
  if (normalLevel(after.level) !== level) {
    throw new KmeshError(`logger '${logger}' was set to ${level} and reads ${after.level}`, {
      code: 'NotApplied',
    })
  }
  const item = levelItem(daemon, after)
  if (ttlSeconds !== undefined && item.lease === null) {
    throw new KmeshError(
      `logger '${logger}' was set to ${level}, but the daemon shows no time at which it ends`,
      {
        code: 'LeaseMissing',
      },
    )
  }
  const previous = normalLevel(before.level)
  return {...item, result: previous === level ? 'unchanged' : 'set', previous}
}

async function readLogger(admin: Admin, name: string, signal: AbortSignal): Promise<LoggerReply> {
  return admin.call('logger', {name}, {signal})
}

function levelItem({target}: FoundDaemon, reply: LoggerReply): LogLevelItem {
  return {
    node: target.node,
    pod: target.pod?.name ?? null,
    logger: reply.name,
    level: normalLevel(reply.level),
    default: reply.default === undefined ? null : normalLevel(reply.default),
    lease: typeof reply.expiresAt === 'string' ? {expiresAt: reply.expiresAt} : null,
  }
}

function checkLease(dialect: Dialect): void {
  if (dialect.capabilities.includes('ttl')) return
  throw new KmeshError(`the daemon (${versionText(dialect)}) cannot put a level back by itself`, {
    code: 'LeaseUnsupported',
    hints: ['without --for the level stays until somebody sets it back'],
  })
}

function checkLogger(logger: string, known: readonly string[]): void {
  if (known.includes(logger)) return
  throw new KmeshError(`there is no logger '${logger}'`, {
    code: 'UnknownLogger',
    parameter: 'LOGGER',
    hints: [`loggers are ${[...known].sort(compareText).join(', ')}`],
  })
}

/** Needs the level of `default`, which a change of `bpf` alone does not read. */
async function warnHiddenBpf(
  {signal}: DaemonAccess,
  admin: Admin,
  daemon: FoundDaemon,
  items: readonly LevelChangeItem[],
): Promise<ReportWarning[]> {
  if (!items.some(({logger}) => logger === LOGGER_BPF)) return []
  return hiddenBpf(daemon, items, (await readLogger(admin, LOGGER_DEFAULT, signal)).level)
}

function hiddenBpf(
  {target}: FoundDaemon,
  items: readonly LogLevelItem[],
  defaultLevel: string | undefined,
): ReportWarning[] {
  const level = defaultLevel ?? items.find(({logger}) => logger === LOGGER_DEFAULT)?.level
  if (!items.some(({logger}) => logger === LOGGER_BPF) || !hidesBpf(level)) return []
  return [
    {
      code: 'DefaultHidesBpf',
      message: `BPF lines come out at info, and logger 'default' is at ${level}: they are not shown`,
      node: target.node,
      pod: target.pod?.name ?? null,
    },
  ]
}
