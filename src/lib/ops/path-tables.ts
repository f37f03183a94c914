// SPDX-License-Identifier: Apache-2.0
/** What the maps of one node hold for one destination: read as they come, all else is dropped at once. */
import {LayoutError, messageOf, UnreachableError} from '../errors.ts'
import {type Codec, decode, encode, hex, u32} from '../model/codec.ts'
import {
  BACKEND,
  type BackendValue,
  ENDPOINT,
  FRONTEND,
  MANAGE,
  SERVICE,
  type ServiceValue,
} from '../model/maps.ts'
import type {KernelTables} from '../model/path-connect.ts'
import type {Admin} from '../ports.ts'
import {ownMaps} from './dump-read-own.ts'
import type {Entry} from './dump-source.ts'

export interface ReadTables {
  readonly tables: KernelTables
  /** Id in decimal -> name. */
  readonly names: Readonly<Record<string, string>>
}

/** Reads four maps of our agent one after the other, since each says what to look for in the next. @throws UnreachableError */
export async function readTables(admin: Admin, address: string, signal: AbortSignal): Promise<ReadTables> {
  const reader = new TableReader(admin, signal)
  const frontend = await reader.one(FRONTEND, {address})
  const upstreamId = frontend?.upstreamId
  if (upstreamId === undefined) return {tables: NOTHING, names: {}}
  const service: ServiceValue | undefined = await reader.one(SERVICE, {serviceId: upstreamId})
  const endpoints = new Map<number, Map<number, number>>()
  const uids = new Set([upstreamId])
  if (service !== undefined) {
    for await (const {key, value} of reader.all(ENDPOINT, hex(encode(u32, upstreamId)))) {
      const ofPriority = endpoints.get(key.priority) ?? new Map<number, number>()
      endpoints.set(key.priority, ofPriority.set(key.index, value.backendUid))
      uids.add(value.backendUid)
    }
  }
  const wanted = new Set([...uids].map((uid) => hex(encode(u32, uid))))
  const backends = new Map<number, BackendValue>()
  for await (const {key, value} of reader.all(BACKEND, wanted)) backends.set(key.backendUid, value)
  return {tables: {upstreamId, service, endpoints, backends}, names: reader.names}
}

/** Is the pod in km_manage? @param cookie - decimal */
export async function isManaged(admin: Admin, cookie: string, signal: AbortSignal): Promise<boolean> {
  const reader = new TableReader(admin, signal)
  return (await reader.one(MANAGE, {cookie, address: null})) !== undefined
}

const NOTHING: KernelTables = {
  upstreamId: undefined,
  service: undefined,
  endpoints: new Map(),
  backends: new Map(),
}

interface Row<K, V> {
  readonly name: string
  readonly key: Codec<K>
  readonly value: Codec<V>
}

class TableReader {
  readonly names: Record<string, string> = {}
  private readonly admin: Admin
  private readonly signal: AbortSignal

  constructor(admin: Admin, signal: AbortSignal) {
    this.admin = admin
    this.signal = signal
  }

  async one<K, V>(row: Row<K, V>, key: K): Promise<V | undefined> {
    let found: V | undefined
    for await (const {value} of this.all(row, new Set([hex(encode(row.key, key))]))) found = value
    return found
  }

  /** @param wanted - the keys in hex, or what they begin with */
  async *all<K, V>(
    row: Row<K, V>,
    wanted: ReadonlySet<string> | string,
  ): AsyncGenerator<{readonly key: K; readonly value: V}, void, undefined> {
    const isWanted =
      typeof wanted === 'string' ? (key: string) => key.startsWith(wanted) : wanted.has.bind(wanted)
    const source = await ownMaps(this.admin, [row.name], this.signal)
    for await (const entries of source.entries()) {
      for (const entry of entries) {
        if ('error' in entry) throw entry.error
        if (typeof entry.keyHex !== 'string' || !isWanted(entry.keyHex)) continue
        Object.assign(this.names, entry.names)
        yield decoded(row, entry)
      }
    }
  }
}

/** From the bytes, whose layout we know, not from the daemon's words. */
function decoded<K, V>(row: Row<K, V>, {keyHex, valueHex}: Entry): {readonly key: K; readonly value: V} {
  try {
    return {key: decode(row.key, bytesOf(keyHex)), value: decode(row.value, bytesOf(valueHex))}
  } catch (error) {
    throw new UnreachableError('decode', `map ${row.name}: ${messageOf(error)}`, {
      code: 'BadAnswer',
      cause: error,
    })
  }
}

function bytesOf(text: string | null | undefined): Uint8Array {
  if (typeof text !== 'string' || !/^([0-9a-f]{2})*$/.test(text))
    throw new LayoutError('an entry has no bytes')
  return Uint8Array.from(Buffer.from(text, 'hex'))
}
