// SPDX-License-Identifier: Apache-2.0
/** Keeps the four routing maps equal to the cluster, one service or pod at a time. */
import type {Clock, Log} from '../ports.ts'
import type {Step} from './actual.ts'
import {backendText} from './actual.ts'
import {type BackendState, Backends, backendValue} from './backends.ts'
import {AddressClaims} from './claims.ts'
import {type ClusterListener, ClusterState} from './cluster.ts'
import {type DesiredBackend, type DesiredFamily, desiredService, MAX_SERVICES} from './desired.ts'
import {FreeSpace, freeUnusedNames, staleSteps} from './free-space.ts'
import type {IdTable} from './ids.ts'
import {isMapFull, type MapWriter, mapOfStep} from './map-writer.ts'
import {planService, planServiceRemoval} from './plan.ts'
import {WorkQueue} from './work-queue.ts'

interface AppliedFamily {
  readonly id: number
  readonly vips: readonly string[]
  readonly endpoints: ReadonlySet<string>
}

export interface ReconcilerParts {
  readonly writer: MapWriter
  readonly ids: IdTable
  readonly clock: Clock
  readonly log: Log
  readonly clusterDomain: string
}

export class Reconciler implements ClusterListener {
  readonly cluster: ClusterState
  readonly #parts: ReconcilerParts
  readonly #queue: WorkQueue
  readonly #backends: Backends
  readonly #claims = new AddressClaims()
  readonly #families = new Map<string, ReadonlyMap<string, AppliedFamily>>()
  readonly #pods = new Map<string, readonly DesiredBackend[]>()
  readonly #wantedServices = new Set<number>()
  readonly #warnings = new Map<string, string>()
  readonly #freeSpace: FreeSpace
  #swept = false

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
    this.cluster = new ClusterState(this)
    this.#backends = new Backends((name) => parts.ids.assign(name))
    this.#freeSpace = new FreeSpace({...parts, isWanted: (id) => this.#isWanted(id)})
    this.#queue = new WorkQueue(
      parts.clock,
      parts.log,
      (key) => this.#work(key),
      () => this.#idle(),
    )
  }

  /** Call when the cluster's state is complete for the first time; before that nothing is written. */
  start(): void {
    this.#queue.start()
  }

  stop(): void {
    this.#queue.stop()
  }

  /** True once everything that was there at the start is in the maps and nothing stale is. */
  get synced(): boolean {
    return this.#swept
  }

  serviceChanged(key: string): void {
    this.#queue.add(`service ${key}`)
  }

  podChanged(key: string): void {
    this.#queue.add(`pod ${key}`)
  }

  /** What is not in the maps as it should be, for the operator. */
  problems(): readonly string[] {
    return [...this.#queue.failures()].map(([key, {message}]) => `${key}: ${message}`)
  }

  /** Limits that were met. */
  warnings(): readonly string[] {
    return [...this.#warnings].map(([subject, text]) => `${subject} ${text}`)
  }

  #work(key: string): void {
    const [kind, name = ''] = key.split(' ')
    if (kind === 'service') this.#reconcileService(name)
    else this.#reconcilePod(name)
  }

  #reconcileService(key: string): void {
    const {cluster} = this
    const service = cluster.services.get(key)
    const settings = {clusterDomain: this.#parts.clusterDomain, unknownPodFamily: cluster.podFamily()}
    const desired =
      service === undefined
        ? {families: [], warnings: []}
        : desiredService(service, cluster.slicesOf(key), (pod) => cluster.knownPod(pod), settings)
    this.#warn(`service ${key}`, desired.warnings.join('; '))
    const before = this.#families.get(key) ?? new Map<string, AppliedFamily>()
    const after = new Map<string, AppliedFamily>()
    const failed: unknown[] = []
    for (const family of desired.families) {
      after.set(family.name, this.#applyFamily(family, before.get(family.name), failed))
    }
    if (after.size > 0) this.#families.set(key, after)
    else this.#families.delete(key)
    for (const [name, old] of before) if (!after.has(name)) this.#removeFamily(name, old)
    if (failed.length > 0) throw failed[0]
  }

  #applyFamily(family: DesiredFamily, before: AppliedFamily | undefined, failed: unknown[]): AppliedFamily {
    const id = this.#parts.ids.assign(family.name)
    this.#wantedServices.add(id)
    const backendIds: number[] = []
    const endpoints = new Set<string>()
    for (const endpoint of family.endpoints) {
      endpoints.add(endpoint.name)
      const state = this.#backends.addService(endpoint, family.name)
      if (this.#attempt(failed, () => this.#putBackend(state))) backendIds.push(state.id)
    }
    this.#attempt(failed, () => this.#writeSlots(family, id, backendIds))
    for (const vip of family.vips) {
      this.#claims.claim(vip, family.name, {id, isService: true})
      this.#attempt(failed, () => this.#applyAddress(vip))
    }
    for (const vip of before?.vips ?? []) {
      if (!family.vips.includes(vip)) this.#attempt(failed, () => this.#releaseAddress(vip, family.name))
    }
    this.#releaseEndpoints(before, endpoints, family.name, failed)
    return {id, vips: family.vips, endpoints}
  }

  /** A map that is full leaves out what does not fit; the rest of the service is served. */
  #writeSlots(family: DesiredFamily, id: number, backendIds: readonly number[]): void {
    const {actual} = this.#parts.writer
    const plan = planService(actual, {id, ports: family.ports, backendIds})
    try {
      this.#run(plan.now)
    } catch (error) {
      if (!isMapFull(error)) throw error
      const stored = new Set(actual.endpoints.get(id))
      const fitting = backendIds.filter((backend) => stored.has(backend))
      this.#run(planService(actual, {id, ports: family.ports, backendIds: fitting}).now)
      throw error
    } finally {
      for (const step of plan.later) this.#freeSpace.postpone(step)
    }
  }

  #releaseEndpoints(
    before: AppliedFamily | undefined,
    kept: ReadonlySet<string>,
    service: string,
    failed: unknown[],
  ): void {
    for (const name of before?.endpoints ?? []) {
      if (kept.has(name)) continue
      const state = this.#backends.get(name)
      this.#backends.removeService(name, service)
      if (state !== undefined) this.#attempt(failed, () => this.#refreshBackend(state))
    }
  }

  #removeFamily(name: string, old: AppliedFamily): void {
    const failed: unknown[] = []
    this.#wantedServices.delete(old.id)
    for (const vip of old.vips) this.#attempt(failed, () => this.#releaseAddress(vip, name))
    for (const step of planServiceRemoval(this.#parts.writer.actual, old.id).later)
      this.#freeSpace.postpone(step, name)
    this.#releaseEndpoints(old, new Set(), name, failed)
    if (failed.length > 0) throw failed[0]
  }

  #reconcilePod(key: string): void {
    const desired = this.cluster.knownPod(key)?.backends ?? []
    const before = this.#pods.get(key) ?? []
    const failed: unknown[] = []
    for (const backend of desired) {
      const state = this.#backends.setPod(backend.name, backend.address, backend.frontend)
      const written = this.#attempt(failed, () => this.#putBackend(state))
      if (!written || !backend.frontend) continue
      this.#claims.claim(backend.address, backend.name, {id: state.id, isService: false})
      this.#attempt(failed, () => this.#applyAddress(backend.address))
    }
    if (desired.length > 0) this.#pods.set(key, desired)
    else this.#pods.delete(key)
    for (const old of before) this.#attempt(failed, () => this.#releasePodBackend(old, desired))
    if (failed.length > 0) throw failed[0]
  }

  #releasePodBackend(old: DesiredBackend, desired: readonly DesiredBackend[]): void {
    const same = desired.find((backend) => backend.name === old.name)
    if (same?.address !== old.address || !same.frontend) this.#releaseAddress(old.address, old.name)
    if (same !== undefined) return
    const state = this.#backends.get(old.name)
    this.#backends.clearPod(old.name)
    if (state !== undefined) this.#refreshBackend(state)
  }

  #putBackend(state: BackendState): void {
    const {ids, writer} = this.#parts
    const count = state.services.size
    const tooMany = `belongs to ${count} services, the first ${MAX_SERVICES} are kept`
    this.#warn(`backend ${state.name}`, count > MAX_SERVICES ? tooMany : '')
    const value = backendValue(state, (service) => ids.idOf(service))
    if (value === undefined || writer.actual.backends.get(state.id) === backendText(value)) return
    this.#run([{kind: 'putBackend', id: state.id, value}])
  }

  /** After somebody has let go of it. */
  #refreshBackend(state: BackendState): void {
    if (this.#backends.isWanted(state.id)) {
      this.#putBackend(state)
      return
    }
    this.#warnings.delete(`backend ${state.name}`)
    this.#freeSpace.postpone({kind: 'deleteBackend', id: state.id}, state.name)
  }

  #releaseAddress(address: string, owner: string): void {
    this.#claims.release(address, owner)
    this.#applyAddress(address)
  }

  #applyAddress(address: string): void {
    const wanted = this.#claims.winner(address)
    const stored = this.#parts.writer.actual.frontends.get(address)
    if (wanted === stored) return
    if (wanted === undefined) this.#run([{kind: 'deleteFrontend', address}])
    else this.#run([{kind: 'putFrontend', address, upstreamId: wanted}])
  }

  #run(steps: readonly Step[]): void {
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
  #attempt(failed: unknown[], run: () => void): boolean {
    try {
      run()
      return true
    } catch (error) {
      failed.push(error)
      return false
    }
  }

  #warn(subject: string, text: string): void {
    if (text === '') {
      this.#warnings.delete(subject)
    } else if (this.#warnings.get(subject) !== text) {
      this.#warnings.set(subject, text)
      this.#parts.log.warn(`${subject} ${text}`)
    }
  }

  #isWanted(id: number): boolean {
    return this.#wantedServices.has(id) || this.#backends.isWanted(id)
  }

  #idle(): void {
    if (this.#swept) return
    this.#swept = true
    this.#sweep()
    const {frontends, services, backends} = this.#parts.writer.actual
    this.#parts.log.info(
      `maps follow the cluster: ${services.size} services, ${backends.size} backends, ${frontends.size} addresses`,
    )
  }

  /** What an earlier agent left and the cluster no longer has. */
  #sweep(): void {
    const {writer, ids} = this.#parts
    const isWanted = (id: number) => this.#isWanted(id)
    for (const address of [...writer.actual.frontends.keys()]) {
      if (this.#claims.winner(address) === undefined) this.#run([{kind: 'deleteFrontend', address}])
    }
    for (const {step, name} of staleSteps(writer.actual, ids, isWanted)) this.#freeSpace.postpone(step, name)
    freeUnusedNames(writer.actual, ids, isWanted)
  }
}
