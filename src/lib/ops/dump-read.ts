// SPDX-License-Identifier: Apache-2.0
/** Reads maps of one daemon, entry by entry. */
import {type KmeshError, UnreachableError} from '../errors.ts'
import type {MapEntryLine, MapListEntry} from '../model/api.ts'
import type {Dialect} from '../model/dialect.ts'
import type {Fields, MapItem} from '../model/map-item.ts'
import type {Admin} from '../ports.ts'
import {goMaps} from './dump-read-go.ts'

export type Entry = Omit<MapItem, 'node' | 'pod'>

export interface MapSource {
  /** Maps that can be read, in the daemon's order. */
  readonly readable: readonly string[]
  /** Maps that user space cannot list, with their type. */
  readonly unreadable: ReadonlyMap<string, string>
  /** False: the daemon tells values only. */
  readonly hasKeys: boolean
  /** Entries of readable maps. A map that fails is told, and costs none of the others. @throws what ends the whole daemon */
  entries(maps: readonly string[]): AsyncIterable<Entry | MapFailure>
}

export interface MapFailure {
  readonly map: string
  readonly error: unknown
}

export interface ReadContext {
  /** Address of the daemon's own pod, where it is known. */
  readonly podIp: string | undefined
  readonly signal: AbortSignal
}

/** @throws KmeshError `NotSupportedByDaemon` where the dialect has no dump in the daemon's mode */
export async function openMaps(admin: Admin, dialect: Dialect, context: ReadContext): Promise<MapSource> {
  return dialect.name === 'own' ? ownMaps(admin, context.signal) : goMaps(admin, dialect, context)
}

async function ownMaps(admin: Admin, signal: AbortSignal): Promise<MapSource> {
  const maps: readonly MapListEntry[] = await admin.call('maps', {}, {signal})
  return {
    readable: maps.filter(({readable}) => readable).map(({name}) => name),
    unreadable: new Map(maps.filter(({readable}) => !readable).map(({name, type}) => [name, type])),
    hasKeys: true,
    entries: async function* (names) {
      for (const map of names) {
        try {
          yield* ownEntries(admin, map, signal)
        } catch (error) {
          signal.throwIfAborted()
          yield {map, error}
        }
      }
    },
  }
}

/** @throws UnreachableError `Cut` when the last line is missing; KmeshError with the daemon's code when it says so. */
async function* ownEntries(
  admin: Admin,
  map: string,
  signal: AbortSignal,
): AsyncGenerator<Entry, void, undefined> {
  let count = 0
  for await (const line of admin.lines('map', {name: map}, {signal})) {
    if (line['end'] === true) {
      if (line['entries'] === count) return
      throw cut(map, `${count} entries came, the daemon sent ${String(line['entries'])}`)
    }
    if (line['error'] !== undefined) throw saidError(map, line['error'])
    const {key, value, keyHex, valueHex, names} = checkLine(map, line)
    count += 1
    yield {map, key, value, names, keyHex, valueHex}
  }
  throw cut(map, `the answer ended after ${count} entries, without its last line`)
}

function cut(map: string, why: string): UnreachableError {
  return new UnreachableError('read', `map ${map} was cut: ${why}`, {code: 'Cut'})
}

function saidError(map: string, error: unknown): KmeshError {
  const {code, message} = (typeof error === 'object' && error !== null ? error : {}) as Fields
  return new UnreachableError('read', `map ${map}: ${typeof message === 'string' ? message : 'failed'}`, {
    code: typeof code === 'string' && /^[A-Za-z]{1,60}$/.test(code) ? code : 'DaemonFailed',
  })
}

function checkLine(map: string, line: Fields): MapEntryLine {
  const {key, value, keyHex, valueHex, names} = line
  const isGood =
    isFields(key) &&
    isFields(value) &&
    typeof keyHex === 'string' &&
    typeof valueHex === 'string' &&
    isFields(names) &&
    Object.values(names).every((name) => typeof name === 'string')
  if (isGood) return line as unknown as MapEntryLine
  throw new UnreachableError('decode', `map ${map}: a line is no map entry`, {code: 'BadAnswer'})
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
