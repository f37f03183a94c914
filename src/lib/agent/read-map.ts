// SPDX-License-Identifier: Apache-2.0
/** Entries of one BPF map as lines, in steps that leave the event loop free. */
import {setImmediate} from 'node:timers/promises'
import {messageOf} from '../errors.ts'
import type {MapEntryLine, MapListEntry} from '../model/api.ts'
import {hex} from '../model/codec.ts'
import type {ManageKey} from '../model/map-fields.ts'
import {BPF_MAP_TYPE, MANAGE, MAPS, type MapRow} from '../model/maps.ts'
import type {BpfMap} from '../ports.ts'

/** Decoded between two turns of the event loop: some milliseconds. */
const CHUNK_ENTRIES = 512

export interface Names {
  /** Service or workload of an id. */
  readonly ofId: (id: number) => string | undefined
  /** Cookie -> `namespace/pod`. */
  readonly ofCookies: () => ReadonlyMap<string, string>
}

/** Lines with their newline, several in a piece; the last one is the end or the error. */
export async function* mapLines(row: MapRow, map: BpfMap, names: Names): AsyncGenerator<string> {
  let entries = 0
  try {
    const lineOf = entryLines(row, names)
    for (const batch of map.read(CHUNK_ENTRIES)) {
      let piece = ''
      for (let entry = 0; entry < batch.count; entry += 1) {
        piece += lineOf(slice(batch.keys, entry, row.keyBytes), slice(batch.values, entry, row.valueBytes))
      }
      entries += batch.count
      if (piece !== '') yield piece
      await setImmediate()
    }
    yield `${JSON.stringify({end: true, entries})}\n`
  } catch (error) {
    const code = (error as {code?: string}).code ?? 'Internal'
    yield `${JSON.stringify({error: {code, message: messageOf(error)}})}\n`
  }
}

function slice(bytes: Uint8Array, entry: number, length: number): Uint8Array {
  return bytes.subarray(entry * length, (entry + 1) * length)
}

function entryLines(row: MapRow, names: Names): (key: Uint8Array, value: Uint8Array) => string {
  const {key: keyCodec, value: valueCodec} = row
  if (keyCodec === undefined || valueCodec === undefined)
    throw new TypeError(`${row.name} has no readable entries`)
  const pods = row.name === MANAGE.name ? names.ofCookies() : new Map<string, string>()
  return (keyBytes, valueBytes) => {
    const key = keyCodec.read(viewOf(keyBytes), 0) as MapEntryLine['key']
    const value = valueCodec.read(viewOf(valueBytes), 0) as MapEntryLine['value']
    const found =
      row.name === MANAGE.name
        ? podName(key as unknown as ManageKey, pods)
        : idNames(row, {key, value}, names)
    const line: MapEntryLine = {key, value, keyHex: hex(keyBytes), valueHex: hex(valueBytes), names: found}
    return `${JSON.stringify(line)}\n`
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function podName({cookie}: ManageKey, pods: ReadonlyMap<string, string>): Record<string, string> {
  const pod = cookie === null ? undefined : pods.get(cookie)
  return cookie === null || pod === undefined ? {} : {[cookie]: pod}
}

/** Follows the row's paths, such as `value.services`, to ids or lists of ids. */
function idNames(
  row: MapRow,
  entry: {readonly key: MapEntryLine['key']; readonly value: MapEntryLine['value']},
  names: Names,
): Record<string, string> {
  const found: Record<string, string> = {}
  for (const path of row.ids) {
    const [side, field = ''] = path.split('.')
    const content = entry[side === 'key' ? 'key' : 'value'][field]
    for (const id of Array.isArray(content) ? content : [content]) {
      const name = typeof id === 'number' ? names.ofId(id) : undefined
      if (name !== undefined) found[String(id)] = name
    }
  }
  return found
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [BPF_MAP_TYPE.hash]: 'hash',
  [BPF_MAP_TYPE.array]: 'array',
  [BPF_MAP_TYPE.progArray]: 'prog_array',
  [BPF_MAP_TYPE.lruHash]: 'lru_hash',
  [BPF_MAP_TYPE.skStorage]: 'sk_storage',
  [BPF_MAP_TYPE.ringbuf]: 'ringbuf',
}

/** All maps with what the kernel says of them now. */
export async function listMaps(maps: ReadonlyMap<string, BpfMap>): Promise<MapListEntry[]> {
  const listed: MapListEntry[] = []
  for (const row of MAPS as readonly MapRow[]) {
    const map = maps.get(row.name)
    if (map === undefined) continue
    const {type, keyBytes, valueBytes, maxEntries} = map.info
    const readable = row.key !== undefined
    const entries = readable ? await countEntries(map) : null
    listed.push({
      name: row.name,
      type: TYPE_NAMES[type] ?? `type ${type}`,
      keyBytes,
      valueBytes,
      entries,
      maxEntries,
      readable,
    })
  }
  return listed
}

async function countEntries(map: BpfMap): Promise<number> {
  let entries = 0
  for (const batch of map.read(4096)) {
    entries += batch.count
    await setImmediate()
  }
  return entries
}
