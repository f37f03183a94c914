// SPDX-License-Identifier: Apache-2.0
/** Reads maps of one daemon, entry by entry. */
import {type KmeshError, UnreachableError} from '../errors.ts'
import type {MapEntryLine, MapListEntry} from '../model/api.ts'
import {DUAL_ENGINE_MAPS, type DualEngineMap, decodeBpfMap} from '../model/bpf-dump.ts'
import {hasCutAddress, repairAddresses} from '../model/bpf-dump-repair.ts'
import {decodeConfig} from '../model/config-dump.ts'
import {type Dialect, FEATURES, notSupported} from '../model/dialect.ts'
import {decodeKernelNative, type KernelNativeDump} from '../model/kernel-native.ts'
import type {Fields, MapItem} from '../model/map-item.ts'
import type {Admin} from '../ports.ts'
import {requireMode} from './dialect.ts'

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

/** Names are those of v1.0 and later; older daemons call the same maps by longer names. */
const KERNEL_NATIVE_MAPS = {
  km_listener: 'listeners',
  km_cluster: 'clusters',
  km_routerconfig: 'routes',
} as const satisfies Readonly<Record<string, keyof KernelNativeDump>>

async function goMaps(admin: Admin, dialect: Dialect, {podIp, signal}: ReadContext): Promise<MapSource> {
  const mode = await requireMode(admin, dialect, signal)
  const path = dialect.row.bpfDump[mode]
  if (path === null) throw notSupported(dialect, FEATURES.bpfDumpDualEngine)
  const dump = await admin.call('bpfDump', {path}, {signal})
  if (mode === 'kernel-native') {
    return goSource(Object.keys(KERNEL_NATIVE_MAPS), async (map) => {
      const parts = decodeKernelNative(dump, `map ${map}`)
      return parts[KERNEL_NATIVE_MAPS[map as keyof typeof KERNEL_NATIVE_MAPS]] as unknown as readonly Fields[]
    })
  }
  return goSource(Object.keys(DUAL_ENGINE_MAPS), async (map) => {
    const values = decodeBpfMap(dump, map as DualEngineMap, dialect.row.bpfShape)
    if (map !== 'km_backend') return values
    return markDnsProxy(await repaired(admin, dialect, values, signal), podIp)
  })
}

function goSource(maps: readonly string[], read: (map: string) => Promise<readonly Fields[]>): MapSource {
  return {
    readable: maps,
    unreadable: new Map(),
    hasKeys: false,
    entries: async function* (map) {
      for (const value of await read(map)) {
        yield {map, key: null, value, names: {}, keyHex: null, valueHex: null}
      }
    },
  }
}

/** Addresses that Go daemons may have cut to IPv4 are looked up in the config dump, which has them whole. */
async function repaired(
  admin: Admin,
  dialect: Dialect,
  values: readonly Fields[],
  signal: AbortSignal,
): Promise<readonly Fields[]> {
  if (!values.some(hasCutAddress)) return values
  const path = dialect.row.configDump['dual-engine']
  const {workloads} = decodeConfig(await admin.call('configDump', {path}, {signal}), 'dual-engine', true)
  return repairAddresses(values, new Set(workloads.flatMap(({addresses}) => addresses)))
}

/** With DNS proxy, backend 0 is the daemon's own pod and belongs to no service. */
function markDnsProxy(values: readonly Fields[], podIp: string | undefined): readonly Fields[] {
  return values.map((value) => {
    const isProxy = value['address'] === podIp && (value['services'] as readonly unknown[]).length === 0
    return podIp !== undefined && isProxy ? {...value, dnsProxy: true} : value
  })
}
