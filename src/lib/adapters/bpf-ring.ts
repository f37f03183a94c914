// SPDX-License-Identifier: Apache-2.0
/**
 * Reader of a BPF ring buffer over shared memory, without callbacks from native
 * code. Layout (kernel/bpf/ringbuf.c): a page with the consumer's position,
 * which we write; a page with the producer's, read-only; then the data, mapped
 * twice in a row, so that a record never wraps. A record has a header of 8 bytes
 * whose first word is its length with two flags, and is padded to 8 bytes.
 */
import {closeSync} from 'node:fs'
import koffi from 'koffi'
import {KmeshError, LayoutError} from '../errors.ts'
import {BPF_MAP_TYPE} from '../model/maps.ts'
import type {BpfRing} from '../ports.ts'
import {mapInfo} from './bpf-map.ts'
import {kernelError, type NativeBpf} from './bpf-native.ts'

const PROT_READ = 1
const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const MAP_FAILED = 0xffff_ffff_ffff_ffffn

const HEADER_BYTES = 8
const BUSY = 0x8000_0000
const DISCARDED = 0x4000_0000
const LENGTH_MASK = 0x3fff_ffff

interface Mapping {
  readonly address: bigint
  readonly bytes: number
}

interface Views {
  readonly consumer: BigUint64Array
  readonly producer: BigUint64Array
  readonly headers: Uint32Array
  readonly data: Uint8Array
}

export class KernelRing implements BpfRing {
  /** The kernel keeps no count. */
  readonly dropped = 0
  readonly #native: NativeBpf
  readonly #fd: number
  readonly #bytes: number
  readonly #mappings: Mapping[] = []
  /** Undefined once closed: touching unmapped memory would end the process. */
  #views: Views | undefined

  /** Owns `fd` from now on, unless it throws. @throws LayoutError when it is no ring buffer; KernelError */
  constructor(native: NativeBpf, fd: number, target: string) {
    const info = mapInfo(native, fd, target)
    if (info.type !== BPF_MAP_TYPE.ringbuf) {
      throw new LayoutError(`${target} is a map of type ${info.type}, not a ring buffer`)
    }
    this.#native = native
    this.#fd = fd
    this.#bytes = info.maxEntries
    try {
      this.#views = this.#mapAll(target)
    } catch (thrown) {
      this.#unmapAll()
      throw thrown
    }
  }

  drain(maxRecords: number, onRecord: (record: Uint8Array) => void): number {
    const views = this.#views
    if (views === undefined) throw new KmeshError('ring buffer is closed', {code: 'Closed'})
    let position = Atomics.load(views.consumer, 0)
    const end = Atomics.load(views.producer, 0)
    let handed = 0
    for (let step = 0; step < maxRecords && position < end; step++) {
      const at = Number(position & BigInt(this.#bytes - 1))
      const header = Atomics.load(views.headers, at / 4)
      if ((header & BUSY) !== 0) break
      const length = header & LENGTH_MASK
      if (length > this.#bytes) throw new LayoutError(`ring buffer record of ${length} bytes`)
      try {
        if ((header & DISCARDED) === 0) {
          handed += 1
          onRecord(views.data.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length))
        }
      } finally {
        // Also when the callback threw: a record that cannot be handled must not come again for ever.
        position += BigInt(roundUpTo8(HEADER_BYTES + length))
        Atomics.store(views.consumer, 0, position)
      }
    }
    return handed
  }

  [Symbol.dispose](): void {
    if (this.#views === undefined) return
    this.#views = undefined
    this.#unmapAll()
    closeSync(this.#fd)
  }

  #mapAll(target: string): Views {
    const page = this.#native.pageBytes()
    const consumer = this.#map(page, PROT_READ_WRITE, 0, target)
    const producer = this.#map(page + 2 * this.#bytes, PROT_READ, page, target)
    return {
      consumer: new BigUint64Array(consumer, 0, 1),
      producer: new BigUint64Array(producer, 0, 1),
      headers: new Uint32Array(producer, page),
      data: new Uint8Array(producer, page),
    }
  }

  #map(bytes: number, protection: number, offset: number, target: string): ArrayBuffer {
    const address = this.#native.mmap(null, bytes, protection, MAP_SHARED, this.#fd, offset)
    if (address === MAP_FAILED || address === -1n) throw kernelError('mmap', koffi.errno(), target)
    this.#mappings.push({address, bytes})
    return koffi.view(address, bytes)
  }

  #unmapAll(): void {
    for (const {address, bytes} of this.#mappings.splice(0)) this.#native.munmap(address, bytes)
  }
}

function roundUpTo8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8
}
