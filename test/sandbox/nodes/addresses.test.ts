// SPDX-License-Identifier: Apache-2.0
// Goal: ranges that follow from the name, do not overlap inside a sandbox, and differ between sandboxes.
// Method: FNV-1a 32 of "" and "a" are published (811c9dc5, e40c292c); the rest is worked out by hand from them.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {addressPlan, familiesOf} from '../../../src/lib/sandbox/nodes/addresses.ts'

// 0xe40c292c: & 63 = 44; >>> 6 & 15 = 4; >>> 10 & 255 = 10.
test('IPv4 ranges of the name "a"', () => {
  const plan = addressPlan('a', 'ipv4')
  assert.deepEqual(plan.families, ['IPv4'])
  assert.deepEqual(plan.serviceCidrs, ['10.236.0.0/16'])
  assert.deepEqual(plan.nodeAddresses(3), [{family: 'IPv4', address: '172.20.10.3'}])
  assert.deepEqual(plan.podCidrs(3), ['10.172.3.0/24'])
  assert.deepEqual(plan.podAddresses(3, 254), [{family: 'IPv4', address: '10.172.3.254'}])
})

test('IPv6 ranges are subnets of one unique local /48', () => {
  const plan = addressPlan('a', 'ipv6')
  const prefix = /^(fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}):ffff::\/112$/.exec(
    plan.serviceCidrs[0] ?? '',
  )?.[1]
  assert.ok(prefix, `service range ${plan.serviceCidrs[0]}`)
  assert.deepEqual(plan.nodeAddresses(10), [{family: 'IPv6', address: `${prefix}::a`}])
  assert.deepEqual(plan.podCidrs(10), [`${prefix}:10a::/64`])
  assert.deepEqual(plan.podAddresses(10, 254), [{family: 'IPv6', address: `${prefix}:10a::fe`}])
})

test('dual has IPv4 first', () => {
  assert.deepEqual(familiesOf('dual'), ['IPv4', 'IPv6'])
  const plan = addressPlan('a', 'dual')
  assert.deepEqual(
    plan.podAddresses(1, 2).map(({family}) => family),
    ['IPv4', 'IPv6'],
  )
})

test('other names have other ranges', () => {
  const ranges = ['sandbox', 'demo', 'e2e', 'bench'].map((name) => addressPlan(name, 'ipv6').serviceCidrs[0])
  assert.equal(new Set(ranges).size, 4)
})
