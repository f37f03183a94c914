// SPDX-License-Identifier: Apache-2.0
// Goal: ids are the hash, step aside on collision, stay while they live, and survive in the file of contracts 4.9.
// Method: known hashes (contracts 2.3), a made-up collision, a file in and out, a fake clock for the delayed write.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {formatIds, ID_FILE, IdStore, IdTable, parseIds} from '../../src/lib/agent/ids.ts'
import {fakeClock} from '../fakes/clock.ts'
import {MemoryFiles, memoryLog} from './fakes.ts'

const CART = 'shop/cart.shop.svc.cluster.local'
const CART_ID = 391_707_715

test('the id is the hash of the name', () => {
  assert.equal(new IdTable().assign(CART), CART_ID)
})

test('a taken number is stepped over, and both names stay', () => {
  const table = new IdTable([['somebody/else', CART_ID]])
  assert.equal(table.assign(CART), CART_ID + 1)
  assert.equal(table.assign(CART), CART_ID + 1)
  assert.equal(table.nameOf(CART_ID), 'somebody/else')
  table.free('somebody/else')
  assert.equal(table.assign(CART), CART_ID + 1, 'an id never changes while its entry lives')
  table.free(CART)
  assert.equal(table.assign(CART), CART_ID)
})

test('the file: lines as Go daemons write them', () => {
  const text = formatIds([
    ['Kubernetes/discovery.k8s.io/EndpointSlice/shop/e/fd00::', 7],
    ['Kubernetes//Pod/shop/a#ipv6', 4_294_967_295],
    ['shop/b', 2],
  ])
  assert.equal(
    text,
    '"Kubernetes/discovery.k8s.io/EndpointSlice/shop/e/fd00::": 7\nKubernetes//Pod/shop/a#ipv6: 4294967295\nshop/b: 2\n',
  )
  assert.deepEqual(
    new Map(parseIds(text).entries).get('Kubernetes/discovery.k8s.io/EndpointSlice/shop/e/fd00::'),
    7,
  )
  assert.equal(parseIds(text).entries.length, 3)
})

test('lines that are none are named, the others read', () => {
  assert.deepEqual(parseIds("# a comment\n'shop/a': 5\nnonsense\nshop/b: 99999999999\nshop/c: 6\n"), {
    entries: [
      ['shop/a', 5],
      ['shop/c', 6],
    ],
    badLines: [3, 4],
  })
})

test('written soon after a change, once, and again after a failure', async () => {
  const files = new MemoryFiles()
  const clock = fakeClock()
  const log = memoryLog()
  const store = new IdStore(files, clock, log)
  store.table.assign(CART)
  store.table.assign('shop/x')
  assert.deepEqual(files.writes, [])
  files.failWrites = true
  await clock.advance(300)
  assert.match(store.problems().join(), /ids are not kept: ENOSPC/)
  await clock.advance(12_000)
  const said = log.lines.filter((line) => line.includes('ids are not kept'))
  assert.deepEqual(said, ['error ids are not kept: ENOSPC: no space left on device; trying again'])
  files.failWrites = false
  await clock.advance(5000)
  assert.deepEqual(store.problems(), [])
  assert.deepEqual(files.writes, [ID_FILE])
  assert.equal(new IdStore(files, clock, log).table.idOf(CART), CART_ID)
})

test('a full disk at the end is said and does not stop the end', async () => {
  const files = new MemoryFiles()
  const log = memoryLog()
  const store = new IdStore(files, fakeClock(), log)
  store.table.assign(CART)
  files.failWrites = true
  await store.close()
  assert.match(log.lines.join(), /error ids are not kept: ENOSPC/)
})
