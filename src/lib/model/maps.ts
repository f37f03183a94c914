// SPDX-License-Identifier: Apache-2.0
/**
 * Registry of the BPF maps: one row a map. Commands, endpoints, the reader and
 * the layout test iterate it. Layouts are those of contracts 4.3 (dual-engine,
 * v1.1 and later); bpf/include/kmesh_maps.h is the C side of the same ABI.
 */
import {array, type Codec, type Decoded, ip16, portBE, struct, u32} from './codec.ts'
import {bpfLevel, lbPolicy, manageKey, PRIORITIES, portPairs, serviceIds} from './map-fields.ts'

/** Numbers of enum bpf_map_type in linux/bpf.h. */
export const BPF_MAP_TYPE = {hash: 1, array: 2, progArray: 3, lruHash: 9, skStorage: 24, ringbuf: 27} as const

export interface MapRow<K = unknown, V = unknown> {
  /** Kernel name and pin name below `map/`. */
  readonly name: string
  readonly type: number
  readonly maxEntries: number
  /** Undefined where user space cannot read entries (socket storage, ring buffers). */
  readonly key: Codec<K> | undefined
  readonly value: Codec<V> | undefined
  /** Byte lengths as the kernel tells them, also where there is no codec. */
  readonly keyBytes: number
  readonly valueBytes: number
  /** Which fields hold ids that have names, by path: `key.serviceId`. */
  readonly ids: readonly string[]
  readonly description: string
}

/** A row whose entries user space can read and write. */
export interface ReadableRow<K = unknown, V = unknown> extends MapRow<K, V> {
  readonly key: Codec<K>
  readonly value: Codec<V>
}

function readable<K, V>(row: {
  name: string
  type: number
  maxEntries: number
  key: Codec<K>
  value: Codec<V>
  ids?: readonly string[]
  description: string
}): ReadableRow<K, V> {
  return {ids: [], ...row, keyBytes: row.key.bytes, valueBytes: row.value.bytes}
}

function opaque(row: {
  name: string
  type: number
  maxEntries: number
  keyBytes: number
  valueBytes: number
  description: string
}): MapRow<never, never> {
  return {ids: [], ...row, key: undefined, value: undefined}
}

export const FRONTEND = readable({
  name: 'km_frontend',
  type: BPF_MAP_TYPE.hash,
  maxEntries: 105_000,
  key: struct({address: ip16}),
  value: struct({upstreamId: u32}),
  ids: ['value.upstreamId'],
  description: 'service or pod address -> service id, or backend uid of a pod',
})

export const SERVICE = readable({
  name: 'km_service',
  type: BPF_MAP_TYPE.hash,
  maxEntries: 5000,
  key: struct({serviceId: u32}),
  value: struct({
    endpointCount: array(u32, PRIORITIES),
    lbPolicy,
    ports: portPairs,
    waypointAddress: ip16,
    waypointPort: portBE,
  }),
  ids: ['key.serviceId'],
  description: 'service id -> endpoint counts by priority, balancing policy, ports, waypoint',
})

export const ENDPOINT = readable({
  name: 'km_endpoint',
  type: BPF_MAP_TYPE.hash,
  maxEntries: 105_000,
  key: struct({serviceId: u32, priority: u32, index: u32}),
  value: struct({backendUid: u32}),
  ids: ['key.serviceId', 'value.backendUid'],
  description: 'service id, priority and index from 1 -> backend uid',
})

export const BACKEND = readable({
  name: 'km_backend',
  type: BPF_MAP_TYPE.hash,
  maxEntries: 100_000,
  key: struct({backendUid: u32}),
  value: struct({address: ip16, services: serviceIds, waypointAddress: ip16, waypointPort: portBE}),
  ids: ['key.backendUid', 'value.services'],
  description: 'backend uid -> address, services it belongs to, waypoint',
})

export const MANAGE = readable({
  name: 'km_manage',
  type: BPF_MAP_TYPE.hash,
  maxEntries: 8192,
  key: manageKey,
  value: struct({flags: u32}),
  ids: ['key.cookie'],
  description: 'netns cookie or address of every enrolled pod',
})

export const GLOBALS = readable({
  name: 'km_globals',
  type: BPF_MAP_TYPE.array,
  maxEntries: 1,
  key: struct({index: u32}),
  value: struct({bpfLogLevel: bpfLevel}),
  description: 'settings of the programs that can be changed while they run',
})

export const VERSION = readable({
  name: 'kmesh_version',
  type: BPF_MAP_TYPE.array,
  maxEntries: 1,
  key: struct({index: u32}),
  value: struct({versionHash: u32}),
  description: 'FNV-1a 32 hash of the version of the agent that loaded the programs',
})

export const SOCKET_STORAGE = opaque({
  name: 'km_sockstorage',
  type: BPF_MAP_TYPE.skStorage,
  maxEntries: 0,
  keyBytes: 4,
  valueBytes: 64,
  description: 'per socket: original destination and times; user space cannot list it',
})

export const LOG_EVENTS = opaque({
  name: 'km_log_event',
  type: BPF_MAP_TYPE.ringbuf,
  maxEntries: 262_144,
  keyBytes: 0,
  valueBytes: 0,
  description: 'ring buffer of log lines of the programs',
})

/** Every map of our programs, in the order in which a dump shows them. */
export const MAPS = [
  FRONTEND,
  SERVICE,
  ENDPOINT,
  BACKEND,
  MANAGE,
  GLOBALS,
  VERSION,
  SOCKET_STORAGE,
  LOG_EVENTS,
] as const satisfies readonly MapRow<never, never>[] | readonly MapRow[]

export type ServiceValue = Decoded<typeof SERVICE.value>
export type BackendValue = Decoded<typeof BACKEND.value>

export function mapRow(name: string): MapRow | undefined {
  return (MAPS as readonly unknown[] as readonly MapRow[]).find((row) => row.name === name)
}
