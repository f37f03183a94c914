// SPDX-License-Identifier: Apache-2.0
/**
 * From the maps of an earlier version to those of this one, while the earlier programs serve. New maps are made in
 * `map_next` and filled; `map_next` is renamed to `map_ready`, from where on every start goes forward; the links get
 * the new programs, each in one step; the new pins take the place of the old ones. A crash before the rename leaves
 * the old data plane as it was, and one after it leaves what `settleInterrupted` completes.
 */
import {messageOf} from '../errors.ts'
import {MANAGE} from '../model/maps.ts'
import type {Bpf, BpfLoadRequest, BpfLoadResult, BpfMap, Clock, Log, PinTree} from '../ports.ts'
import {carry, carryLate, checkCarry, isCarried, keysOf} from './carry.ts'
import {isRouting} from './map-layouts.ts'
import {mapFolder, mapPin} from './pin-names.ts'

const RETRY_MS = 10_000

export interface MigrationParts {
  readonly bpf: Bpf
  readonly pins: PinTree
  readonly log: Log
  readonly clock: Clock
}

export interface MigrationPlan {
  readonly bpfFsPath: string
  /** With the pins of `map`, as a load without migration would have it. */
  readonly request: BpfLoadRequest
  /** Map -> why it is replaced. */
  readonly changes: ReadonlyMap<string, string>
}

/** What an earlier start did not end: forward where the new maps were complete, back where they were not. */
export function settleInterrupted({bpf, pins, log}: Omit<MigrationParts, 'clock'>, bpfFsPath: string): void {
  const next = mapFolder(bpfFsPath, 'map_next')
  if (pins.list(next).length > 0) log.warn(`${next} is half done by an earlier start: removed`)
  pins.remove(next)
  const ready = mapFolder(bpfFsPath, 'map_ready')
  const names = pins.list(ready).map((pin) => pin.slice(ready.length + 1))
  if (names.length > 0)
    log.warn(`an earlier start was ended while it replaced maps: completing that`, {maps: names})
  for (const name of names) {
    if (name === MANAGE.name) adoptLate(bpf, bpfFsPath)
    pins.rename(mapPin(bpfFsPath, name, 'map_ready'), mapPin(bpfFsPath, name))
  }
  pins.remove(ready)
}

/** Programs of before may have enrolled pods since; nobody else has told the new map. */
function adoptLate(bpf: Bpf, bpfFsPath: string): void {
  using next = bpf.openPinned(mapPin(bpfFsPath, MANAGE.name, 'map_ready'))
  using old = bpf.openPinned(mapPin(bpfFsPath, MANAGE.name))
  if (old.info.keyBytes === next.info.keyBytes) carryLate(old, next, keysOf(next))
}

export class Migration {
  readonly #parts: MigrationParts
  readonly #plan: MigrationPlan
  readonly #onDone: () => void
  #isDone = false
  #isStopped = false
  #problem: string | undefined

  private constructor(parts: MigrationParts, plan: MigrationPlan, onDone: () => void) {
    this.#parts = parts
    this.#plan = plan
    this.#onDone = onDone
  }

  /**
   * Makes the new maps, with all that is carried over. The old programs go on with the old ones.
   * @param onDone - when the new programs run; called once
   * @throws LayoutError where something cannot be carried, KernelError; then everything is as it was
   */
  static stage(parts: MigrationParts, plan: MigrationPlan, onDone: () => void): Migration {
    const {bpf, log} = parts
    const migration = new Migration(parts, plan, onDone)
    migration.#checkCarried()
    for (const [map, why] of plan.changes) log.info(`map ${map} is replaced: ${why}`)
    bpf.load({...plan.request, mapPins: migration.#mapPins('map_next'), attachments: []})
    try {
      migration.#carryAll()
    } catch (error) {
      parts.pins.remove(mapFolder(plan.bpfFsPath, 'map_next'))
      throw error
    }
    return migration
  }

  get isDone(): boolean {
    return this.#isDone
  }

  /** False where the new maps are complete without the cluster. */
  get needsCluster(): boolean {
    return [...this.#plan.changes.keys()].some(isRouting)
  }

  /** Where the map of that name is now. */
  pinOf(map: string): string {
    const isNext = !this.#isDone && this.#plan.changes.has(map)
    return mapPin(this.#plan.bpfFsPath, map, isNext ? 'map_next' : 'map')
  }

  problems(): readonly string[] {
    if (this.#isDone) return []
    return [this.#problem ?? 'the programs of an earlier version serve until the new maps hold the cluster']
  }

  stop(): void {
    this.#isStopped = true
  }

  /** The new maps are full: tries until the new programs run. What fails is said and kept for the report. */
  complete(): void {
    if (this.#isDone || this.#isStopped) return
    try {
      this.swap()
    } catch (error) {
      this.#problem = `the programs still use the maps of an earlier version: ${messageOf(error)}`
      this.#parts.log.error(`${this.#problem}; trying again in ${RETRY_MS / 1000} s`)
      this.#parts.clock.after(RETRY_MS, () => this.complete())
    }
  }

  /** @throws KernelError; then the old programs run on the old maps, and it can be tried again */
  swap(): BpfLoadResult {
    const {bpf, pins, log} = this.#parts
    const {bpfFsPath, request, changes} = this.#plan
    const known = this.#carryAll()
    const [next, ready] = [mapFolder(bpfFsPath, 'map_next'), mapFolder(bpfFsPath, 'map_ready')]
    pins.rename(next, ready)
    let result: BpfLoadResult
    try {
      result = bpf.load({...request, mapPins: this.#mapPins('map_ready')})
    } catch (error) {
      pins.rename(ready, next)
      throw error
    }
    this.#carryLast(known)
    for (const name of changes.keys())
      pins.rename(mapPin(bpfFsPath, name, 'map_ready'), mapPin(bpfFsPath, name))
    pins.remove(ready)
    this.#isDone = true
    this.#onDone()
    log.info(`the programs of this version run on their own maps`, {replaced: [...changes.keys()].join()})
    return result
  }

  #mapPins(folder: 'map_next' | 'map_ready'): Record<string, string> {
    const {request, changes, bpfFsPath} = this.#plan
    return Object.fromEntries(
      Object.entries(request.mapPins).map(([name, pin]) => [
        name,
        changes.has(name) ? mapPin(bpfFsPath, name, folder) : pin,
      ]),
    )
  }

  #checkCarried(): void {
    const layouts = new Map(
      this.#parts.bpf.layouts(this.#plan.request.objectFile).map((one) => [one.name, one]),
    )
    for (const name of this.#carried()) {
      using old = this.#open(name, 'map')
      const needed = layouts.get(name)
      if (needed !== undefined) checkCarry(name, old, needed)
    }
  }

  #carryAll(): ReadonlySet<string> {
    let cookies: ReadonlySet<string> = new Set()
    for (const name of this.#carried()) {
      using old = this.#open(name, 'map')
      using next = this.#open(name, 'map_next')
      const keys = carry(name, old, next)
      if (name === MANAGE.name) cookies = keys
    }
    return cookies
  }

  /** A program of before may have enrolled a pod while its successor was put in. */
  #carryLast(known: ReadonlySet<string>): void {
    if (!this.#plan.changes.has(MANAGE.name)) return
    using old = this.#open(MANAGE.name, 'map')
    using next = this.#open(MANAGE.name, 'map_ready')
    carryLate(old, next, known)
  }

  #carried(): string[] {
    return [...this.#plan.changes.keys()].filter(isCarried)
  }

  #open(name: string, folder: 'map' | 'map_next' | 'map_ready'): BpfMap {
    return this.#parts.bpf.openPinned(mapPin(this.#plan.bpfFsPath, name, folder))
  }
}
