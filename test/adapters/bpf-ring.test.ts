// SPDX-License-Identifier: Apache-2.0
// Goal: the reader does what the ring buffer's protocol asks: it stops at a record that is being written, skips
// dropped ones, is bounded, and moves on when the callback throws.
// Method: the reader over plain memory laid out like the kernel's, written by hand.
import assert from 'node:assert/strict'
import {closeSync, openSync} from 'node:fs'
import {afterEach, beforeEach, describe, test} from 'node:test'
import koffi from 'koffi'
import type {NativeBpf} from '../../src/lib/adapters/bpf-native.ts'
import {KernelRing} from '../../src/lib/adapters/bpf-ring.ts'
import {KernelError, LayoutError} from '../../src/lib/errors.ts'

const PAGE = 4096
const BYTES = 4096
const BUSY = 0x8000_0000
const DISCARDED = 0x4000_0000
const RINGBUF = 27

describe('ring buffer reader', () => {
  let memory: bigint
  let consumer: BigUint64Array
  let producer: BigUint64Array
  let data: DataView
  let ring: KernelRing
  let got: string[]
  let unmapped: number

  beforeEach(() => {
    const total = PAGE + PAGE + 2 * BYTES
    memory = koffi.address(koffi.alloc('uint8_t', total))
    const view = koffi.view(memory, total)
    new Uint8Array(view).fill(0)
    consumer = new BigUint64Array(view, 0, 1)
    producer = new BigUint64Array(view, PAGE, 1)
    data = new DataView(view, 2 * PAGE)
    got = []
    unmapped = 0
    ring = new KernelRing(native(RINGBUF), openSync('/dev/null', 'r'), 'test ring')
  })
  afterEach(() => {
    ring[Symbol.dispose]()
    koffi.free(memory)
  })

  function native(type: number, mapped = (offset: number) => memory + BigInt(offset)): NativeBpf {
    const calls: Partial<NativeBpf> = {
      pageBytes: () => PAGE,
      infoByFd: (_fd, info) => {
        const view = new DataView((info as Uint8Array).buffer)
        view.setUint32(0, type, true)
        view.setUint32(16, BYTES, true)
        return 0
      },
      mmap: (_at, _bytes, _protection, _flags, _fd, offset) => mapped(offset),
      munmap: () => {
        unmapped += 1
        return 0
      },
    }
    return calls as NativeBpf
  }

  /** Writes one record where the producer stands, as the kernel does; both copies of the data. */
  function write(text: string, flags = 0): void {
    const at = Number((producer[0] as bigint) % BigInt(BYTES))
    const bytes = Buffer.from(text, 'latin1')
    for (const [offset, byte] of bytes.entries()) {
      for (const place of [at + 8 + offset, (at + 8 + offset + BYTES) % (2 * BYTES)])
        data.setUint8(place, byte)
    }
    data.setUint32(at, (bytes.length | flags) >>> 0, true)
    producer[0] = (producer[0] as bigint) + BigInt(Math.ceil((8 + bytes.length) / 8) * 8)
  }

  function drain(maxRecords = 100): number {
    return ring.drain(maxRecords, (record) => {
      got.push(Buffer.from(record).toString('latin1'))
    })
  }

  test('records come in order, the position moves by padded length', () => {
    write('one')
    write('two two two')
    assert.equal(drain(), 2)
    assert.deepEqual(got, ['one', 'two two two'])
    assert.equal(consumer[0], 16n + 24n)
    assert.equal(drain(), 0)
  })

  test('a record that is being written stops the reader, what is behind it waits', () => {
    write('done')
    write('busy', BUSY)
    write('behind')
    assert.equal(drain(), 1)
    assert.equal(consumer[0], 16n)
    data.setUint32(16, 4, true)
    assert.equal(drain(), 2)
    assert.deepEqual(got, ['done', 'busy', 'behind'])
  })

  test('a dropped record is passed over', () => {
    write('dropped', DISCARDED)
    write('kept')
    assert.equal(drain(), 1)
    assert.deepEqual(got, ['kept'])
    assert.equal(consumer[0], producer[0])
  })

  test('no more than asked for', () => {
    for (const text of ['a', 'b', 'c']) write(text)
    assert.equal(drain(2), 2)
    assert.equal(drain(0), 0)
    assert.equal(drain(2), 1)
    assert.deepEqual(got, ['a', 'b', 'c'])
  })

  test('a record over the end comes whole, positions beyond 32 bits count on', () => {
    consumer[0] = producer[0] = (1n << 33n) + BigInt(BYTES - 16)
    write('0123456789abcdef')
    write('next')
    assert.equal(drain(), 2)
    assert.deepEqual(got, ['0123456789abcdef', 'next'])
    assert.equal(consumer[0], (1n << 33n) + BigInt(BYTES - 16) + 24n + 16n)
  })

  test('a callback that throws does not get the record again', () => {
    write('bad')
    write('good')
    assert.throws(
      () =>
        ring.drain(10, () => {
          throw new RangeError('callback')
        }),
      RangeError,
    )
    assert.equal(drain(), 1)
    assert.deepEqual(got, ['good'])
  })

  test('a length that cannot be is refused', () => {
    write('x')
    data.setUint32(0, BYTES + 1, true)
    assert.throws(() => drain(), LayoutError)
  })

  test('what was mapped is unmapped, also when only half was', () => {
    ring[Symbol.dispose]()
    ring[Symbol.dispose]()
    assert.equal(unmapped, 2)
    const half = native(RINGBUF, (offset) => (offset === 0 ? memory : -1n))
    const fd = openSync('/dev/null', 'r')
    assert.throws(() => new KernelRing(half, fd, 'half'), KernelError)
    assert.equal(unmapped, 3)
    closeSync(fd)
  })
})
