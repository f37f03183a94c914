// SPDX-License-Identifier: Apache-2.0
// Goal: the key of km_manage, whose bytes read as cookie and as address, shows the pod once the daemon names it.
// Method: one entry with and one without a name, rendered by hand-written expectation.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {MapItem} from '../../src/lib/model/map-item.ts'
import {mapView} from '../../src/lib/render/views-map.ts'

function keyText(names: Record<string, string>): unknown {
  const key = {cookie: '4247', address: '151.16.0.0'}
  const item: MapItem = {node: 'n1', pod: 'kmesh-1', map: 'km_manage', key, value: {flags: 0}, names}
  return mapView(false)
    .columns.find(({header}) => header === 'KEY')
    ?.value(item)
}

test('a cookie that is named is no address; without a name both are shown', () => {
  assert.equal(keyText({4247: 'shop/client-1'}), 'cookie=4247(shop/client-1)')
  assert.equal(keyText({}), 'cookie=4247 address=151.16.0.0')
})
