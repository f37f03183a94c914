// SPDX-License-Identifier: Apache-2.0
// Goal: entries stand by node, map and key: numbers as numbers, addresses by their bytes, IPv4 first.
// Method: a list in its order by hand, turned round and sorted.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {type MapItem, sortItems} from '../../src/lib/model/map-item.ts'

const item = (node: string, map: string, key: MapItem['key']): MapItem => ({
  node,
  pod: null,
  map,
  key,
  value: {},
  names: {},
})

test('sorted by node, map and key; entries without keys keep their order', () => {
  const sorted = [
    item('a', 'km_endpoint', {serviceId: 2, priority: 0, index: 10}),
    item('a', 'km_endpoint', {serviceId: 10, priority: 0, index: 2}),
    item('a', 'km_endpoint', {serviceId: 10, priority: 0, index: 11}),
    item('a', 'km_frontend', {address: '9.0.0.1'}),
    item('a', 'km_frontend', {address: '10.0.0.2'}),
    item('a', 'km_frontend', {address: '10.0.0.10'}),
    item('a', 'km_frontend', {address: 'fd00::2'}),
    item('a', 'km_frontend', {address: 'fd00::10'}),
    item('b', 'km_backend', {backendUid: 1}),
  ]
  assert.deepEqual(sortItems([...sorted].reverse()), sorted)
  const keyless = [1, 2, 3].map((value) => ({...item('a', 'km_frontend', null), value: {value}}))
  assert.deepEqual(sortItems(keyless), keyless)
})
