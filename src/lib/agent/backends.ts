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
  /** Service family name -> address that its slices give. */
  readonly services: Map<string, string>
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
    state.podAddress = address
    state.frontend = frontend
    return state
  }

  clearPod(name: string): void {
    const state = this.#byName.get(name)
    if (state === undefined) return
    state.podAddress = undefined
    state.frontend = false
    this.#dropUnused(state)
  }

  addService(endpoint: DesiredEndpoint, service: string): BackendState {
    const state = this.#ensure(endpoint.name)
    state.services.set(service, endpoint.address)
    return state
  }

  removeService(name: string, service: string): void {
    const state = this.#byName.get(name)
    if (state === undefined) return
    state.services.delete(service)
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
      services: new Map(),
    }
    this.#byName.set(name, state)
    this.#wantedIds.add(state.id)
    return state
  }

  #dropUnused(state: BackendState): void {
    if (state.podAddress !== undefined || state.services.size > 0) return
    this.#byName.delete(state.name)
    this.#wantedIds.delete(state.id)
  }
}

/** @param idOf - id of a service family; undefined ones are left out */
export function backendValue(
  state: BackendState,
  idOf: (service: string) => number | undefined,
): BackendValue | undefined {
  const address = state.podAddress ?? state.services.values().next().value
  if (address === undefined) return undefined
  const names = [...state.services.keys()].sort().slice(0, MAX_SERVICES)
  const services = names.map(idOf).filter((id) => id !== undefined)
  return {address, services, waypointAddress: null, waypointPort: 0}
}
