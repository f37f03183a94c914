// SPDX-License-Identifier: Apache-2.0
/** BPF maps of our agent: each one is an answer of its own, a line an entry. */
import {DaemonError, type KmeshError, UnreachableError} from '../errors.ts'
import type {MapEntryLine, MapListEntry} from '../model/api.ts'
import type {Fields} from '../model/map-item.ts'
import type {Admin} from '../ports.ts'
import {type Entry, type MapNames, type MapSource, mapError} from './dump-source.ts'

/**
 * Maps that are named are asked for at once: the list costs a daemon a walk through all its maps.
 *
 * @param wanted - empty: every map that can be read
 */
export async function ownMaps(
  admin: Admin,
  wanted: readonly string[],
  signal: AbortSignal,
): Promise<MapSource> {
  const listed = wanted.length > 0 ? undefined : await listMaps(admin, signal)
  return {
    skipped: listed?.unreadable ?? new Map(),
    hasKeys: true,
    entries: async function* () {
      for (const map of listed?.readable ?? wanted) {
        try {
          yield* ownEntries(admin, map, signal)
        } catch (error) {
          signal.throwIfAborted()
          yield [{map, error: listed === undefined ? await refusal(admin, map, error, signal) : error}]
        }
      }
    },
  }
}

async function listMaps(admin: Admin, signal: AbortSignal): Promise<MapNames> {
  const maps: readonly MapListEntry[] = await admin.call('maps', {}, {signal})
  return {
    readable: maps.filter(({readable}) => readable).map(({name}) => name),
    unreadable: new Map(maps.filter(({readable}) => !readable).map(({name, type}) => [name, type])),
  }
}

/** Where a daemon refused a map, its list of maps tells why and what there is. */
async function refusal(admin: Admin, map: string, error: unknown, signal: AbortSignal): Promise<unknown> {
  if (!(error instanceof DaemonError) || (error.status !== 400 && error.status !== 404)) return error
  return mapError(map, await listMaps(admin, signal)) ?? error
}

/** @throws UnreachableError `Cut` when the last line is missing; KmeshError with the daemon's code when it says so. */
async function* ownEntries(
  admin: Admin,
  map: string,
  signal: AbortSignal,
): AsyncGenerator<readonly Entry[], void, undefined> {
  let count = 0
  for await (const lines of admin.lines('map', {name: map}, {signal})) {
    const {entries, last, failure} = entriesOf(map, lines)
    count += entries.length
    if (entries.length > 0) yield entries
    if (failure !== undefined) throw failure.error
    if (last === undefined) continue
    if (last === count) return
    throw cut(map, `${count} entries came, the daemon sent ${String(last)}`)
  }
  throw cut(map, `the answer ended after ${count} entries, without its last line`)
}

interface Lines {
  readonly entries: readonly Entry[]
  /** What the last line gives as the number of entries, when it came. */
  readonly last?: unknown
  /** What follows the entries. */
  readonly failure?: {readonly error: unknown}
}

function entriesOf(map: string, lines: readonly Fields[]): Lines {
  const entries: Entry[] = []
  for (const line of lines) {
    if (line['end'] === true) return {entries, last: line['entries'] ?? null}
    if (line['error'] !== undefined) return {entries, failure: {error: saidError(map, line['error'])}}
    if (!isEntry(line)) return {entries, failure: {error: noEntry(map)}}
    const {key, value, keyHex, valueHex, names} = line
    entries.push({map, key, value, names, keyHex, valueHex})
  }
  return {entries}
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

function noEntry(map: string): UnreachableError {
  return new UnreachableError('decode', `map ${map}: a line is no map entry`, {code: 'BadAnswer'})
}

function isEntry(line: Fields): line is Fields & MapEntryLine {
  const {key, value, keyHex, valueHex, names} = line
  return (
    isFields(key) &&
    isFields(value) &&
    typeof keyHex === 'string' &&
    typeof valueHex === 'string' &&
    isFields(names) &&
    Object.values(names).every((name) => typeof name === 'string')
  )
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
