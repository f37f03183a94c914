// SPDX-License-Identifier: Apache-2.0
/** Single changes of the routing maps: a backend, an address, a list of steps; with what is wanted by whom. */
import type {Clock, Log} from '../ports.ts'
import {backendText, isPartOf, type Step} from './actual.ts'
import {type BackendState, Backends, backendValue} from './backends.ts'
import {AddressClaims} from './claims.ts'
import {MAX_SERVICES} from './desired.ts'
import {FreeSpace, freeUnusedNames, staleSteps} from './free-space.ts'
import type {IdTable} from './ids.ts'
import {isMapFull, type MapWriter, mapOfStep} from './map-writer.ts'

export interface RoutingParts {
  readonly writer: MapWriter
  readonly ids: IdTable
  readonly clock: Clock
  readonly log: Log
}

export class Routing {
  readonly backends: Backends
  readonly claims = new AddressClaims()
  readonly freeSpace: FreeSpace
  /** Ids of the services that the cluster has. */
  readonly services = new Set<number>()
  readonly #parts: RoutingParts
  readonly #warnings = new Map<string, string>()
  /** Backends whose stored value says more than is known so far, by name. */
  readonly #unsettled = new Set<string>()
  #settled = false

  constructor(parts: RoutingParts) {
    this.#parts = parts
    this.backends = new Backends((name) => parts.ids.assign(name))
    this.freeSpace = new FreeSpace({...parts, isWanted: (id) => this.#isWanted(id)})
  }

  /** Limits that were met. */
  warnings(): readonly string[] {
    return [...this.#warnings].map(([subject, text]) => `${subject} ${text}`)
  }

  putBackend(state: BackendState): void {
    const {ids, writer} = this.#parts
    const stored = writer.actual.backends.get(state.id)
    if (state.isStored && stored !== undefined) return
    this.#warnTooMany(state)
    const value = backendValue(state, (service) => ids.idOf(service))
    if (value === undefined) return
    if (stored !== backendText(value)) {
      if (!this.#settled && stored !== undefined && isPartOf(value, stored)) {
        this.#unsettled.add(state.name)
        return
      }
      this.run([{kind: 'putBackend', id: state.id, value}])
    }
    state.isStored = true
  }

  /**
   * Everything was seen once. Until then a backend that an earlier agent wrote keeps services that were not seen yet:
   * a restart in an unchanged cluster writes nothing.
   */
  settle(): void {
    this.#settled = true
    for (const name of this.#unsettled) {
      const state = this.backends.get(name)
      if (state !== undefined) this.putBackend(state)
      this.#unsettled.delete(name)
    }
  }

  #warnTooMany({name, services: {length}}: BackendState): void {
    const subject = `backend ${name}`
    if (length > MAX_SERVICES) {
      this.warn(subject, `belongs to ${length} services, the first ${MAX_SERVICES} are kept`)
    } else {
      this.#warnings.delete(subject)
    }
  }

  /** After somebody has let go of it. */
  refreshBackend(state: BackendState): void {
    if (this.backends.isWanted(state.id)) {
      this.putBackend(state)
      return
    }
    this.#warnings.delete(`backend ${state.name}`)
    this.freeSpace.postpone({kind: 'deleteBackend', id: state.id}, state.name)
  }

  releaseAddress(address: string, owner: string): void {
    this.claims.release(address, owner)
    this.applyAddress(address)
  }

  applyAddress(address: string): void {
    const wanted = this.claims.winner(address)
    const stored = this.#parts.writer.actual.frontends.get(address)
    if (wanted === stored) return
    if (wanted === undefined) this.run([{kind: 'deleteFrontend', address}])
    else this.run([{kind: 'putFrontend', address, upstreamId: wanted}])
  }

  run(steps: readonly Step[]): void {
    for (const step of steps) {
      try {
        this.#parts.writer.write(step)
      } catch (error) {
        if (error instanceof Error && isMapFull(error))
          error.message = `map ${mapOfStep(step)} is full: ${error.message}`
        throw error
      }
    }
  }

  /** @returns false where it failed; what failed is kept for the retry of the whole unit */
  attempt(failed: unknown[], run: () => void): boolean {
    try {
      run()
      return true
    } catch (error) {
      failed.push(error)
      return false
    }
  }

  warn(subject: string, text: string): void {
    if (text === '') {
      this.#warnings.delete(subject)
    } else if (this.#warnings.get(subject) !== text) {
      this.#warnings.set(subject, text)
      this.#parts.log.warn(`${subject} ${text}`)
    }
  }

  /** What an earlier agent left and the cluster no longer has. */
  sweep(): void {
    const {writer, ids, log} = this.#parts
    const isWanted = (id: number) => this.#isWanted(id)
    const foreign = writer.dropForeign()
    if (foreign > 0) log.warn(`removed ${foreign} entries of routing maps that no agent of ours writes`)
    for (const address of [...writer.actual.frontends.keys()]) {
      if (this.claims.winner(address) === undefined) this.run([{kind: 'deleteFrontend', address}])
    }
    for (const {step, name} of staleSteps(writer.actual, ids, isWanted)) this.freeSpace.postpone(step, name)
    freeUnusedNames(writer.actual, ids, isWanted)
  }

  #isWanted(id: number): boolean {
    return this.services.has(id) || this.backends.isWanted(id)
  }
}
