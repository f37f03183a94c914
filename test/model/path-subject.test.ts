// SPDX-License-Identifier: Apache-2.0
// Goal: what is typed for `path` means what it looks like, or is refused.
// Method: texts and their meaning by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {parseClient, parsePathSubject} from '../../src/lib/model/path-subject.ts'

const GOOD: readonly (readonly [string, unknown])[] = [
  ['cart', {service: {namespace: 'front', name: 'cart', port: undefined}}],
  ['shop/cart:80', {service: {namespace: 'shop', name: 'cart', port: 80}}],
  ['cart:http', {service: {namespace: 'front', name: 'cart', port: 'http'}}],
  ['10.96.0.10:80', {at: {address: '10.96.0.10', port: 80}}],
  ['[fd00::A]:443', {at: {address: 'fd00::a', port: 443}}],
  ['[::ffff:10.0.0.1]:80', {at: {address: '10.0.0.1', port: 80}}],
]
for (const [text, expected] of GOOD) {
  test(`${text}`, () => assert.deepEqual(parsePathSubject(text, 'front'), expected))
}

const BAD = [
  '',
  ':80',
  'cart:',
  'cart:0',
  'cart:65536',
  '10.96.0.10',
  '10.96.0.10:http',
  'fd00::a',
  '[fd00::a]',
  '[fe80::1%eth0]:80',
  '[10.0.0.1]:80',
  'a/b/c',
  'Cart',
  'cart:80:81',
  '-x',
]
for (const text of BAD) {
  test(`refused: '${text}'`, () => assert.throws(() => parsePathSubject(text, 'front'), {name: 'UsageError'}))
}

test('a client has a namespace or gets one', () => {
  assert.deepEqual(parseClient('web-1', 'front'), {namespace: 'front', name: 'web-1'})
  assert.deepEqual(parseClient('shop/web-1', 'front'), {namespace: 'shop', name: 'web-1'})
  for (const text of ['', '/web', 'a/b/c', 'Web', 'web 1']) {
    assert.throws(() => parseClient(text, 'front'), {name: 'UsageError'})
  }
})
