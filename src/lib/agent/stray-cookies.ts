// SPDX-License-Identifier: Apache-2.0
/**
 * Entries of km_manage that no pod of ours explains: of a CNI plugin of another make whose pod is on its way, or of
 * pods that died while nobody looked. They go when their namespace has been gone for long, never before.
 */
import {setImmediate} from 'node:timers/promises'
import {messageOf} from '../errors.ts'
import {hex} from '../model/codec.ts'
import type {ManageKey} from '../model/map-fields.ts'
import {MANAGE} from '../model/maps.ts'
import type {BpfMap, Clock, Log, Netns, Proc} from '../ports.ts'
import {CaseLog} from './case-log.ts'

/** Longer than a runtime needs from CNI to the first process in the namespace. */
const GONE_MS = 120_000
/** Namespaces entered between two turns of the event loop; each takes about 0.1 ms. */
const TURN_NAMESPACES = 20

export interface StrayParts {
  readonly manage: BpfMap
  readonly proc: Proc
  readonly netns: Netns
  readonly clock: Clock
  readonly log: Log
}

/** What the agent knows itself. */
export interface KnownMarks {
  readonly cookies: ReadonlySet<string>
  /** Of pods that run now: a view of the machine without them is not the whole. */
  readonly running: ReadonlySet<string>
  /** Of the pods of the node: entries can be addresses, too. */
  readonly addresses: ReadonlySet<string>
}

interface Stray extends ManageKey {
  readonly bytes: Uint8Array
}

export class StrayCookies {
  readonly #parts: StrayParts
  /** Key in hex -> since when nothing explains it. */
  readonly #goneSinceMs = new Map<string, number>()
  readonly #said = new Set<string>()
  readonly #cases: CaseLog

  constructor(parts: StrayParts) {
    this.#parts = parts
    this.#cases = new CaseLog(parts.log, parts.clock)
  }

  /** One look. Failures are logged and change nothing. */
  async collect(known: () => KnownMarks): Promise<void> {
    try {
      const strays = this.#strays(known())
      this.#forgetAllBut(strays)
      if (strays.length === 0) return
      const living = await this.#living()
      // Asked again: pods may have come meanwhile.
      const now = known()
      const isWhole = [...now.running].every((cookie) => living.has(cookie))
      if (!isWhole) return this.#parts.log.debug('not every pod is among the processes: entries stay')
      for (const stray of strays) this.#judge(stray, now, living)
    } catch (error) {
      this.#cases.warn('failed', `entries that no pod explains stay: ${messageOf(error)}`)
    }
  }

  #strays({cookies}: KnownMarks): Stray[] {
    const strays: Stray[] = []
    for (const {count, keys} of this.#parts.manage.read()) {
      for (let entry = 0; entry < count; entry += 1) {
        const bytes = keys.slice(entry * MANAGE.keyBytes, (entry + 1) * MANAGE.keyBytes)
        const key = MANAGE.key.read(new DataView(bytes.buffer), 0)
        if (key.cookie === null || !cookies.has(key.cookie)) strays.push({...key, bytes})
      }
    }
    return strays
  }

  #forgetAllBut(strays: readonly Stray[]): void {
    const keys = new Set(strays.map(({bytes}) => hex(bytes)))
    for (const key of [...this.#goneSinceMs.keys(), ...this.#said]) {
      if (keys.has(key)) continue
      this.#goneSinceMs.delete(key)
      this.#said.delete(key)
    }
  }

  /** Cookies of every network namespace of this machine; true for those of the node itself. */
  async #living(): Promise<ReadonlyMap<string, boolean>> {
    const {proc, netns} = this.#parts
    const ofNode = proc.nodeNamespaces()
    const living = new Map<string, boolean>()
    for (const [position, {path, identity}] of (await proc.networkNamespaces()).entries()) {
      if (position % TURN_NAMESPACES === TURN_NAMESPACES - 1) await setImmediate()
      if (proc.identityOf(path) !== identity) continue
      living.set(netns.cookie(path).toString(), ofNode.has(identity))
    }
    return living
  }

  #judge(stray: Stray, {cookies, addresses}: KnownMarks, living: ReadonlyMap<string, boolean>): void {
    const {clock, log, manage} = this.#parts
    const key = hex(stray.bytes)
    const subject = stray.cookie === null ? stray.address : `namespace ${stray.cookie}`
    if (stray.cookie !== null && cookies.has(stray.cookie)) return
    if (stray.cookie !== null && living.get(stray.cookie) === true) {
      manage.delete(stray.bytes)
      log.warn(`released ${subject}: it is the node's own, which is never enrolled`)
      return
    }
    if (
      (stray.cookie !== null && living.has(stray.cookie)) ||
      (stray.address !== null && addresses.has(stray.address))
    ) {
      this.#goneSinceMs.delete(key)
      if (!this.#said.has(key)) log.info(`${subject} is enrolled, and not as a pod of this node: it stays`)
      this.#said.add(key)
      return
    }
    const sinceMs = this.#goneSinceMs.get(key) ?? clock.monotonicMs()
    this.#goneSinceMs.set(key, sinceMs)
    if (clock.monotonicMs() - sinceMs < GONE_MS) return
    if (manage.delete(stray.bytes)) log.info(`removed the entry of ${subject}: nothing of it is left`)
  }
}
