// SPDX-License-Identifier: Apache-2.0
/** Carries steps out on the kernel's maps and keeps {@link Actual} equal to them. */
import {setImmediate} from 'node:timers/promises'
import {KernelError} from '../errors.ts'
import {type Codec, encode} from '../model/codec.ts'
import {BACKEND, ENDPOINT, FRONTEND, type MapRow, SERVICE} from '../model/maps.ts'
import type {BpfMap} from '../ports.ts'
import {Actual, type Step} from './actual.ts'

export interface RoutingMaps {
  readonly frontend: BpfMap
  readonly service: BpfMap
  readonly endpoint: BpfMap
  readonly backend: BpfMap
}

interface ForeignEntry {
  readonly map: BpfMap
  readonly key: Uint8Array
}

/** In place of the text of a value that we would write with other bytes; so it is written anew. */
const OTHER_BYTES = 'other bytes'

/** An entry that leads to backend 0; 0 in the slots that we keep means that there is no entry. */
const NO_BACKEND = -1

/** Entries that one read takes; about 2 ms of decoding. */
const CHUNK_ENTRIES = 512

export class MapWriter {
  readonly actual: Actual
  readonly #maps: RoutingMaps
  #foreign: readonly ForeignEntry[]

  private constructor(maps: RoutingMaps, actual: Actual, foreign: readonly ForeignEntry[]) {
    this.#maps = maps
    this.actual = actual
    this.#foreign = foreign
  }

  /** Learns what the maps hold, in steps that leave the event loop free. @throws KernelError */
  static async open(maps: RoutingMaps): Promise<MapWriter> {
    const actual = new Actual()
    await eachEntry(maps.backend, BACKEND, ({backendUid}, value, _key, bytes) => {
      actual.apply({kind: 'putBackend', id: backendUid, value})
      if (!isWritten(BACKEND, value, bytes)) actual.backends.set(backendUid, OTHER_BYTES)
    })
    const foreign: ForeignEntry[] = []
    const {maxEntries} = maps.endpoint.info
    await eachEntry(maps.endpoint, ENDPOINT, ({serviceId, priority, index}, {backendUid}, key) => {
      const isOurs = priority === 0 && index > 0 && index <= maxEntries
      const backendId = backendUid === 0 ? NO_BACKEND : backendUid
      if (isOurs) actual.apply({kind: 'putEndpoint', serviceId, index, backendId})
      else foreign.push({map: maps.endpoint, key: key.slice()})
    })
    await eachEntry(maps.service, SERVICE, ({serviceId}, value, _key, bytes) => {
      actual.apply({kind: 'putService', id: serviceId, value})
      const count = actual.services.get(serviceId)?.count ?? 0
      if (!isWritten(SERVICE, value, bytes)) actual.services.set(serviceId, {count, text: OTHER_BYTES})
    })
    await eachEntry(maps.frontend, FRONTEND, ({address}, {upstreamId}, key) => {
      const isOurs = address !== null && isSame(encode(codecOf(FRONTEND.key), {address}), key)
      if (isOurs) actual.apply({kind: 'putFrontend', address, upstreamId})
      else foreign.push({map: maps.frontend, key: key.slice()})
    })
    return new MapWriter(maps, actual, foreign)
  }

  /** Deletes entries whose keys no agent of ours writes. Returns how many there were. @throws KernelError */
  dropForeign(): number {
    const found = this.#foreign.filter(({map, key}) => map.delete(key)).length
    this.#foreign = []
    return found
  }

  /** @throws KernelError, then nothing has changed. */
  write(step: Step): void {
    const {frontend, service, endpoint, backend} = this.#maps
    switch (step.kind) {
      case 'putBackend':
        put(backend, BACKEND, {backendUid: step.id}, step.value)
        break
      case 'putEndpoint':
        put(endpoint, ENDPOINT, slotKey(step.serviceId, step.index), {backendUid: step.backendId})
        break
      case 'putService':
        put(service, SERVICE, {serviceId: step.id}, step.value)
        break
      case 'putFrontend':
        put(frontend, FRONTEND, {address: step.address}, {upstreamId: step.upstreamId})
        break
      case 'deleteFrontend':
        remove(frontend, FRONTEND, {address: step.address})
        break
      case 'deleteService':
        remove(service, SERVICE, {serviceId: step.id})
        break
      case 'deleteEndpoint':
        remove(endpoint, ENDPOINT, slotKey(step.serviceId, step.index))
        break
      case 'deleteBackend':
        remove(backend, BACKEND, {backendUid: step.id})
        break
    }
    this.actual.apply(step)
  }
}

const MAP_OF_STEP: Readonly<Record<Step['kind'], string>> = {
  putBackend: BACKEND.name,
  putEndpoint: ENDPOINT.name,
  putService: SERVICE.name,
  putFrontend: FRONTEND.name,
  deleteFrontend: FRONTEND.name,
  deleteService: SERVICE.name,
  deleteEndpoint: ENDPOINT.name,
  deleteBackend: BACKEND.name,
}

/** Name of the map that the step writes. */
export function mapOfStep(step: Step): string {
  return MAP_OF_STEP[step.kind]
}

/** True where a write failed because the map has no room or the kernel no memory for it. */
export function isMapFull(thrown: unknown): boolean {
  return thrown instanceof KernelError && [7, 12, 28].includes(thrown.errno)
}

function slotKey(serviceId: number, index: number) {
  return {serviceId, priority: 0, index}
}

function put<K, V>(map: BpfMap, row: MapRow<K, V>, key: K, value: V): void {
  map.update(encode(codecOf(row.key), key), encode(codecOf(row.value), value))
}

function remove<K, V>(map: BpfMap, row: MapRow<K, V>, key: K): void {
  map.delete(encode(codecOf(row.key), key))
}

function codecOf<T>(codec: Codec<T> | undefined): Codec<T> {
  if (codec === undefined) throw new TypeError('this map has no readable entries')
  return codec
}

async function eachEntry<K, V>(
  map: BpfMap,
  row: MapRow<K, V>,
  onEntry: (key: K, value: V, keyBytes: Uint8Array, valueBytes: Uint8Array) => void,
): Promise<void> {
  const key = codecOf(row.key)
  const value = codecOf(row.value)
  for (const batch of map.read(CHUNK_ENTRIES)) {
    const keys = viewOf(batch.keys)
    const values = viewOf(batch.values)
    for (let entry = 0; entry < batch.count; entry += 1) {
      const at = {key: entry * key.bytes, value: entry * value.bytes}
      onEntry(
        key.read(keys, at.key),
        value.read(values, at.value),
        batch.keys.subarray(at.key, at.key + key.bytes),
        batch.values.subarray(at.value, at.value + value.bytes),
      )
    }
    await setImmediate()
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function isWritten<K, V>(row: MapRow<K, V>, value: V, bytes: Uint8Array): boolean {
  return isSame(encode(codecOf(row.value), value), bytes)
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, position) => byte === b[position])
}
