// SPDX-License-Identifier: Apache-2.0
/** Fills the maps of the mesh entry by entry, in the terms of a test. */
import {encode} from '../../src/lib/model/codec.ts'
import type {BpfLevel} from '../../src/lib/model/map-fields.ts'
import {BACKEND, ENDPOINT, FRONTEND, GLOBALS, MANAGE, SERVICE} from '../../src/lib/model/maps.ts'
import type {Bpf} from '../../src/lib/ports.ts'

export interface Waypoint {
  readonly address: string
  readonly port: number
}

export interface ServiceChange {
  readonly counts?: readonly number[]
  readonly policy?: string
  readonly waypoint?: Waypoint
}

export class MeshMaps {
  readonly #bpf: Bpf
  readonly #pin: (name: string) => string

  constructor(bpf: Bpf, pin: (name: string) => string) {
    this.#bpf = bpf
    this.#pin = pin
  }

  putFrontend(address: string, upstreamId: number): void {
    this.#put(FRONTEND.name, encode(FRONTEND.key, {address}), encode(FRONTEND.value, {upstreamId}))
  }

  putBackend(backendUid: number, address: string, waypoint?: Waypoint): void {
    const value = {
      address,
      services: [],
      waypointAddress: waypoint?.address ?? null,
      waypointPort: waypoint?.port ?? 0,
    }
    this.#put(BACKEND.name, encode(BACKEND.key, {backendUid}), encode(BACKEND.value, value))
  }

  /** Ports 443 -> 9443 in the first slot, 80 -> 8080 in the second. */
  putService(serviceId: number, change: ServiceChange): void {
    const value = {
      endpointCount: change.counts ?? [0],
      lbPolicy: change.policy ?? 'random',
      ports: [
        {servicePort: 443, targetPort: 9443},
        {servicePort: 80, targetPort: 8080},
      ],
      waypointAddress: change.waypoint?.address ?? null,
      waypointPort: change.waypoint?.port ?? 0,
    }
    this.#put(SERVICE.name, encode(SERVICE.key, {serviceId}), encode(SERVICE.value, value))
  }

  putEndpoint(serviceId: number, priority: number, index: number, backendUid: number): void {
    const key = encode(ENDPOINT.key, {serviceId, priority, index})
    this.#put(ENDPOINT.name, key, encode(ENDPOINT.value, {backendUid}))
  }

  putLevel(bpfLogLevel: BpfLevel): void {
    this.#put(GLOBALS.name, encode(GLOBALS.key, {index: 0}), encode(GLOBALS.value, {bpfLogLevel}))
  }

  setManaged(cookie: bigint, managed: boolean): void {
    const key = encode(MANAGE.key, {cookie: cookie.toString(), address: null})
    using map = this.#bpf.openPinned(this.#pin(MANAGE.name))
    if (managed) map.update(key, encode(MANAGE.value, {flags: 0}))
    else map.delete(key)
  }

  #put(name: string, key: Uint8Array, value: Uint8Array): void {
    using map = this.#bpf.openPinned(this.#pin(name))
    map.update(key, value)
  }
}
