// SPDX-License-Identifier: Apache-2.0
/** What every implementation of the Bpf port does, in memory or in the kernel. */
import assert from 'node:assert/strict'
import {afterEach, beforeEach, describe, test} from 'node:test'
import {KernelError, LayoutError} from '../../src/lib/errors.ts'
import {decode, encode} from '../../src/lib/model/codec.ts'
import {ENDPOINT, GLOBALS, MAPS, type MapRow, SERVICE} from '../../src/lib/model/maps.ts'
import type {Bpf, BpfBatch, BpfLoadRequest, BpfMap} from '../../src/lib/ports.ts'

export interface BpfSubject extends Disposable {
  readonly bpf: Bpf
  /** All maps and both programs on a cgroup that is there. */
  request(change?: Partial<BpfLoadRequest>): BpfLoadRequest
  pin(name: string): string
}

const ROWS = MAPS as readonly unknown[] as readonly MapRow[]
const NAMES = ROWS.map((row) => row.name)

export function isKernelError(errno: number): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof KernelError && thrown.errno === errno
}

function isLayoutError(part: string): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof LayoutError && thrown.message.includes(part)
}

export function endpointBatch(from: number, count: number): BpfBatch {
  const indexes = Array.from({length: count}, (_, offset) => from + offset)
  const keys = indexes.map((index) => encode(ENDPOINT.key, {serviceId: 7, priority: 0, index}))
  const values = indexes.map((index) => encode(ENDPOINT.value, {backendUid: index * 10}))
  return {count, keys: new Uint8Array(Buffer.concat(keys)), values: new Uint8Array(Buffer.concat(values))}
}

/** Index of each endpoint -> backend uid; fails when a key comes twice. */
export function endpointsOf(map: BpfMap, chunkEntries?: number): Map<number, number> {
  const found = new Map<number, number>()
  for (const batch of map.read(chunkEntries)) {
    assert.equal(batch.keys.byteLength, batch.count * 12)
    assert.equal(batch.values.byteLength, batch.count * 4)
    for (let at = 0; at < batch.count; at++) {
      const key = decode(ENDPOINT.key, batch.keys.subarray(at * 12, at * 12 + 12))
      assert.ok(!found.has(key.index), `endpoint ${key.index} came twice`)
      found.set(key.index, decode(ENDPOINT.value, batch.values.subarray(at * 4, at * 4 + 4)).backendUid)
    }
  }
  return found
}

export function bpfContract(name: string, skip: string | false, makeSubject: () => BpfSubject): void {
  describe(`Bpf port: ${name}`, {skip}, () => {
    let subject: BpfSubject

    beforeEach(() => {
      subject = makeSubject()
    })
    afterEach(() => subject[Symbol.dispose]())

    function open(mapName: string): BpfMap {
      return subject.bpf.openPinned(subject.pin(`map/${mapName}`))
    }

    function nothingIsPinned(): void {
      for (const row of ROWS) assert.throws(() => open(row.name), isKernelError(2))
    }

    test('the first load creates everything, the second adopts and swaps', () => {
      const request = subject.request()
      const links = request.attachments.map((attachment) => attachment.linkPin)
      assert.deepEqual(subject.bpf.load(request), {
        adoptedMaps: [],
        createdMaps: NAMES,
        createdLinks: links,
        replacedLinks: [],
      })
      const ids = NAMES.map((mapName) => {
        using map = open(mapName)
        return map.info.id
      })
      {
        using map = open('km_endpoint')
        map.updateBatch(endpointBatch(1, 3))
      }
      assert.deepEqual(subject.bpf.load(request), {
        adoptedMaps: NAMES,
        createdMaps: [],
        createdLinks: [],
        replacedLinks: links,
      })
      const idsAfter = NAMES.map((mapName) => {
        using map = open(mapName)
        return map.info.id
      })
      assert.deepEqual(idsAfter, ids)
      using map = open('km_endpoint')
      assert.deepEqual(
        endpointsOf(map),
        new Map([
          [1, 10],
          [2, 20],
          [3, 30],
        ]),
      )
    })

    for (const kept of [1, 5, NAMES.length, NAMES.length + 1]) {
      test(`killed when ${kept} of the pins stood: the next load keeps those and makes the others`, () => {
        const request = subject.request()
        subject.bpf.load(request)
        const links = request.attachments.map((attachment) => attachment.linkPin)
        const order = [...NAMES.map((mapName) => subject.pin(`map/${mapName}`)), ...links]
        using first = open(NAMES[0] ?? '')
        for (const path of order.slice(kept)) subject.bpf.unpin(path)
        assert.deepEqual(subject.bpf.load(request), {
          adoptedMaps: NAMES.slice(0, kept),
          createdMaps: NAMES.slice(kept),
          createdLinks: links.slice(Math.max(0, kept - NAMES.length)),
          replacedLinks: links.slice(0, Math.max(0, kept - NAMES.length)),
        })
        using again = open(NAMES[0] ?? '')
        assert.equal(again.info.id, first.info.id)
        for (const mapName of NAMES) open(mapName)[Symbol.dispose]()
      })
    }

    test('every map is as its row says', () => {
      subject.bpf.load(subject.request())
      for (const row of ROWS) {
        using map = open(row.name)
        const {type, keyBytes, valueBytes, maxEntries} = map.info
        assert.deepEqual(
          {name: row.name, type, keyBytes, valueBytes, maxEntries},
          {
            name: row.name,
            type: row.type,
            keyBytes: row.keyBytes,
            valueBytes: row.valueBytes,
            maxEntries: row.maxEntries,
          },
        )
      }
    })

    test('the layouts of the object are those that a load makes, before anything is loaded', () => {
      const request = subject.request()
      const layouts = new Map(subject.bpf.layouts(request.objectFile).map((layout) => [layout.name, layout]))
      nothingIsPinned()
      subject.bpf.load(request)
      for (const {name} of ROWS) {
        using map = open(name)
        const {type, keyBytes, valueBytes, maxEntries, flags} = map.info
        assert.deepEqual({name, type, keyBytes, valueBytes, maxEntries, flags}, layouts.get(name))
      }
    })

    test('the level begins at info and survives a reload', () => {
      subject.bpf.load(subject.request())
      const key = encode(GLOBALS.key, {index: 0})
      {
        using map = open('km_globals')
        assert.deepEqual(decode(GLOBALS.value, map.lookup(key) as Uint8Array), {bpfLogLevel: 'info'})
        map.update(key, encode(GLOBALS.value, {bpfLogLevel: 'debug'}))
      }
      subject.bpf.load(subject.request())
      using map = open('km_globals')
      assert.deepEqual(decode(GLOBALS.value, map.lookup(key) as Uint8Array), {bpfLogLevel: 'debug'})
    })

    test('a map of another size is refused by name and nothing changes', () => {
      subject.bpf.load(subject.request({mapSizes: {km_endpoint: 50}}))
      {
        using map = open('km_endpoint')
        assert.equal(map.info.maxEntries, 50)
        map.updateBatch(endpointBatch(1, 50))
      }
      assert.throws(() => subject.bpf.load(subject.request()), isLayoutError('km_endpoint'))
      using map = open('km_endpoint')
      assert.equal(map.info.maxEntries, 50)
      assert.equal(endpointsOf(map).size, 50)
    })

    test('maps and programs that the object does not have are refused, nothing stays', () => {
      const {mapPins, attachments} = subject.request()
      const wrong = {...attachments[0]!, program: 'no_such_program'}
      for (const [part, change] of [
        ['km_nothing', {mapPins: {...mapPins, km_nothing: subject.pin('map/km_nothing')}}],
        ['km_nothing', {mapSizes: {km_nothing: 5}}],
        ['no_such_program', {attachments: [attachments[0]!, wrong]}],
      ] as const) {
        assert.throws(() => subject.bpf.load(subject.request(change)), isLayoutError(part))
        nothingIsPinned()
      }
      assert.equal(subject.bpf.load(subject.request()).createdLinks.length, 2)
    })

    test('a cgroup that is not there fails the whole load, new or not', () => {
      const {attachments} = subject.request()
      const change = {attachments: [attachments[0]!, {...attachments[1]!, cgroupPath: '/nonexistent/cgroup'}]}
      assert.throws(() => subject.bpf.load(subject.request(change)), isKernelError(2))
      nothingIsPinned()
      subject.bpf.load(subject.request())
      assert.throws(() => subject.bpf.load(subject.request(change)), isKernelError(2))
      assert.equal(subject.bpf.load(subject.request()).replacedLinks.length, 2)
    })

    test('pins: missing ones, removing, making again', () => {
      assert.throws(() => subject.bpf.openPinned(subject.pin('map/km_service')), isKernelError(2))
      assert.throws(() => subject.bpf.openRing(subject.pin('map/km_log_event')), isKernelError(2))
      subject.bpf.unpin(subject.pin('map/km_service'))
      const request = subject.request()
      subject.bpf.load(request)
      {
        using map = open('km_service')
        map.update(encode(SERVICE.key, {serviceId: 1}), new Uint8Array(132))
      }
      subject.bpf.unpin(subject.pin('map/km_service'))
      for (const {linkPin} of request.attachments) subject.bpf.unpin(linkPin)
      const again = subject.bpf.load(request)
      assert.deepEqual(again.createdMaps, ['km_service'])
      assert.equal(again.createdLinks.length, 2)
      using map = open('km_service')
      assert.deepEqual([...map.read()], [])
    })
  })
}
