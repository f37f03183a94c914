// SPDX-License-Identifier: Apache-2.0
// Goal: the mode of a port, row by row as Istio composes PeerAuthentications. Method: policies by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {PeerPolicy} from '../../../src/lib/sandbox/sidecar/policy-objects.ts'
import {modeOfPort, namespaceMode, receiveModes} from '../../../src/lib/sandbox/sidecar/receive-mode.ts'

const POD = {namespace: 'back', labels: {app: 'server', tier: 'web'}}
const APP = {matchLabels: {app: 'server'}}

interface Extra {
  readonly name?: string
  readonly second?: number
  readonly selector?: {matchLabels?: Record<string, string>}
  readonly ports?: Record<string, {mode?: string}>
}

function policy(namespace: string, mode: string | undefined, extra: Extra = {}): PeerPolicy {
  const {name = 'a', second = 0, selector, ports} = extra
  return {
    metadata: {name, namespace, creationTimestamp: `2026-01-01T00:00:0${second}Z`},
    spec: {
      ...(mode === undefined ? {} : {mtls: {mode}}),
      ...(selector === undefined ? {} : {selector}),
      ...(ports === undefined ? {} : {portLevelMtls: ports}),
    },
  }
}

const ROWS: readonly (readonly [string, readonly PeerPolicy[], string])[] = [
  ['nothing', [], 'PERMISSIVE'],
  ['mesh', [policy('istio-system', 'STRICT')], 'STRICT'],
  ['mesh UNSET', [policy('istio-system', 'UNSET')], 'PERMISSIVE'],
  ['an empty selector is none', [policy('istio-system', 'STRICT', {selector: {matchLabels: {}}})], 'STRICT'],
  ['namespace over mesh', [policy('istio-system', 'STRICT'), policy('back', 'DISABLE')], 'DISABLE'],
  ['namespace UNSET inherits', [policy('istio-system', 'STRICT'), policy('back', 'UNSET')], 'STRICT'],
  [
    'namespace without mtls inherits',
    [policy('istio-system', 'STRICT'), policy('back', undefined)],
    'STRICT',
  ],
  ['another namespace', [policy('front', 'STRICT')], 'PERMISSIVE'],
  [
    'workload over namespace',
    [policy('back', 'STRICT'), policy('back', 'DISABLE', {selector: APP})],
    'DISABLE',
  ],
  ['workload UNSET inherits', [policy('back', 'STRICT'), policy('back', 'UNSET', {selector: APP})], 'STRICT'],
  ['a selector of others', [policy('back', 'STRICT', {selector: {matchLabels: {app: 'x'}}})], 'PERMISSIVE'],
  ['a selector in the root namespace', [policy('istio-system', 'STRICT', {selector: APP})], 'PERMISSIVE'],
  [
    'the oldest of a scope',
    [policy('back', 'STRICT', {second: 2}), policy('back', 'DISABLE', {name: 'z', second: 1})],
    'DISABLE',
  ],
  [
    'the oldest even when UNSET',
    [policy('back', 'STRICT', {second: 2}), policy('back', 'UNSET', {name: 'z', second: 1})],
    'PERMISSIVE',
  ],
  [
    'of one second by name',
    [policy('back', 'STRICT', {name: 'b'}), policy('back', 'DISABLE', {name: 'a'})],
    'DISABLE',
  ],
  [
    'the port of the winner',
    [policy('back', 'DISABLE', {selector: APP, ports: {8080: {mode: 'STRICT'}}})],
    'STRICT',
  ],
  ['another port', [policy('back', 'DISABLE', {selector: APP, ports: {80: {mode: 'STRICT'}}})], 'DISABLE'],
  [
    'a port UNSET is as its workload',
    [policy('back', 'STRICT', {selector: APP, ports: {8080: {mode: 'UNSET'}}})],
    'STRICT',
  ],
  [
    'ports only, mode inherited',
    [policy('back', 'STRICT'), policy('back', undefined, {selector: APP, ports: {80: {mode: 'DISABLE'}}})],
    'STRICT',
  ],
  [
    'the ports of a younger one do not count',
    [
      policy('back', 'PERMISSIVE', {selector: APP}),
      policy('back', 'STRICT', {name: 'b', second: 1, selector: APP, ports: {8080: {mode: 'STRICT'}}}),
    ],
    'PERMISSIVE',
  ],
]

for (const [what, policies, expected] of ROWS) {
  test(what, () => {
    assert.equal(modeOfPort(receiveModes(POD, policies), 8080), expected)
    assert.equal(
      modeOfPort(receiveModes(POD, policies.toReversed()), 8080),
      expected,
      'the order of the list',
    )
  })
}

test('of a namespace alone, workloads do not count', () => {
  assert.equal(namespaceMode('back', [policy('back', 'STRICT', {selector: APP})]), 'PERMISSIVE')
  assert.equal(namespaceMode('back', [policy('istio-system', 'DISABLE')]), 'DISABLE')
})

test('in the root namespace itself a selector means nothing either', () => {
  const pod = {...POD, namespace: 'istio-system'}
  assert.equal(receiveModes(pod, [policy('istio-system', 'STRICT', {selector: APP})]).mode, 'PERMISSIVE')
})
