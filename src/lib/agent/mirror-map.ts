// SPDX-License-Identifier: Apache-2.0
import type {BpfBatch, BpfMap} from '../ports.ts'

/**
 * km_manage and km_globals while programs of two versions exist: the new map is what is read, and each write goes
 * also into the one that the old programs still look at, so that a pod is captured, and a level holds, at once.
 */
export class MirrorMap implements BpfMap {
  readonly #next: BpfMap
  #old: BpfMap | undefined

  /** Owns both. */
  constructor(next: BpfMap, old: BpfMap) {
    this.#next = next
    this.#old = old
  }

  get info() {
    return this.#next.info
  }

  /** The old programs are gone. */
  endMirror(): void {
    this.#old?.[Symbol.dispose]()
    this.#old = undefined
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    return this.#next.lookup(key)
  }

  update(key: Uint8Array, value: Uint8Array): void {
    if (this.#old !== undefined) writeFirstBytes(this.#old, key, value)
    this.#next.update(key, value)
  }

  delete(key: Uint8Array): boolean {
    const wasInOld = this.#old?.delete(key) ?? false
    return this.#next.delete(key) || wasInOld
  }

  updateBatch({count, keys, values}: BpfBatch): void {
    const {keyBytes, valueBytes} = this.info
    for (let at = 0; at < count; at += 1) {
      this.update(
        keys.subarray(at * keyBytes, (at + 1) * keyBytes),
        values.subarray(at * valueBytes, (at + 1) * valueBytes),
      )
    }
  }

  read(chunkEntries?: number): Iterable<BpfBatch> {
    return this.#next.read(chunkEntries)
  }

  [Symbol.dispose](): void {
    this.endMirror()
    this.#next[Symbol.dispose]()
  }
}

/** What this version does not know of the old value stays. */
function writeFirstBytes(map: BpfMap, key: Uint8Array, value: Uint8Array): void {
  const whole = map.lookup(key) ?? new Uint8Array(map.info.valueBytes)
  whole.set(value.subarray(0, map.info.valueBytes))
  map.update(key, whole)
}
