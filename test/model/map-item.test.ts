// SPDX-License-Identifier: Apache-2.0
// Goal: entries stand by their key: numbers as numbers, addresses by their bytes, IPv4 first.
// Method: keys in their order by hand; the texts they are sorted by must rise.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {type MapItem, sortKey} from '../../src/lib/model/map-item.ts'

const ORDERS: readonly (readonly MapItem['key'][])[] = [
  [
    {serviceId: 2, priority: 0, index: 10},
    {serviceId: 10, priority: 0, index: 2},
    {serviceId: 10, priority: 0, index: 11},
    {serviceId: 10, priority: 1, index: 0},
    {serviceId: 4_294_967_295, priority: 0, index: 0},
    {serviceId: Number.MAX_SAFE_INTEGER, priority: 0, index: 0},
  ],
  [
    {address: '9.0.0.1'},
    {address: '10.0.0.2'},
    {address: '10.0.0.10'},
    {address: '255.255.255.255'},
    {address: '::1'},
    {address: 'fd00::2'},
    {address: 'fd00::10'},
  ],
  // No addresses, though they look like some: text.
  [{address: '1.2.3.256'}, {address: '1.2.3.4.5'}, {address: 'cart'}],
  [
    {name: 'a', port: 9},
    {name: 'a', port: 80},
    {name: 'ab', port: 1},
  ],
  // A hostile daemon's: no layout has them, their order only has to be one.
  [{id: -1}, {id: 0}],
]

for (const keys of ORDERS) {
  test(`keys sort: ${JSON.stringify(keys[0])} first of ${keys.length}`, () => {
    const texts = keys.map((key) => sortKey(key))
    for (const [at, text] of texts.entries())
      if (at > 0) assert.ok((texts[at - 1] as string) < text, JSON.stringify(keys[at]))
  })
}

test('entries without keys are all the same', () => {
  assert.equal(sortKey(null), '')
})
