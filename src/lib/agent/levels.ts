// SPDX-License-Identifier: Apache-2.0
/**
 * Levels of all loggers, those of the agent and that of the BPF programs, and their leases: a level set for a
 * time goes back by itself. A lease is on disk before the level changes and leaves it after the level went
 * back, so a crash at any point ends with the old level.
 */
import {KmeshError, messageOf} from '../errors.ts'
import {LOGGER_BPF, type LoggerReply} from '../model/api.ts'
import {decode, encode} from '../model/codec.ts'
import {BPF_LEVELS, type BpfLevel} from '../model/map-fields.ts'
import {GLOBALS} from '../model/maps.ts'
import type {BpfMap, Clock, Log, StateFiles} from '../ports.ts'
import {parseLogLevel} from './log-format.ts'
import type {Loggers} from './loggers.ts'

export const LEASE_FILE = 'log-leases.json'
export const SETTINGS_FILE = 'log-levels.json'
const BPF_DEFAULT: BpfLevel = 'info'
/** A timer of Node ends at 2^31 ms. */
const LONGEST_WAIT_MS = 2_000_000_000
const RETRY_MS = 1000

interface Lease {
  readonly logger: string
  /** Null: the logger followed `default`. */
  readonly previous: string | null
  readonly level: string
  readonly expiresAtMs: number
  /** As it was given; a clock that is put back makes it no longer. Older agents did not write it. */
  readonly ttlMs?: number
}

export interface LevelParts {
  readonly loggers: Loggers
  /** The map `km_globals`. */
  readonly globals: BpfMap
  readonly files: StateFiles
  readonly clock: Clock
  readonly log: Log
  /** Keep levels of the agent's own loggers over a restart. */
  readonly persist: boolean
}

export class Levels {
  readonly #parts: LevelParts
  readonly #leases = new Map<string, Lease>()
  readonly #cancels = new Map<string, () => void>()

  /** Takes up what an earlier agent left: expired leases are reverted at once, running ones go on. */
  constructor(parts: LevelParts) {
    this.#parts = parts
    if (parts.persist) this.#adoptSettings()
    for (const lease of this.#readLeases()) {
      this.#leases.set(lease.logger, lease)
      if (this.#remainingMs(lease) > 0) this.#resume(lease)
      else this.#expire(lease.logger)
    }
  }

  names(): readonly string[] {
    return [...this.#parts.loggers.names(), LOGGER_BPF]
  }

  has(name: string): boolean {
    return this.names().includes(name)
  }

  /** @throws KernelError where the BPF level cannot be read */
  get(name: string): Required<LoggerReply> {
    const lease = this.#leases.get(name)
    return {
      name,
      level: this.#levelOf(name),
      default: name === LOGGER_BPF ? BPF_DEFAULT : this.#parts.loggers.initial,
      expiresAt: lease === undefined ? null : new Date(lease.expiresAtMs).toISOString(),
    }
  }

  /**
   * @param level - already checked by {@link normalLevel}
   * @param ttlMs - undefined sets it for good and ends a lease
   * @throws KernelError, or what the state directory gave: then the old level stays
   */
  set(name: string, level: string, ttlMs: number | undefined): void {
    if (ttlMs === undefined) {
      this.#apply(name, level)
      if (this.#leases.has(name)) this.#dropLease(name)
      this.#saveSettings()
      return
    }
    const previous = this.#leases.get(name)?.previous ?? this.#ownLevel(name)
    const lease = {logger: name, previous, level, expiresAtMs: this.#parts.clock.nowMs() + ttlMs, ttlMs}
    const before = this.#leases.get(name)
    this.#leases.set(name, lease)
    try {
      this.#saveLeases()
    } catch (error) {
      if (before === undefined) this.#leases.delete(name)
      else this.#leases.set(name, before)
      throw error
    }
    this.#schedule(lease, ttlMs)
    this.#apply(name, level)
  }

  #levelOf(name: string): string {
    const {loggers, globals} = this.#parts
    if (name !== LOGGER_BPF) return loggers.levelOf(name)
    const bytes = globals.lookup(encode(GLOBALS.key, {index: 0}))
    if (bytes === undefined) throw new KmeshError(`${GLOBALS.name} has no entry 0`, {code: 'Layout'})
    return decode(GLOBALS.value, bytes).bpfLogLevel
  }

  #ownLevel(name: string): string | null {
    return name === LOGGER_BPF ? this.#levelOf(name) : (this.#parts.loggers.ownLevel(name) ?? null)
  }

  #apply(name: string, level: string | null): void {
    const {loggers, globals} = this.#parts
    if (name !== LOGGER_BPF) {
      loggers.set(name, level === null ? undefined : parseLogLevel(level))
      return
    }
    globals.update(
      encode(GLOBALS.key, {index: 0}),
      encode(GLOBALS.value, {bpfLogLevel: level ?? BPF_DEFAULT}),
    )
  }

  #resume(lease: Lease): void {
    try {
      this.#apply(lease.logger, lease.level)
      this.#parts.log.info(`logger ${lease.logger} stays at ${lease.level} until its time is over`)
    } catch (error) {
      this.#parts.log.error(`cannot set logger ${lease.logger} to ${lease.level} again: ${messageOf(error)}`)
    }
    this.#schedule(lease, this.#remainingMs(lease))
  }

  /** By the wall clock, which is all that lasts over a restart. */
  #remainingMs({expiresAtMs, ttlMs = Number.POSITIVE_INFINITY}: Lease): number {
    return Math.min(expiresAtMs - this.#parts.clock.nowMs(), ttlMs)
  }

  /** While the agent runs, time is what the monotonic clock says: somebody may put the other one right. */
  #schedule(lease: Lease, remainingMs: number): void {
    this.#cancels.get(lease.logger)?.()
    const waitMs = Math.min(LONGEST_WAIT_MS, remainingMs)
    const onTime = () =>
      remainingMs > waitMs ? this.#schedule(lease, remainingMs - waitMs) : this.#expire(lease.logger)
    this.#cancels.set(lease.logger, this.#parts.clock.after(waitMs, onTime))
  }

  #expire(name: string): void {
    const lease = this.#leases.get(name)
    if (lease === undefined) return
    try {
      this.#apply(name, lease.previous)
      this.#dropLease(name)
      this.#parts.log.info(`logger ${name} went back to ${lease.previous ?? 'default'}: its time is over`)
    } catch (error) {
      this.#parts.log.error(`cannot put logger ${name} back to ${lease.previous}: ${messageOf(error)}`)
      const cancel = this.#parts.clock.after(RETRY_MS, () => this.#expire(name))
      this.#cancels.set(name, cancel)
    }
  }

  #dropLease(name: string): void {
    this.#cancels.get(name)?.()
    this.#cancels.delete(name)
    this.#leases.delete(name)
    this.#saveLeases()
  }

  #saveLeases(): void {
    this.#parts.files.write(LEASE_FILE, `${JSON.stringify([...this.#leases.values()], null, 2)}\n`)
  }

  #readLeases(): readonly Lease[] {
    const stored = this.#readJson(LEASE_FILE)
    if (stored === undefined) return []
    if (Array.isArray(stored)) return stored.filter((entry): entry is Lease => this.#isLease(entry))
    this.#keepAside(LEASE_FILE, 'it is no list')
    return []
  }

  /** Nobody knows any more which levels were to be put back: that is said, and the file stays to be looked at. */
  #keepAside(name: string, problem: string): void {
    const {files, log} = this.#parts
    const aside = `${name}.unreadable`
    files.write(aside, files.read(name) ?? '')
    const level = this.#ownLevel(LOGGER_BPF)
    log.error(
      `${name} is ignored and kept as ${aside}: ${problem}; levels stay as they are now, bpf is ${level}`,
    )
  }

  #isLease(entry: Partial<Lease> | null): boolean {
    const previous = entry?.previous
    const isKnown = typeof entry?.logger === 'string' && this.has(entry.logger)
    const isValid =
      isKnown &&
      typeof entry?.expiresAtMs === 'number' &&
      ['number', 'undefined'].includes(typeof entry.ttlMs) &&
      normalLevel(entry.logger ?? '', entry.level ?? '') !== undefined &&
      (previous === null || normalLevel(entry.logger ?? '', previous ?? '') !== undefined)
    if (!isValid) this.#parts.log.warn(`${LEASE_FILE}: ignored an entry that is no lease`)
    return isValid
  }

  #saveSettings(): void {
    const {persist, files, loggers} = this.#parts
    if (!persist) return
    // A lease ends; what the logger had before is what lasts.
    const lasting = (name: string) => {
      const lease = this.#leases.get(name)
      return lease === undefined ? loggers.ownLevel(name) : lease.previous
    }
    const own = loggers.names().map((name) => [name, lasting(name)])
    files.write(SETTINGS_FILE, `${JSON.stringify(Object.fromEntries(own), null, 2)}\n`)
  }

  #adoptSettings(): void {
    const stored = this.#readJson(SETTINGS_FILE)
    for (const [name, level] of Object.entries(stored ?? {})) {
      if (level !== null && this.#parts.loggers.has(name))
        this.#parts.loggers.set(name, parseLogLevel(String(level)))
    }
  }

  #readJson(name: string): unknown {
    const text = this.#parts.files.read(name)
    if (text === undefined) return undefined
    try {
      return JSON.parse(text)
    } catch (error) {
      this.#keepAside(name, messageOf(error))
      return undefined
    }
  }
}

/**
 * The level as the logger names it; undefined where it does not know it. `bpf` takes `0` to `3` and its four
 * names in this case only, the others what logrus takes.
 */
export function normalLevel(logger: string, level: string): string | undefined {
  if (logger !== LOGGER_BPF) return parseLogLevel(level)
  return /^\d+$/.test(level) ? BPF_LEVELS[Number(level)] : BPF_LEVELS.find((name) => name === level)
}
