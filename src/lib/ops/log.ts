// SPDX-License-Identifier: Apache-2.0
/** Log levels of daemons: list, read, change, read back. */
import {KmeshError} from '../errors.ts'
import {LOGGER_BPF, LOGGER_DEFAULT} from '../model/api.ts'
import {backendOf, memoryWarnings} from '../model/backend.ts'
import {type Dialect, versionText} from '../model/dialect.ts'
import {kernelRefusal} from '../model/kernel-text.ts'
import {
  hidesBpf,
  type LevelChange,
  type LevelChangeItem,
  type LogLevelItem,
  normalLevel,
} from '../model/log-level.ts'
import {compareText, type Report, type ReportError, type ReportWarning} from '../model/report.ts'
import type {Admin, LeaseFiles} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {type FoundDaemon, findDaemons} from './daemons.ts'
import {readDialect} from './dialect.ts'
import {fanOut, targetError} from './fan-out.ts'
import {checkLogger, dialectWarnings, isReadable, knownLoggers, levelItem, readLogger} from './log-daemon.ts'
import {type LevelKeeper, leftBehind} from './log-lease.ts'

/** Every logger of each daemon, or only `logger`; and what a killed kmeshctl left behind there. */
export async function readLevels(
  access: DaemonAccess,
  logger: string | undefined,
  leases: LeaseFiles,
): Promise<Report<LogLevelItem>> {
  const search = await findDaemons(access)
  const {signal} = access
  const {answers, errors, summary} = await fanOut(access, search, async (admin, daemon) => {
    const dialect = await readDialect(admin, signal)
    const known = await knownLoggers(admin, dialect, signal)
    if (logger !== undefined) checkLogger(logger, known, dialect)
    const names = logger === undefined ? known : [logger]
    const items: LogLevelItem[] = []
    for (const name of names)
      items.push(levelItem(daemon, name, await readLogger(admin, dialect, name, signal)))
    const warnings = dialectWarnings(daemon, dialect, names, logger === undefined)
    return {items, warnings, inMemory: backendOf(dialect.version) === 'memory'}
  })
  const items = answers.flatMap(({value}) => value.items)
  const hidden = answers.flatMap(({daemon, value}) => hiddenBpf(daemon, value.items, undefined))
  const told = answers.flatMap(({value}) => value.warnings)
  const warnings = [...told, ...leftBehind(access, leases, items), ...hidden, ...noBpfLines(answers)]
  return {kind: 'LogLevelList', summary, items, errors, warnings}
}

interface ChangeOutcome {
  readonly items: readonly LevelChangeItem[]
  readonly failures: readonly ReportError[]
  readonly warnings: readonly ReportWarning[]
  readonly inMemory: boolean
}

export interface ChangeOptions {
  /** The old level comes back after this time: by the daemon where it can, else by `keeper`. */
  readonly ttlSeconds: number | undefined
  /** Level to go back to where the daemon cannot tell the old one. */
  readonly revertTo: string | undefined
  readonly keeper: LevelKeeper
}

/**
 * Sets levels on each chosen daemon and reads each one back. All changes of a daemon are checked against what it
 * reports before the first is written. What `keeper` then holds has to be put back, also when this throws.
 */
export async function setLevels(
  access: DaemonAccess,
  changes: readonly LevelChange[],
  options: ChangeOptions,
): Promise<Report<LevelChangeItem>> {
  const search = await findDaemons(access)
  const {answers, errors, summary} = await fanOut(access, search, (admin, daemon) =>
    changeDaemon(access, admin, daemon, changes, options),
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
  options: ChangeOptions,
): Promise<ChangeOutcome> {
  const {signal} = access
  const dialect = await readDialect(admin, signal)
  const known = await knownLoggers(admin, dialect, signal)
  for (const {logger} of changes) {
    checkLogger(logger, known, dialect)
    if (options.ttlSeconds !== undefined) checkRevertible(dialect, logger, options)
  }
  const items: LevelChangeItem[] = []
  const failures: ReportError[] = []
  for (const change of changes) {
    const startMs = access.clock.monotonicMs()
    try {
      items.push(await changeLogger(access, {admin, daemon, dialect}, change, options))
    } catch (error) {
      signal.throwIfAborted()
      failures.push(targetError(error, daemon.target, access.clock.monotonicMs() - startMs))
    }
  }
  const loggers = items.map(({logger}) => logger)
  const warnings = [
    ...dialectWarnings(daemon, dialect, loggers, false),
    ...(await warnHiddenBpf(access, admin, dialect, daemon, items)),
  ]
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

interface Asked {
  readonly admin: Admin
  readonly daemon: FoundDaemon
  readonly dialect: Dialect
}

async function changeLogger(
  {signal}: DaemonAccess,
  {admin, daemon, dialect}: Asked,
  {logger, level}: LevelChange,
  {ttlSeconds, revertTo, keeper}: ChangeOptions,
): Promise<LevelChangeItem> {
  const before = await readLogger(admin, dialect, logger, signal)
  const previous = before === null ? null : normalLevel(before.level)
  const byDaemon = dialect.capabilities.includes('ttl')
  const set = async (ttl: number | undefined): Promise<string> => {
    try {
      return await admin.call('setLogger', {name: logger, level, ttlSeconds: ttl}, {signal})
    } catch (error) {
      throw kernelRefusal(error)
    }
  }
  let expiresAt: string | undefined
  if (ttlSeconds === undefined || byDaemon) {
    await set(ttlSeconds)
    keeper.forget(daemon.target, logger)
  } else {
    const wanted = {logger, level, previous: previous ?? revertTo ?? '', compare: previous !== null}
    expiresAt = (await keeper.hold(daemon.target, wanted, () => set(undefined))).expiresAt
  }
  const after = await readLogger(admin, dialect, logger, signal)
  if (after !== null && normalLevel(after.level) !== level) {
    throw new KmeshError(`logger '${logger}' was set to ${level} and reads ${after.level}`, {
      code: 'NotApplied',
    })
  }
  const read = levelItem(daemon, logger, after)
  const item = expiresAt === undefined ? read : {...read, lease: {expiresAt, keptBy: 'kmeshctl' as const}}
  if (ttlSeconds !== undefined && item.lease === null) {
    throw new KmeshError(
      `logger '${logger}' was set to ${level}, but the daemon shows no time at which it ends`,
      {code: 'LeaseMissing'},
    )
  }
  return {...item, result: previous === level ? 'unchanged' : 'set', previous}
}

/** @throws KmeshError `LevelUnreadable` */
function checkRevertible(dialect: Dialect, logger: string, {revertTo}: ChangeOptions): void {
  if (isReadable(dialect, logger) || revertTo !== undefined) return
  throw new KmeshError(
    `${versionText(dialect)} does not tell the level of logger '${logger}', so nobody knows what to put back`,
    {code: 'LevelUnreadable', hints: ['--revert-to LEVEL says it; then it is put back without comparing']},
  )
}

/** Needs the level of `default`, which a change of `bpf` alone does not read. */
async function warnHiddenBpf(
  {signal}: DaemonAccess,
  admin: Admin,
  dialect: Dialect,
  daemon: FoundDaemon,
  items: readonly LevelChangeItem[],
): Promise<ReportWarning[]> {
  if (!items.some(({logger}) => logger === LOGGER_BPF)) return []
  return hiddenBpf(daemon, items, (await readLogger(admin, dialect, LOGGER_DEFAULT, signal))?.level)
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
      message: `BPF lines come out at info, and logger 'default' is at ${normalLevel(level ?? '')}: they are not shown`,
      node: target.node,
      pod: target.pod?.name ?? null,
    },
  ]
}
