// SPDX-License-Identifier: Apache-2.0
/** What every implementation of the Bpf port does with one map or ring, in memory or in the kernel. */
import assert from 'node:assert/strict'
import {afterEach, beforeEach, describe, test} from 'node:test'
import {LayoutError} from '../../src/lib/errors.ts'
import {decode, encode} from '../../src/lib/model/codec.ts'
import {ENDPOINT, VERSION} from '../../src/lib/model/maps.ts'
import type {BpfBatch, BpfMap} from '../../src/lib/ports.ts'
import {type BpfSubject, endpointBatch, endpointsOf, isKernelError} from './bpf-contract.ts'

export function bpfMapContract(name: string, skip: string | false, makeSubject: () => BpfSubject): void {
  describe(`maps of the Bpf port: ${name}`, {skip}, () => {
    let subject: BpfSubject

    beforeEach(() => {
      subject = makeSubject()
    })
    afterEach(() => subject[Symbol.dispose]())

    function open(mapName: string): BpfMap {
      return subject.bpf.openPinned(subject.pin(`map/${mapName}`))
    }

    test('lookup, update, replace, delete', () => {
      subject.bpf.load(subject.request())
      using map = open('km_endpoint')
      const key = encode(ENDPOINT.key, {serviceId: 1, priority: 2, index: 3})
      assert.equal(map.lookup(key), undefined)
      assert.equal(map.delete(key), false)
      map.update(key, encode(ENDPOINT.value, {backendUid: 5}))
      map.update(key, encode(ENDPOINT.value, {backendUid: 6}))
      assert.deepEqual(map.lookup(key), Uint8Array.of(6, 0, 0, 0))
      assert.equal(map.delete(key), true)
      assert.equal(map.lookup(key), undefined)
    })

    test('bytes of another length are refused', () => {
      subject.bpf.load(subject.request())
      using map = open('km_endpoint')
      const key = new Uint8Array(12)
      assert.throws(() => map.lookup(new Uint8Array(11)), LayoutError)
      assert.throws(() => map.update(key, new Uint8Array(5)), LayoutError)
      assert.throws(() => map.update(new Uint8Array(13), new Uint8Array(4)), LayoutError)
      assert.throws(() => map.delete(new Uint8Array(0)), LayoutError)
      const short = {count: 2, keys: new Uint8Array(12), values: new Uint8Array(8)}
      assert.throws(() => map.updateBatch(short), LayoutError)
      assert.equal(map.lookup(key), undefined)
    })

    test('a full map says E2BIG, singly and in a batch, and still replaces', () => {
      subject.bpf.load(subject.request({mapSizes: {km_endpoint: 4}}))
      using map = open('km_endpoint')
      map.updateBatch(endpointBatch(1, 4))
      const key = encode(ENDPOINT.key, {serviceId: 7, priority: 0, index: 5})
      assert.throws(() => map.update(key, new Uint8Array(4)), isKernelError(7))
      assert.throws(() => map.updateBatch(endpointBatch(5, 2)), isKernelError(7))
      map.updateBatch(endpointBatch(1, 4))
      assert.equal(endpointsOf(map).size, 4)
    })

    test('reading gives every entry once, whatever the step', () => {
      subject.bpf.load(subject.request())
      using map = open('km_endpoint')
      assert.deepEqual([...map.read()], [])
      map.updateBatch(endpointBatch(1, 3000))
      const expected = new Map(Array.from({length: 3000}, (_, at) => [at + 1, (at + 1) * 10]))
      for (const chunk of [1, 7, 1000, 3000, undefined])
        assert.deepEqual(sorted(endpointsOf(map, chunk)), expected)
    })

    test('batches are the reader’s own, and deleting meanwhile does no harm', () => {
      subject.bpf.load(subject.request())
      using map = open('km_endpoint')
      map.updateBatch(endpointBatch(1, 500))
      const batches: BpfBatch[] = []
      for (const batch of map.read(64)) {
        batches.push(batch)
        map.delete(batch.keys.subarray(0, 12))
      }
      const seen = new Set(
        batches.flatMap((batch) =>
          Array.from(
            {length: batch.count},
            (_, at) => decode(ENDPOINT.key, batch.keys.subarray(at * 12, at * 12 + 12)).index,
          ),
        ),
      )
      assert.equal(seen.size, 500)
      assert.equal(endpointsOf(map).size, 500 - batches.length)
    })

    test('an array always has all its entries, and none can be deleted', () => {
      subject.bpf.load(subject.request())
      using map = open('kmesh_version')
      const key = encode(VERSION.key, {index: 0})
      assert.deepEqual(
        [...map.read()].map((batch) => [batch.count, batch.keys, batch.values]),
        [[1, key, Uint8Array.of(0, 0, 0, 0)]],
      )
      assert.throws(() => map.delete(key), isKernelError(22))
      assert.equal(map.lookup(encode(VERSION.key, {index: 1})), undefined)
    })

    test('what is closed says so', () => {
      subject.bpf.load(subject.request())
      const map = open('km_endpoint')
      const ring = subject.bpf.openRing(subject.pin('map/km_log_event'))
      for (const closing of [map, ring, map, ring]) closing[Symbol.dispose]()
      assert.throws(() => map.lookup(new Uint8Array(12)), {code: 'Closed'})
      assert.throws(() => [...map.read()], {code: 'Closed'})
      assert.throws(() => ring.drain(1, () => undefined), {code: 'Closed'})
    })

    test('an empty ring gives nothing, another map is no ring', () => {
      subject.bpf.load(subject.request())
      using ring = subject.bpf.openRing(subject.pin('map/km_log_event'))
      assert.equal(
        ring.drain(10, () => assert.fail('no record')),
        0,
      )
      assert.throws(() => subject.bpf.openRing(subject.pin('map/km_service')), LayoutError)
    })
  })
}

function sorted(entries: ReadonlyMap<number, number>): Map<number, number> {
  return new Map([...entries].sort(([left], [right]) => left - right))
}
