// SPDX-License-Identifier: Apache-2.0
/** Reads maps of one daemon, entry by entry. */
import {KmeshError, UnreachableError} from '../errors.ts'
import type {BpfDumpReply, MapEntryLine, MapListEntry} from '../model/api.ts'
import type {Dialect} from '../model/dialect.ts'
import type {Fields, MapItem} from '../model/map-item.ts'
import type {Admin} from '../ports.ts'
import {readMode} from './dialect.ts'

export type Entry = Omit<MapItem, 'node' | 'pod'>

export interface MapSource {
  /** Maps that can be read, in the daemon's order. */
  readonly readable: readonly string[]
  /** Maps that user space cannot list, with their type. */
  readonly unreadable: ReadonlyMap<string, string>
  /** False: the daemon tells values only. */
  readonly hasKeys: boolean
  entries(map: string): AsyncIterable<Entry>
}

export async function openMaps(admin: Admin, dialect: Dialect, signal: AbortSignal): Promise<MapSource> {
  return dialect.name === 'own' ? ownMaps(admin, signal) : goMaps(admin, dialect, signal)
}

async function ownMaps(admin: Admin, signal: AbortSignal): Promise<MapSource> {
  const maps: readonly MapListEntry[] = await admin.call('maps', {}, {signal})
  return {
    readable: maps.filter(({readable}) => readable).map(({name}) => name),
    unreadable: new Map(maps.filter(({readable}) => !readable).map(({name, type}) => [name, type])),
    hasKeys: true,
    entries: (map) => ownEntries(admin, map, signal),
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

/** Parts of a Go daemon's dump, by the name of the map that each comes from. */
const GO_MAPS = {
  km_frontend: 'frontends',
  km_service: 'services',
  km_endpoint: 'endpoints',
  km_backend: 'backends',
  km_wlpolicy: 'workloadPolicies',
} as const satisfies Readonly<Record<string, keyof BpfDumpReply>>

async function goMaps(admin: Admin, dialect: Dialect, signal: AbortSignal): Promise<MapSource> {
  const mode = await readMode(admin, dialect, signal)
  if (mode === 'kernel-native') {
    throw new KmeshError('the daemon runs in kernel-native mode, whose maps this kmeshctl does not know', {
      code: 'UnsupportedMode',
    })
  }
  const dump = await admin.call('bpfDump', {}, {signal})
  return {
    readable: Object.keys(GO_MAPS),
    unreadable: new Map(),
    hasKeys: false,
    entries: async function* (map) {
      const part = dump[GO_MAPS[map as keyof typeof GO_MAPS]] ?? []
      for (const value of part) yield {map, key: null, value, names: {}, keyHex: null, valueHex: null}
    },
  }
}
