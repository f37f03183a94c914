// SPDX-License-Identifier: Apache-2.0
/** Ids of services and backends by name (contracts 4.9): stable while the entry lives, kept in one file. */
import {setImmediate} from 'node:timers/promises'
import {messageOf} from '../errors.ts'
import {fnv1a32} from '../model/ids.ts'
import type {Clock, Log, StateFiles} from '../ports.ts'

export const ID_FILE = 'hash_name.yaml'
/** Changes within this time go out in one write; a crash before it loses names only, the hash finds the same ids again. */
const WRITE_DELAY_MS = 250
/** A large table takes 0.1 s of work each time. */
const LARGE_TABLE = 10_000
const LARGE_WRITE_DELAY_MS = 5000
const CHUNK_NAMES = 2000

/** Both directions. Id 0 is reserved. */
export class IdTable {
  readonly #ids = new Map<string, number>()
  readonly #names = new Map<number, string>()
  readonly #onChange: () => void

  constructor(entries: Iterable<readonly [string, number]> = [], onChange: () => void = () => {}) {
    for (const [name, id] of entries) {
      if (id === 0 || this.#names.has(id) || this.#ids.has(name)) continue
      this.#ids.set(name, id)
      this.#names.set(id, name)
    }
    this.#onChange = onChange
  }

  get size(): number {
    return this.#ids.size
  }

  nameOf(id: number): string | undefined {
    return this.#names.get(id)
  }

  idOf(name: string): number | undefined {
    return this.#ids.get(name)
  }

  /** The id of the name, a new one where it has none: its hash, or the next free number. */
  assign(name: string): number {
    const known = this.#ids.get(name)
    if (known !== undefined) return known
    let id = fnv1a32(name)
    while (id === 0 || this.#names.has(id)) id = (id + 1) >>> 0
    this.#ids.set(name, id)
    this.#names.set(id, name)
    this.#onChange()
    return id
  }

  free(name: string): void {
    const id = this.#ids.get(name)
    if (id === undefined) return
    this.#ids.delete(name)
    this.#names.delete(id)
    this.#onChange()
  }

  entries(): IterableIterator<[string, number]> {
    return this.#ids.entries()
  }
}

/** `name: number` lines. Names with a colon are quoted. */
export function formatIds(entries: Iterable<readonly [string, number]>): string {
  let text = ''
  for (const [name, id] of entries) text += lineOf(name, id)
  return text
}

function lineOf(name: string, id: number): string {
  return `${name.includes(':') ? JSON.stringify(name) : name}: ${id}\n`
}

/** The same in steps that leave the event loop free; what changes meanwhile is for the next write. */
async function formatSlowly(table: IdTable): Promise<string> {
  const pieces: string[] = []
  let piece = ''
  let count = 0
  for (const [name, id] of table.entries()) {
    piece += lineOf(name, id)
    count += 1
    if (count % CHUNK_NAMES !== 0) continue
    pieces.push(piece)
    piece = ''
    await setImmediate()
  }
  return `${pieces.join('')}${piece}`
}

export interface ParsedIds {
  readonly entries: readonly (readonly [string, number])[]
  /** Numbers of lines that are none, from 1. */
  readonly badLines: readonly number[]
}

/** Reads what {@link formatIds} or a Go daemon wrote. */
export function parseIds(text: string): ParsedIds {
  const entries: [string, number][] = []
  const badLines: number[] = []
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '' || line.startsWith('#') || line.trim() === '{}') return
    const found = /^(?:"((?:[^"\\]|\\.)+)"|'([^']+)'|(\S.*?)):\s+(\d{1,10})\s*$/.exec(line)
    const id = Number(found?.[4] ?? -1)
    if (found === null || id > 0xffff_ffff) badLines.push(index + 1)
    else entries.push([found[1] ?? found[2] ?? found[3] ?? '', id])
  })
  return {entries, badLines}
}

/** The table in the state directory: read at once, written soon after a change. */
export class IdStore {
  readonly table: IdTable
  readonly #files: StateFiles
  readonly #clock: Clock
  readonly #log: Log
  #scheduled = false
  #writing: Promise<void> | undefined
  #problem: string | undefined

  constructor(files: StateFiles, clock: Clock, log: Log) {
    this.#files = files
    this.#clock = clock
    this.#log = log
    const {entries, badLines} = parseIds(files.read(ID_FILE) ?? '')
    if (badLines.length > 0) log.warn(`${ID_FILE}: ignored lines ${badLines.slice(0, 10).join(', ')}`)
    this.table = new IdTable(entries, () => this.#schedule())
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const isSlow = this.table.size > LARGE_TABLE || this.#problem !== undefined
    const delayMs = isSlow ? LARGE_WRITE_DELAY_MS : WRITE_DELAY_MS
    this.#clock.after(delayMs, () => void this.#save())
  }

  async #save(): Promise<void> {
    await this.#writing
    this.#scheduled = false
    this.#writing = this.#write().then(
      () => this.#setProblem(undefined),
      (error) => {
        this.#setProblem(`ids are not kept: ${messageOf(error)}`)
        this.#schedule()
      },
    )
    await this.#writing
  }

  /** Said once, however often it is tried again. */
  #setProblem(problem: string | undefined): void {
    if (problem === this.#problem) return
    if (problem !== undefined) this.#log.error(`${problem}; trying again`)
    else this.#log.info(`${ID_FILE} is written again`)
    this.#problem = problem
  }

  /** Why the file is not what the table is, for the operator. */
  problems(): readonly string[] {
    return this.#problem === undefined ? [] : [this.#problem]
  }

  async #write(): Promise<void> {
    await this.#files.writeAsync(ID_FILE, await formatSlowly(this.table))
  }

  /** Writes what is not yet on disk; for the end of the program. A failure is logged: the hash finds nearly all again. */
  async close(): Promise<void> {
    await this.#writing
    if (!this.#scheduled) return
    try {
      this.#files.write(ID_FILE, formatIds(this.table.entries()))
    } catch (error) {
      this.#log.error(`ids are not kept: ${messageOf(error)}`)
    }
  }
}
