// SPDX-License-Identifier: Apache-2.0
/** Looks for the network namespaces of pods among the processes: soon after they are sought, then less and less often. */
import {messageOf} from '../errors.ts'
import type {Clock, Log, PodNamespace, Proc} from '../ports.ts'

const FIRST_SEARCH_MS = 20
const LAST_SEARCH_MS = 2000

export class PodSearch {
  readonly #proc: Proc
  readonly #clock: Clock
  readonly #log: Log
  readonly #onFound: (found: ReadonlyMap<string, PodNamespace>) => void
  readonly #sought = new Set<string>()
  #delayMs = FIRST_SEARCH_MS
  #state: 'new' | 'waiting' | 'searching' | 'stopped' = 'new'
  #cancel: (() => void) | undefined

  /** @param onFound - gets uids that were sought, and no namespace of the node itself */
  constructor(
    proc: Proc,
    clock: Clock,
    log: Log,
    onFound: (found: ReadonlyMap<string, PodNamespace>) => void,
  ) {
    this.#proc = proc
    this.#clock = clock
    this.#log = log
    this.#onFound = onFound
  }

  start(): void {
    this.#state = 'waiting'
    this.#schedule(0)
  }

  stop(): void {
    this.#state = 'stopped'
    this.#cancel?.()
  }

  seek(uid: string): void {
    this.#sought.add(uid)
    this.#delayMs = FIRST_SEARCH_MS
    this.#schedule(0)
  }

  drop(uid: string): void {
    this.#sought.delete(uid)
  }

  #schedule(delayMs: number): void {
    if (this.#state !== 'waiting' || this.#sought.size === 0) return
    this.#cancel?.()
    this.#cancel = this.#clock.after(delayMs, () => void this.#search())
  }

  async #search(): Promise<void> {
    if (this.#state !== 'waiting') return
    this.#state = 'searching'
    try {
      const found = await this.#proc.podNamespaces(new Set(this.#sought))
      this.#take(found)
    } catch (error) {
      this.#log.error(`cannot look through the processes: ${messageOf(error)}`)
    }
    if (this.#isStopped()) return
    this.#state = 'waiting'
    this.#schedule(this.#delayMs)
    this.#delayMs = Math.min(LAST_SEARCH_MS, this.#delayMs * 2)
  }

  #isStopped(): boolean {
    return this.#state === 'stopped'
  }

  #take(found: ReadonlyMap<string, PodNamespace>): void {
    if (this.#isStopped()) return
    const ofNode = this.#proc.nodeNamespaces()
    const ofPods = new Map<string, PodNamespace>()
    for (const [uid, namespace] of found) {
      // A process on its way into the pod's namespace is still in the node's.
      if (!ofNode.has(namespace.identity) && this.#sought.delete(uid)) ofPods.set(uid, namespace)
    }
    if (ofPods.size > 0) this.#onFound(ofPods)
  }
}
