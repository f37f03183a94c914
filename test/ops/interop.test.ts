// SPDX-License-Identifier: Apache-2.0
// Goal: interop status joins cluster and daemons, sums up, and fails for nobody's daemon.
// Method: fake API server and daemons; whole report by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DeniedError} from '../../src/lib/errors.ts'
import type {DaemonTarget} from '../../src/lib/model/api.ts'
import {exitCodeOf} from '../../src/lib/model/report.ts'
import {interopStatus} from '../../src/lib/ops/interop.ts'
import {CAPTURED, entryOf, namespaceOf, podOf, SIDECAR} from '../model/plan-fixtures.ts'
import {FakeClock, type FakeDaemon, FakeKube, fakeDialer} from './enroll-fakes.ts'

function status(
  kube: FakeKube,
  daemons: Readonly<Record<string, FakeDaemon>>,
  more: {namespace?: string; selector?: string; findDaemons?: () => Promise<readonly DaemonTarget[]>} = {},
) {
  const {dialer, targets} = fakeDialer(daemons)
  const {signal} = new AbortController()
  return interopStatus(
    {kube: kube.port, dialer, clock: new FakeClock(), signal},
    {
      namespace: more.namespace,
      selector: more.selector,
      findDaemons: more.findDaemons ?? (async () => targets),
      concurrency: 2,
    },
  )
}

const cluster = (): FakeKube =>
  new FakeKube(
    namespaceOf('shop', 'kmesh'),
    namespaceOf('bank'),
    podOf('web', {annotations: CAPTURED}),
    podOf('envoy', {namespace: 'bank', annotations: SIDECAR}),
    podOf('far', {node: 'n2'}),
    podOf('done', {phase: 'Succeeded'}),
  )

const n1: FakeDaemon = {
  entries: () => [
    entryOf('uid-web', true),
    entryOf('uid-envoy', false, {namespace: 'bank', rule: 'SidecarPresent'}),
  ],
}

test('namespaces with their pods in order, sums, and an error that changes no exit status', async () => {
  const report = await status(cluster(), {n1, n2: {fails: true}})
  assert.deepEqual(
    report.items.map((item) => [item.kind, item.namespace, item.name, item.state]),
    [
      ['Namespace', 'bank', 'bank', 'active'],
      ['Pod', 'bank', 'envoy', 'active'],
      ['Namespace', 'shop', 'shop', null],
      ['Pod', 'shop', 'far', null],
      ['Pod', 'shop', 'web', 'active'],
    ],
  )
  assert.deepEqual(report.summary, {
    requested: 3,
    ok: 2,
    failed: 0,
    skipped: 1,
    namespaces: 2,
    captures: {kmesh: 1, sidecar: 1, ambient: 0, none: 0, unknown: 1},
    states: {active: 2, pending: 0, stale: 0, conflict: 0, unknown: 1},
  })
  assert.deepEqual(
    report.errors.map(({node, code, phase}) => [node, code, phase]),
    [['n2', 'Unreachable', 'connect']],
  )
  assert.equal(exitCodeOf(report), 0)
})

test('one namespace', async () => {
  const report = await status(cluster(), {n1}, {namespace: 'bank'})
  assert.deepEqual(
    report.items.map((item) => item.name),
    ['bank', 'envoy'],
  )
})

test('with a selector only namespaces that have such pods', async () => {
  const kube = new FakeKube(
    namespaceOf('shop'),
    namespaceOf('bank'),
    podOf('web', {metadata: {labels: {app: 'web'}}}),
  )
  const report = await status(kube, {n1}, {selector: 'app=web'})
  assert.deepEqual(
    report.items.map((item) => item.name),
    ['shop', 'web'],
  )
})

test('daemons that may not be listed: nothing is guessed', async () => {
  const findDaemons = async (): Promise<never> => {
    throw new DeniedError(403, 'Forbidden', 'pods is forbidden')
  }
  const report = await status(cluster(), {n1}, {findDaemons})
  const far = report.items.find((item) => item.name === 'far')
  assert.ok(far?.kind === 'Pod')
  assert.deepEqual([far.capture, far.source, far.state], [null, 'none', null])
  assert.deepEqual([report.errors[0]?.code, exitCodeOf(report)], ['Forbidden', 0])
})
