// SPDX-License-Identifier: Apache-2.0
/** One map or ring buffer of the Bpf port in memory. */
import {KernelError, KmeshError, LayoutError} from '../errors.ts'
import {BPF_MAP_TYPE} from '../model/maps.ts'
import type {BpfBatch, BpfMap, BpfMapInfo, BpfRing} from '../ports.ts'

const E2BIG = 7
const EINVAL = 22

export type MemoryCall = 'load' | 'lookup' | 'update' | 'updateBatch' | 'delete' | 'read'

export interface MemoryStore {
  readonly info: BpfMapInfo
  /** Key in hex -> value. */
  readonly entries: Map<string, Uint8Array>
  /** Of a ring buffer: what nobody has read yet. Without programs in a kernel nothing ever comes in. */
  readonly records: Uint8Array[]
}

export interface MemoryWrite {
  readonly map: string
  readonly call: 'update' | 'delete'
  readonly keyHex: string
}

/** What a map tells the Bpf port that it belongs to. */
export interface MemoryOwner {
  /** Before anything is done; may throw. */
  before(call: MemoryCall, target: string): void
  wrote(write: MemoryWrite): void
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

export class MemoryMap implements BpfMap {
  readonly info: BpfMapInfo
  readonly #owner: MemoryOwner
  readonly #store: MemoryStore
  #isClosed = false

  constructor(owner: MemoryOwner, store: MemoryStore) {
    this.#owner = owner
    this.#store = store
    this.info = store.info
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    this.#check('lookup', [[key, this.info.keyBytes]])
    return this.#store.entries.get(hexOf(key))?.slice()
  }

  update(key: Uint8Array, value: Uint8Array): void {
    this.#check('update', [
      [key, this.info.keyBytes],
      [value, this.info.valueBytes],
    ])
    this.#put(key, value)
  }

  delete(key: Uint8Array): boolean {
    this.#check('delete', [[key, this.info.keyBytes]])
    if (this.info.type === BPF_MAP_TYPE.array) throw new KernelError('delete', EINVAL, this.info.name)
    const keyHex = hexOf(key)
    const wasThere = this.#store.entries.delete(keyHex)
    if (wasThere) this.#owner.wrote({map: this.info.name, call: 'delete', keyHex})
    return wasThere
  }

  updateBatch(batch: BpfBatch): void {
    const {keyBytes, valueBytes} = this.info
    this.#check('updateBatch', [
      [batch.keys, keyBytes * batch.count],
      [batch.values, valueBytes * batch.count],
    ])
    for (let index = 0; index < batch.count; index++) {
      const key = batch.keys.subarray(index * keyBytes, (index + 1) * keyBytes)
      this.#put(key, batch.values.subarray(index * valueBytes, (index + 1) * valueBytes))
    }
  }

  *read(chunkEntries = 8192): Generator<BpfBatch> {
    this.#check('read', [])
    const entries = [...this.#store.entries]
    for (let at = 0; at < entries.length; at += chunkEntries) {
      const chunk = entries.slice(at, at + chunkEntries)
      yield {
        count: chunk.length,
        keys: new Uint8Array(Buffer.concat(chunk.map(([key]) => Buffer.from(key, 'hex')))),
        values: new Uint8Array(Buffer.concat(chunk.map(([, value]) => value))),
      }
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
  }

  #put(key: Uint8Array, value: Uint8Array): void {
    const keyHex = hexOf(key)
    const isNew = !this.#store.entries.has(keyHex)
    if (isNew && this.#store.entries.size >= this.info.maxEntries) {
      throw new KernelError('update', E2BIG, this.info.name)
    }
    this.#store.entries.set(keyHex, value.slice())
    this.#owner.wrote({map: this.info.name, call: 'update', keyHex})
  }

  #check(call: MemoryCall, lengths: readonly (readonly [Uint8Array, number])[]): void {
    if (this.#isClosed) throw new KmeshError(`map ${this.info.name} is closed`, {code: 'Closed'})
    for (const [bytes, expected] of lengths) {
      if (bytes.byteLength !== expected)
        throw new LayoutError(`${bytes.byteLength} instead of ${expected} bytes`)
    }
    this.#owner.before(call, this.info.name)
  }
}

export class MemoryRing implements BpfRing {
  readonly dropped = 0
  readonly #store: MemoryStore
  #isClosed = false

  constructor(store: MemoryStore) {
    this.#store = store
  }

  drain(maxRecords: number, onRecord: (record: Uint8Array) => void): number {
    if (this.#isClosed) throw new KmeshError('ring buffer is closed', {code: 'Closed'})
    const records = this.#store.records.splice(0, maxRecords)
    for (const record of records) onRecord(record)
    return records.length
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
  }
}
