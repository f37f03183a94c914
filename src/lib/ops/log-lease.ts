// SPDX-License-Identifier: Apache-2.0
/** Levels for a time on daemons that cannot put them back by themselves: kmeshctl stays and does it. */
import {DaemonError, KmeshError} from '../errors.ts'
import type {DaemonTarget} from '../model/api.ts'
import {isLeaseOf, type LevelLease, revertCommand} from '../model/level-lease.ts'
import {type LogLevelItem, normalLevel} from '../model/log-level.ts'
import {type ReportError, type ReportWarning, reportErrorOf} from '../model/report.ts'
import type {Admin, LeaseFiles, StoredLease} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {mapConcurrent} from './enroll-concurrent.ts'

export interface HeldLevel {
  readonly target: DaemonTarget
  readonly lease: LevelLease
}

export interface LevelKeeper {
  readonly held: readonly HeldLevel[]
  /**
   * Sets the level once the lease is on disk.
   * @param previous - level before; of a lease that was left behind its own is taken instead
   * @throws KmeshError `LeaseHeld` while another kmeshctl holds one on this logger
   */
  hold(target: DaemonTarget, wanted: WantedLease, set: () => Promise<unknown>): Promise<LevelLease>
  /** A level that somebody sets for good ends what was left behind. */
  forget(target: DaemonTarget, logger: string): void
}

export interface WantedLease {
  readonly logger: string
  readonly level: string
  readonly previous: string
  readonly compare: boolean
}

export function createKeeper(access: DaemonAccess, files: LeaseFiles, expiresAt: string): LevelKeeper {
  const held: HeldLevel[] = []
  const server = serverOf(access)
  const find = (node: string, logger: string): StoredLease | undefined =>
    files.list().find((lease) => isLeaseOf(lease, server, node, logger))
  return {
    held,
    hold: async (target, {logger, level, previous, compare}, set) => {
      const found = find(target.node, logger)
      if (found?.isHeld) throw leaseHeld(found)
      // What is set now may be what a killed kmeshctl left: then its own level before counts.
      const revertTo = found !== undefined && found.level === previous ? found.revertTo : previous
      const lease = {server, node: target.node, logger, level, revertTo, compare, expiresAt}
      files.write(lease)
      held.push({target, lease})
      try {
        await set()
      } catch (error) {
        // The daemon said no: nothing was changed. Anything else may have been done.
        if (error instanceof DaemonError) {
          held.splice(
            held.findIndex((one) => one.lease === lease),
            1,
          )
          files.remove(lease)
        }
        throw error
      }
      return lease
    },
    forget: (target, logger) => {
      const found = find(target.node, logger)
      if (found !== undefined && !found.isHeld) files.remove(found)
    },
  }
}

function serverOf({kube, choice}: DaemonAccess): string {
  return choice.daemonUrl ?? kube?.server ?? ''
}

function leaseHeld({logger, expiresAt}: StoredLease): KmeshError {
  return new KmeshError(`another kmeshctl holds logger '${logger}' of this daemon until ${expiresAt}`, {
    code: 'LeaseHeld',
  })
}

export interface RevertOutcome {
  readonly lines: readonly string[]
  readonly errors: readonly ReportError[]
  readonly warnings: readonly ReportWarning[]
}

/** Puts every held level back, where it is still what was set. Works after the command was interrupted. */
export async function revertLevels(
  access: DaemonAccess,
  files: LeaseFiles,
  held: readonly HeldLevel[],
): Promise<RevertOutcome> {
  const outcome = {lines: [] as string[], errors: [] as ReportError[], warnings: [] as ReportWarning[]}
  await mapConcurrent([...held], access.concurrency, async ({target, lease}) => {
    const place = {node: target.node, pod: target.pod?.name ?? null}
    const admin = access.dialer.dial(target)
    try {
      const found = await revertOne(admin, lease)
      files.remove(lease)
      const how = lease.compare ? '' : ' without comparing'
      if (found === null) {
        const who = target.pod === null ? target.node : `node ${target.node}`
        outcome.lines.push(`${who}: logger '${lease.logger}' is back at ${lease.revertTo}${how}`)
      } else outcome.warnings.push({...place, code: 'ChangedElsewhere', message: changedText(lease, found)})
    } catch (error) {
      const entry = reportErrorOf(error, place)
      const hints = [`put it back: ${revertCommand(lease)}`]
      outcome.errors.push({
        ...entry,
        message: `${lease.logger} stays at ${lease.level}: ${entry.message}`,
        hints,
      })
    } finally {
      await admin.close()
    }
  })
  return outcome
}

function changedText({logger, level, revertTo}: LevelLease, found: string): string {
  return `logger '${logger}' was set to ${level} here and is ${found} now: left alone, not put back to ${revertTo}`
}

/** Compare and set. @returns the level that somebody else set; null when ours was put back */
async function revertOne(admin: Admin, lease: LevelLease): Promise<string | null> {
  const {logger: name, revertTo: level} = lease
  if (lease.compare) {
    const found = normalLevel((await admin.call('logger', {name})).level)
    if (found !== lease.level) return found
  }
  await admin.call('setLogger', {name, level})
  if (!lease.compare) return null
  const after = normalLevel((await admin.call('logger', {name})).level)
  if (after === level) return null
  throw new KmeshError(`it was set to ${level} and reads ${after}`, {code: 'NotApplied'})
}

/** What kmeshctl processes that were killed left on these daemons; what is not there any more is forgotten. */
export function leftBehind(
  access: DaemonAccess,
  files: LeaseFiles,
  items: readonly LogLevelItem[],
): ReportWarning[] {
  const server = serverOf(access)
  const leases = files.list().filter((lease) => !lease.isHeld && lease.server === server)
  return leases.flatMap((lease) => {
    const item = items.find(({node, logger}) => node === lease.node && logger === lease.logger)
    if (item === undefined) return []
    if (item.level !== null && item.level !== lease.level) {
      files.remove(lease)
      return []
    }
    const message = `logger '${lease.logger}' was set to ${lease.level} until ${lease.expiresAt} by a kmeshctl that ended before it put ${lease.revertTo} back; ${revertCommand(lease)}`
    return [{code: 'LeaseLeftBehind', message, node: item.node, pod: item.pod}]
  })
}
