// SPDX-License-Identifier: Apache-2.0
// Goal: maps are read and written also where the kernel lacks batch commands.
// Method: a real map; the batch calls of libbpf replaced by ones that refuse as such kernels do.
import assert from 'node:assert/strict'
import {after, before, describe, test} from 'node:test'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {KernelMap} from '../../src/lib/adapters/bpf-map.ts'
import {loadNativeBpf, type NativeBpf} from '../../src/lib/adapters/bpf-native.ts'
import {endpointBatch, endpointsOf} from '../contracts/bpf-contract.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'

const ENOENT = -2
const EINVAL = -22
const ENOTSUPP = -524

describe('maps without batch commands', {skip: skipReason()}, () => {
  let fixture: KernelFixture
  let native: NativeBpf

  before(() => {
    fixture = new KernelFixture()
    native = loadNativeBpf()
    createBpf().load(fixture.request())
  })
  after(() => fixture[Symbol.dispose]())

  function open(change: Partial<NativeBpf>): KernelMap {
    const path = fixture.pin('map/km_endpoint')
    return new KernelMap({...native, ...change}, native.objGet(path), path)
  }

  for (const errno of [EINVAL, ENOTSUPP]) {
    test(`errno ${errno}: entries are written and read one by one`, () => {
      using map = open({lookupBatch: () => errno, updateBatch: () => errno})
      map.updateBatch(endpointBatch(1, 100))
      assert.equal(endpointsOf(map, 7).size, 100)
      assert.equal(endpointsOf(map).get(100), 1000)
    })
  }

  test('a reader that the kernel sends back to the start ends all the same, and gives nothing twice', () => {
    let calls = 0
    // As after the deletion of the key at hand: every tenth step begins anew.
    using map = open({
      lookupBatch: () => ENOTSUPP,
      nextKey: (fd, key, next) => {
        calls += 1
        return native.nextKey(fd, calls % 10 === 0 ? null : key, next)
      },
    })
    assert.ok(endpointsOf(map, 3).size >= 9)
    assert.ok(calls <= map.info.maxEntries)
  })

  test('an entry that is deleted between key and value is left out', () => {
    using map = open({
      lookupBatch: () => ENOTSUPP,
      lookup: (fd, key, value) => ((key as Uint8Array)[8] === 5 ? ENOENT : native.lookup(fd, key, value)),
    })
    assert.equal(endpointsOf(map).has(5), false)
    assert.equal(endpointsOf(map).size, 99)
  })
})
