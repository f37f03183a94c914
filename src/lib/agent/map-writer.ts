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

/** Entries that one read takes; about 2 ms of decoding. */
const CHUNK_ENTRIES = 512

export class MapWriter {
  readonly actual: Actual
  readonly #maps: RoutingMaps

  private constructor(maps: RoutingMaps, actual: Actual) {
    this.#maps = maps
    this.actual = actual
  }

  /** Learns what the maps hold, in steps that leave the event loop free. @throws KernelError */
  static async open(maps: RoutingMaps): Promise<MapWriter> {
    const actual = new Actual()
    await eachEntry(maps.backend, BACKEND, ({backendUid}, value) =>
      actual.apply({kind: 'putBackend', id: backendUid, value}),
    )
    await eachEntry(maps.endpoint, ENDPOINT, ({serviceId, priority, index}, {backendUid}) => {
      if (priority === 0) actual.apply({kind: 'putEndpoint', serviceId, index, backendId: backendUid})
    })
    await eachEntry(maps.service, SERVICE, ({serviceId}, value) =>
      actual.apply({kind: 'putService', id: serviceId, value}),
    )
    await eachEntry(maps.frontend, FRONTEND, ({address}, {upstreamId}) =>
      actual.apply({kind: 'putFrontend', address: address ?? '::', upstreamId}),
    )
    return new MapWriter(maps, actual)
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
  onEntry: (key: K, value: V) => void,
): Promise<void> {
  const key = codecOf(row.key)
  const value = codecOf(row.value)
  for (const batch of map.read(CHUNK_ENTRIES)) {
    const keys = viewOf(batch.keys)
    const values = viewOf(batch.values)
    for (let entry = 0; entry < batch.count; entry += 1) {
      onEntry(key.read(keys, entry * key.bytes), value.read(values, entry * value.bytes))
    }
    await setImmediate()
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
