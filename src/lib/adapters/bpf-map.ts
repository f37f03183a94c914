// SPDX-License-Identifier: Apache-2.0
/** One open map of the kernel, over its descriptor. */
import {closeSync} from 'node:fs'
import {KmeshError, LayoutError} from '../errors.ts'
import type {BpfBatch, BpfMap, BpfMapInfo} from '../ports.ts'
import {checked, kernelError, type NativeBpf} from './bpf-native.ts'

const ENOENT = 2
const EINVAL = 22
const ENOSPC = 28
const EOPNOTSUPP = 95
const ENOTSUPP = 524

const DEFAULT_CHUNK_ENTRIES = 8192
/** Of struct bpf_map_info; what a kernel does not know stays zero. */
const INFO_BYTES = 88
const NAME_OFFSET = 24
const NAME_BYTES = 16

/** What the kernel tells of the map behind `fd`. @throws KernelError */
export function mapInfo(native: NativeBpf, fd: number, target: string): BpfMapInfo {
  const bytes = new Uint8Array(INFO_BYTES)
  checked(native.infoByFd(fd, bytes, Uint32Array.of(INFO_BYTES)), 'BPF_OBJ_GET_INFO_BY_FD', target)
  const view = new DataView(bytes.buffer)
  const name = Buffer.from(bytes.buffer, NAME_OFFSET, NAME_BYTES).toString('latin1')
  return {
    type: view.getUint32(0, true),
    id: view.getUint32(4, true),
    keyBytes: view.getUint32(8, true),
    valueBytes: view.getUint32(12, true),
    maxEntries: view.getUint32(16, true),
    flags: view.getUint32(20, true),
    name: name.slice(0, `${name}\0`.indexOf('\0')),
  }
}

/** Batch commands are missing for this type of map, or in this kernel. */
function isUnsupported(errno: number): boolean {
  return errno === EINVAL || errno === EOPNOTSUPP || errno === ENOTSUPP
}

export class KernelMap implements BpfMap {
  readonly info: BpfMapInfo
  readonly #native: NativeBpf
  #fd: number | undefined

  /** Owns `fd` from now on. */
  constructor(native: NativeBpf, fd: number, target: string) {
    this.#native = native
    this.#fd = fd
    this.info = mapInfo(native, fd, target)
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    this.#checkLength(key, this.info.keyBytes, 'key')
    const value = new Uint8Array(this.info.valueBytes)
    const result = this.#native.lookup(this.#open(), key, value)
    if (result === -ENOENT) return undefined
    checked(result, 'BPF_MAP_LOOKUP_ELEM', this.info.name)
    return value
  }

  update(key: Uint8Array, value: Uint8Array): void {
    this.#checkLength(key, this.info.keyBytes, 'key')
    this.#checkLength(value, this.info.valueBytes, 'value')
    checked(this.#native.update(this.#open(), key, value, 0), 'BPF_MAP_UPDATE_ELEM', this.info.name)
  }

  delete(key: Uint8Array): boolean {
    this.#checkLength(key, this.info.keyBytes, 'key')
    const result = this.#native.remove(this.#open(), key)
    if (result === -ENOENT) return false
    checked(result, 'BPF_MAP_DELETE_ELEM', this.info.name)
    return true
  }

  updateBatch(batch: BpfBatch): void {
    const {keyBytes, valueBytes, name} = this.info
    this.#checkLength(batch.keys, batch.count * keyBytes, 'keys')
    this.#checkLength(batch.values, batch.count * valueBytes, 'values')
    if (batch.count === 0) return
    const count = Uint32Array.of(batch.count)
    const result = this.#native.updateBatch(this.#open(), batch.keys, batch.values, count, null)
    if (result >= 0) return
    if (!isUnsupported(-result)) throw kernelError('BPF_MAP_UPDATE_BATCH', -result, name)
    for (let index = 0; index < batch.count; index++) {
      this.update(
        batch.keys.subarray(index * keyBytes, (index + 1) * keyBytes),
        batch.values.subarray(index * valueBytes, (index + 1) * valueBytes),
      )
    }
  }

  *read(chunkEntries = DEFAULT_CHUNK_ENTRIES): Generator<BpfBatch> {
    const {keyBytes, maxEntries, name} = this.info
    let chunk = Math.max(1, Math.min(chunkEntries, maxEntries))
    let from: Uint8Array | null = null
    for (;;) {
      const to = new Uint8Array(Math.max(keyBytes, 8))
      const {result, batch} = this.#readChunk(from, to, chunk)
      if (result === -ENOSPC) {
        // One bucket holds more than the whole chunk.
        if (chunk > maxEntries) throw kernelError('BPF_MAP_LOOKUP_BATCH', ENOSPC, name)
        chunk *= 2
        continue
      }
      if (from === null && isUnsupported(-result)) {
        yield* this.#readSingly(chunk)
        return
      }
      if (result !== -ENOENT) checked(result, 'BPF_MAP_LOOKUP_BATCH', name)
      if (batch.count > 0) yield batch
      if (result === -ENOENT) return
      from = to
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #readChunk(from: Uint8Array | null, to: Uint8Array, chunk: number): {result: number; batch: BpfBatch} {
    const {keyBytes, valueBytes} = this.info
    const keys = new Uint8Array(chunk * keyBytes)
    const values = new Uint8Array(chunk * valueBytes)
    const counts = Uint32Array.of(chunk)
    const result = this.#native.lookupBatch(this.#open(), from, to, keys, values, counts, null)
    // The count is good on success and at the end only; the kernel leaves the input there on other failures.
    const count = result >= 0 || result === -ENOENT ? Math.min(counts[0] ?? 0, chunk) : 0
    return {
      result,
      batch: {
        count,
        keys: keys.subarray(0, count * keyBytes),
        values: values.subarray(0, count * valueBytes),
      },
    }
  }

  /** For maps without batch commands. A key that is deleted meanwhile makes the kernel start over: hence `seen`. */
  *#readSingly(chunk: number): Generator<BpfBatch> {
    const seen = new Set<string>()
    let entries: {key: Uint8Array; value: Uint8Array}[] = []
    let previous: Uint8Array | null = null
    for (let step = 0; step < this.info.maxEntries; step++) {
      const key: Uint8Array = new Uint8Array(this.info.keyBytes)
      const result = this.#native.nextKey(this.#open(), previous, key)
      if (result === -ENOENT) break
      checked(result, 'BPF_MAP_GET_NEXT_KEY', this.info.name)
      previous = key
      const text = Buffer.from(key).toString('latin1')
      const value = seen.has(text) ? undefined : this.lookup(key)
      seen.add(text)
      if (value !== undefined) entries.push({key, value})
      if (entries.length === chunk) {
        yield joined(entries)
        entries = []
      }
    }
    if (entries.length > 0) yield joined(entries)
  }

  #open(): number {
    if (this.#fd === undefined) throw new KmeshError(`map ${this.info.name} is closed`, {code: 'Closed'})
    return this.#fd
  }

  #checkLength(bytes: Uint8Array, expected: number, what: string): void {
    if (bytes.byteLength === expected) return
    throw new LayoutError(
      `${what} of map ${this.info.name}: expected ${expected} bytes, got ${bytes.byteLength}`,
    )
  }
}

function joined(entries: readonly {key: Uint8Array; value: Uint8Array}[]): BpfBatch {
  return {
    count: entries.length,
    keys: new Uint8Array(Buffer.concat(entries.map((entry) => entry.key))),
    values: new Uint8Array(Buffer.concat(entries.map((entry) => entry.value))),
  }
}
