// SPDX-License-Identifier: Apache-2.0
/** BPF maps of a Go daemon: all of them stand in one document, which is read as it comes. */
import {bpfMapKeys, DUAL_ENGINE_MAPS, type DualEngineMap, decodeBpfEntry, noList} from '../model/bpf-dump.ts'
import {hasCutAddress, repairAddresses} from '../model/bpf-dump-repair.ts'
import {decodeConfig} from '../model/config-dump.ts'
import {type Dialect, FEATURES, notSupported} from '../model/dialect.ts'
import {badAnswer} from '../model/hostile.ts'
import {decodeKernelNative, type KernelNativeDump} from '../model/kernel-native.ts'
import type {Fields} from '../model/map-item.ts'
import type {Admin, Member} from '../ports.ts'
import {requireMode} from './dialect.ts'
import {type Entry, type MapFailure, type MapSource, mapError, type ReadContext} from './dump-source.ts'

/** Names are those of v1.0 and later; older daemons call the same maps by longer names. */
const KERNEL_NATIVE_MAPS = {
  km_listener: 'listeners',
  km_cluster: 'clusters',
  km_routerconfig: 'routes',
} as const satisfies Readonly<Record<string, keyof KernelNativeDump>>

/**
 * @param wanted - empty: every map of the daemon's mode
 * @throws KmeshError `NotSupportedByDaemon` where the dialect has no dump in the daemon's mode
 */
export async function goMaps(
  admin: Admin,
  dialect: Dialect,
  wanted: readonly string[],
  context: ReadContext,
): Promise<MapSource> {
  const mode = await requireMode(admin, dialect, context.signal)
  const path = dialect.row.bpfDump[mode]
  if (path === null) throw notSupported(dialect, FEATURES.bpfDumpDualEngine)
  const isDual = mode === 'dual-engine'
  const readable = Object.keys(isDual ? DUAL_ENGINE_MAPS : KERNEL_NATIVE_MAPS)
  const maps = wanted.length === 0 ? readable : wanted.filter((map) => readable.includes(map))
  const unknown = wanted.flatMap((map) => {
    const error = mapError(map, {readable, unreadable: new Map()})
    return error === undefined ? [] : [{map, error}]
  })
  return {
    skipped: new Map(),
    hasKeys: false,
    entries: async function* () {
      if (unknown.length > 0) yield unknown
      if (maps.length === 0) return
      yield* isDual
        ? dualEngine(admin, dialect, path, maps as readonly DualEngineMap[], context)
        : kernelNative(admin, path, maps, context)
    },
  }
}

type Found = readonly (Entry | MapFailure)[]

function entry(map: string, value: Fields): Entry {
  return {map, key: null, value, names: {}, keyHex: null, valueHex: null}
}

async function* kernelNative(
  admin: Admin,
  path: string,
  maps: readonly string[],
  {signal}: ReadContext,
): AsyncGenerator<Found, void, undefined> {
  const dump = await admin.call('bpfDump', {path}, {signal})
  for (const map of maps) {
    try {
      const parts = decodeKernelNative(dump, `map ${map}`)
      const part = KERNEL_NATIVE_MAPS[map as keyof typeof KERNEL_NATIVE_MAPS]
      yield (parts[part] as unknown as readonly Fields[]).map((value) => entry(map, value))
    } catch (error) {
      yield [{map, error}]
    }
  }
}

async function* dualEngine(
  admin: Admin,
  dialect: Dialect,
  path: string,
  maps: readonly DualEngineMap[],
  {podIp, signal}: ReadContext,
): AsyncGenerator<Found, void, undefined> {
  const reader = new DocumentReader(maps, dialect.row.bpfShape, podIp)
  for await (const members of admin.members('bpfDump', {path}, {signal})) {
    const found = members.map((member) => reader.read(member)).filter((one) => one !== undefined)
    if (found.length > 0) yield found
  }
  yield reader.missing().map((map) => ({map, error: noList(map)}))
  const repairedValues = await repaired(admin, dialect, reader.cut, signal)
  yield repairedValues.map((value) => entry('km_backend', markDnsProxy(value, podIp)))
}

/** How far one map of the document is read. */
interface State {
  readonly map: DualEngineMap
  index: number
  isSeen: boolean
}

class DocumentReader {
  /** Backends whose address was cut: held until the document is over, only then can the daemon be asked for it. */
  readonly cut: Fields[] = []
  private readonly shape: 'raw' | 'pretty'
  private readonly podIp: string | undefined
  private readonly states: readonly State[]
  private readonly wanted: Map<string, State>

  constructor(maps: readonly DualEngineMap[], shape: 'raw' | 'pretty', podIp: string | undefined) {
    this.shape = shape
    this.podIp = podIp
    this.states = maps.map((map) => ({map, index: 0, isSeen: false}))
    this.wanted = new Map(this.states.flatMap((state) => bpfMapKeys(state.map).map((key) => [key, state])))
  }

  /** Undefined: nothing to show, yet. */
  read(member: Member): Entry | MapFailure | undefined {
    const state = this.wanted.get(member.name)
    if (state === undefined) return undefined
    const {map} = state
    try {
      const value = take(state, member, this.shape)
      if (value === undefined) return undefined
      if (map !== 'km_backend') return entry(map, value)
      if (!hasCutAddress(value)) return entry(map, markDnsProxy(value, this.podIp))
      this.cut.push(value)
      return undefined
    } catch (error) {
      // The rest of a map that cannot be read says nothing.
      for (const key of bpfMapKeys(map)) this.wanted.delete(key)
      return {map, error}
    }
  }

  /** Maps that the document does not have. */
  missing(): readonly DualEngineMap[] {
    return this.states.flatMap(({map, isSeen}) => (isSeen ? [] : [map]))
  }
}

/** Undefined: the list begins, or there is none (null). @throws UnreachableError `decode`, naming the map */
function take(state: State, {isItem, value}: Member, shape: 'raw' | 'pretty'): Fields | undefined {
  state.isSeen = true
  if (!isItem) {
    // Raw dumps have null for an empty map; in pretty ones it is `[]`, and null a map that could not be read.
    if (value === null && shape === 'pretty') throw noList(state.map)
    if (value === null || Array.isArray(value)) return undefined
    throw badAnswer(`map ${state.map}`, 'a list')
  }
  const read = decodeBpfEntry(value, state.index, state.map, shape)
  state.index += 1
  return read
}

/** Addresses that Go daemons may have cut to IPv4 are looked up in the config dump, which has them whole. */
async function repaired(
  admin: Admin,
  dialect: Dialect,
  values: readonly Fields[],
  signal: AbortSignal,
): Promise<readonly Fields[]> {
  if (values.length === 0) return values
  const path = dialect.row.configDump['dual-engine']
  const {workloads} = decodeConfig(await admin.call('configDump', {path}, {signal}), 'dual-engine', true)
  return repairAddresses(values, new Set(workloads.flatMap(({addresses}) => addresses)))
}

/** With DNS proxy, backend 0 is the daemon's own pod and belongs to no service. */
function markDnsProxy(value: Fields, podIp: string | undefined): Fields {
  const isProxy = value['address'] === podIp && (value['services'] as readonly unknown[]).length === 0
  return podIp !== undefined && isProxy ? {...value, dnsProxy: true} : value
}
