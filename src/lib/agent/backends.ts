// SPDX-License-Identifier: Apache-2.0
/** Every backend that somebody wants: its pod, or services whose slices name it. */
import type {BackendValue} from '../model/maps.ts'
import {type DesiredEndpoint, MAX_SERVICES} from './desired.ts'

export interface BackendState {
  readonly name: string
  readonly id: number
  /** From the pod, when it is known; it decides. */
  podAddress: string | undefined
  frontend: boolean
  /** Service families, each with the address that its slices give. Few, so a list is smaller than a map. */
  services: readonly ServiceUse[]
  /** The map has exactly this, if it has the entry at all. */
  isStored: boolean
}

export interface ServiceUse {
  readonly service: string
  readonly address: string
}

export class Backends {
  readonly #byName = new Map<string, BackendState>()
  readonly #wantedIds = new Set<number>()
  readonly #assign: (name: string) => number

  constructor(assign: (name: string) => number) {
    this.#assign = assign
  }

  get(name: string): BackendState | undefined {
    return this.#byName.get(name)
  }

  isWanted(id: number): boolean {
    return this.#wantedIds.has(id)
  }

  setPod(name: string, address: string, frontend: boolean): BackendState {
    const state = this.#ensure(name)
    if (state.podAddress !== address) state.isStored = false
    state.podAddress = address
    state.frontend = frontend
    return state
  }

  clearPod(name: string): void {
    const state = this.#byName.get(name)
    if (state === undefined) return
    state.isStored = false
    state.podAddress = undefined
    state.frontend = false
    this.#dropUnused(state)
  }

  addService(endpoint: DesiredEndpoint, service: string): BackendState {
    const state = this.#ensure(endpoint.name)
    const known = state.services.find((use) => use.service === service)
    if (known?.address === endpoint.address) return state
    const others = state.services.filter((use) => use.service !== service)
    state.isStored = false
    state.services = [...others, {service, address: endpoint.address}]
    return state
  }

  removeService(name: string, service: string): void {
    const state = this.#byName.get(name)
    if (state === undefined) return
    state.isStored = false
    state.services = state.services.filter((use) => use.service !== service)
    this.#dropUnused(state)
  }

  #ensure(name: string): BackendState {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const state: BackendState = {
      name,
      id: this.#assign(name),
      podAddress: undefined,
      frontend: false,
      services: [],
      isStored: false,
    }
    this.#byName.set(name, state)
    this.#wantedIds.add(state.id)
    return state
  }

  #dropUnused(state: BackendState): void {
    if (state.podAddress !== undefined || state.services.length > 0) return
    this.#byName.delete(state.name)
    this.#wantedIds.delete(state.id)
  }
}

/** @param idOf - id of a service family; undefined ones are left out */
export function backendValue(
  state: BackendState,
  idOf: (service: string) => number | undefined,
): BackendValue | undefined {
  const address = state.podAddress ?? state.services[0]?.address
  if (address === undefined) return undefined
  const names = state.services
    .map((use) => use.service)
    .sort()
    .slice(0, MAX_SERVICES)
  const services = names.map(idOf).filter((id) => id !== undefined)
  return {address, services, waypointAddress: null, waypointPort: 0}
}
