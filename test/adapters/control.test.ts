// SPDX-License-Identifier: Apache-2.0
// Goal: a CNI plugin of another make enrolls and releases a namespace by a connect from inside, and log lines
// come out of the ring buffer whole and in order, also where it wraps.
// Method: the real object; control connects with the kernel's answer; 3 times the buffer's size of records.
import assert from 'node:assert/strict'
import {closeSync} from 'node:fs'
import {after, before, describe, test} from 'node:test'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {decode, encode} from '../../src/lib/model/codec.ts'
import {GLOBALS, MANAGE} from '../../src/lib/model/maps.ts'
import type {Bpf, Netns} from '../../src/lib/ports.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'
import {connect, EINPROGRESS, setNonBlocking, socketAddress} from './sockets.ts'

const skip = skipReason()

describe('control connect', {skip}, () => {
  let fixture: KernelFixture
  let bpf: Bpf
  let netns: Netns
  let pod: string

  before(() => {
    fixture = new KernelFixture()
    bpf = createBpf()
    netns = createNetns()
    pod = fixture.addNamespace('pod')
    fixture.ip('pod', 'route', 'add', '0.0.0.2/32', 'dev', 'lo')
    fixture.ip('pod', '-6', 'route', 'add', '::2/128', 'dev', 'lo')
    fixture.joinCgroup()
    bpf.load(fixture.request())
  })

  after(() => fixture[Symbol.dispose]())

  /** The errno that the sender sees. */
  function control(address: string, port: number): number {
    const fd = netns.socket(pod, address.includes(':') ? 6 : 4)
    try {
      setNonBlocking(fd)
      return connect(fd, socketAddress(address, port))
    } finally {
      closeSync(fd)
    }
  }

  function enrolled(): string[] {
    using map = bpf.openPinned(fixture.pin('map/km_manage'))
    return [...map.read()].flatMap((batch) => {
      const value = decode(MANAGE.value, batch.values.slice(0, 4))
      assert.deepEqual(value, {flags: 0})
      assert.equal(batch.count, 1)
      return [String(decode(MANAGE.key, batch.keys).cookie)]
    })
  }

  for (const address of ['0.0.0.2', '::2']) {
    test(`port 929 of ${address} enrolls the namespace, port 930 releases it`, () => {
      const cookie = netns.cookie(pod).toString()
      assert.deepEqual(enrolled(), [])
      assert.equal(control(address, 929), EINPROGRESS)
      assert.deepEqual(enrolled(), [cookie])
      assert.equal(control(address, 929), EINPROGRESS)
      assert.deepEqual(enrolled(), [cookie])
      assert.equal(control(address, 930), EINPROGRESS)
      assert.deepEqual(enrolled(), [])
      assert.equal(control(address, 930), EINPROGRESS)
      assert.deepEqual(enrolled(), [])
    })

    test(`another port of ${address} does neither`, () => {
      assert.equal(control(address, 931), EINPROGRESS)
      assert.deepEqual(enrolled(), [])
    })
  }

  test('log lines come whole and in order over three turns of the buffer', () => {
    using globals = bpf.openPinned(fixture.pin('map/km_globals'))
    using ring = bpf.openRing(fixture.pin('map/km_log_event'))
    const lines: string[] = []
    const collect = (record: Uint8Array): void => {
      const length = new DataView(record.buffer, record.byteOffset).getUint32(0, true)
      lines.push(Buffer.from(record.subarray(4, 4 + length - 1)).toString('latin1'))
    }
    ring.drain(10_000, () => undefined)
    globals.update(encode(GLOBALS.key, {index: 0}), encode(GLOBALS.value, {bpfLogLevel: 'debug'}))
    const cookie = netns.cookie(pod).toString()
    const expected: string[] = []
    for (let round = 0; round < 10; round++) {
      for (let n = 0; n < 150; n++) {
        control('0.0.0.2', 929)
        control('0.0.0.2', 930)
        expected.push(`[KMESH] DEBUG: namespace ${cookie} is enrolled`)
        expected.push(`[KMESH] DEBUG: namespace ${cookie} is released: 0`)
      }
      // In small steps: a drain is bounded by what it was told.
      while (ring.drain(7, collect) === 7) assert.ok(lines.length <= expected.length)
    }
    assert.deepEqual(lines, expected)
    globals.update(encode(GLOBALS.key, {index: 0}), encode(GLOBALS.value, {bpfLogLevel: 'info'}))
    control('0.0.0.2', 929)
    control('0.0.0.2', 930)
    assert.equal(ring.drain(10, collect), 0)
  })
})
