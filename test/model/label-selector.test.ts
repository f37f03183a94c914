// SPDX-License-Identifier: Apache-2.0
// Goal: what Kubernetes takes as a label selector passes, what it refuses is named.
// Method: tables, by hand from the grammar of Kubernetes.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {badRequirement} from '../../src/lib/model/label-selector.ts'

test('what Kubernetes takes', () => {
  for (const selector of [
    'app=web',
    'app==web',
    'app!=web',
    'app = web , tier != x',
    'app',
    '!app',
    '! app',
    'app=',
    'istio.io/dataplane-mode=kmesh',
    'app in (web,api),tier notin (x)',
    'app in (web, api )',
    'app in ()',
    'app in (a,,b)',
    'in',
    'size>3,size<-5',
    'a_b.c-d=E_f.g-H',
  ])
    assert.equal(badRequirement(selector), undefined, selector)
})

test('what it refuses, and which part of it', () => {
  for (const [selector, bad] of [
    ['a=b=c', 'a=b=c'],
    ['app=web,tier=-x', 'tier=-x'],
    ['app in (a', 'app in (a'],
    ['app in a', 'app in a'],
    ['a=b,', ''],
    ['=b', '=b'],
    ['a b', 'a b'],
    ['a~b', 'a~b'],
    ['/a=b', '/a=b'],
    ['a/=b', 'a/=b'],
    [`a=${'x'.repeat(64)}`, `a=${'x'.repeat(64)}`],
    ['size>x', 'size>x'],
    ['!a=b', '!a=b'],
    ['a=b\n', undefined],
  ] as const)
    assert.equal(badRequirement(selector), bad, selector)
})
