// SPDX-License-Identifier: Apache-2.0
/** Keeps the four routing maps equal to the cluster, one service or pod at a time. */
import {messageOf} from '../errors.ts'
import {type ClusterListener, ClusterState} from './cluster.ts'
import {type DesiredBackend, type DesiredFamily, desiredService} from './desired.ts'
import {isMapFull} from './map-writer.ts'
import {planService, planServiceRemoval} from './plan.ts'
import {Routing, type RoutingParts} from './routing.ts'
import {WorkQueue} from './work-queue.ts'

const SWEEP_AGAIN_MS = 1000

interface AppliedFamily {
  readonly id: number
  readonly vips: readonly string[]
  readonly endpoints: ReadonlySet<string>
}

export interface ReconcilerParts extends RoutingParts {
  readonly clusterDomain: string
  /** The maps hold the cluster for the first time. */
  readonly onSynced?: () => void
}

export class Reconciler implements ClusterListener {
  readonly cluster: ClusterState
  readonly #parts: ReconcilerParts
  readonly #queue: WorkQueue
  readonly #routing: Routing
  readonly #families = new Map<string, ReadonlyMap<string, AppliedFamily>>()
  readonly #pods = new Map<string, readonly DesiredBackend[]>()
  #swept = false

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
    this.cluster = new ClusterState(this)
    this.#routing = new Routing(parts)
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
    return this.#routing.warnings()
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
    this.#routing.warn(`service ${key}`, desired.warnings.join('; '))
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
    this.#routing.services.add(id)
    const backendIds: number[] = []
    const endpoints = new Set<string>()
    for (const endpoint of family.endpoints) {
      endpoints.add(endpoint.name)
      const state = this.#routing.backends.addService(endpoint, family.name)
      this.#routing.attempt(failed, () => this.#routing.putBackend(state))
      if (this.#parts.writer.actual.backends.has(state.id)) backendIds.push(state.id)
    }
    this.#routing.attempt(failed, () => this.#writeSlots(family, id, backendIds))
    for (const vip of family.vips) {
      this.#routing.claims.claim(vip, {owner: family.name, id, isService: true})
      this.#routing.attempt(failed, () => this.#routing.applyAddress(vip))
    }
    for (const vip of before?.vips ?? []) {
      if (!family.vips.includes(vip))
        this.#routing.attempt(failed, () => this.#routing.releaseAddress(vip, family.name))
    }
    this.#releaseEndpoints(before, endpoints, family.name, failed)
    return {id, vips: family.vips, endpoints}
  }

  /** A map that is full leaves out what does not fit; the rest of the service is served. */
  #writeSlots(family: DesiredFamily, id: number, backendIds: readonly number[]): void {
    const {actual} = this.#parts.writer
    const plan = planService(actual, {id, ports: family.ports, backendIds})
    try {
      this.#routing.run(plan.now)
    } catch (error) {
      if (!isMapFull(error)) throw error
      const stored = new Set(actual.endpoints.get(id))
      const fitting = backendIds.filter((backend) => stored.has(backend))
      this.#routing.run(planService(actual, {id, ports: family.ports, backendIds: fitting}).now)
      throw error
    } finally {
      for (const step of plan.later) this.#routing.freeSpace.postpone(step)
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
      const state = this.#routing.backends.get(name)
      this.#routing.backends.removeService(name, service)
      if (state !== undefined) this.#routing.attempt(failed, () => this.#routing.refreshBackend(state))
    }
  }

  #removeFamily(name: string, old: AppliedFamily): void {
    const failed: unknown[] = []
    this.#routing.services.delete(old.id)
    for (const vip of old.vips) this.#routing.attempt(failed, () => this.#routing.releaseAddress(vip, name))
    for (const step of planServiceRemoval(this.#parts.writer.actual, old.id).later)
      this.#routing.freeSpace.postpone(step, name)
    this.#releaseEndpoints(old, new Set(), name, failed)
    if (failed.length > 0) throw failed[0]
  }

  #reconcilePod(key: string): void {
    const desired = this.cluster.knownPod(key)?.backends ?? []
    const before = this.#pods.get(key) ?? []
    const failed: unknown[] = []
    for (const backend of desired) {
      const state = this.#routing.backends.setPod(backend.name, backend.address, backend.frontend)
      const written = this.#routing.attempt(failed, () => this.#routing.putBackend(state))
      if (!written || !backend.frontend) continue
      this.#routing.claims.claim(backend.address, {owner: backend.name, id: state.id, isService: false})
      this.#routing.attempt(failed, () => this.#routing.applyAddress(backend.address))
    }
    if (desired.length > 0) this.#pods.set(key, desired)
    else this.#pods.delete(key)
    for (const old of before) this.#routing.attempt(failed, () => this.#releasePodBackend(old, desired))
    if (failed.length > 0) throw failed[0]
  }

  #releasePodBackend(old: DesiredBackend, desired: readonly DesiredBackend[]): void {
    const same = desired.find((backend) => backend.name === old.name)
    if (same?.address !== old.address || !same.frontend) this.#routing.releaseAddress(old.address, old.name)
    if (same !== undefined) return
    const state = this.#routing.backends.get(old.name)
    this.#routing.backends.clearPod(old.name)
    if (state !== undefined) this.#routing.refreshBackend(state)
  }

  #idle(): void {
    if (this.#swept) return
    try {
      this.#routing.settle()
      this.#routing.sweep()
    } catch (error) {
      this.#parts.log.error(`cannot remove what is stale, trying again: ${messageOf(error)}`)
      this.#parts.clock.after(SWEEP_AGAIN_MS, () => this.#idle())
      return
    }
    this.#swept = true
    const {frontends, services, backends} = this.#parts.writer.actual
    const failed = this.problems().length
    const but = failed === 0 ? '' : `, but for ${failed} that failed (see /debug/ready)`
    this.#parts.log.info(
      `maps follow the cluster: ${services.size} services, ${backends.size} backends, ${frontends.size} addresses${but}`,
    )
    this.#parts.onSynced?.()
  }
}
