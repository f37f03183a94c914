// SPDX-License-Identifier: Apache-2.0
// Goal: interop status joins cluster and daemons, sums up, and fails for nobody's daemon.
// Method: fake API server and daemons; whole report by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DeniedError} from '../../src/lib/errors.ts'
import type {DaemonTarget} from '../../src/lib/model/api.ts'
import type {KubeObject} from '../../src/lib/model/kube.ts'
import {exitCodeOf} from '../../src/lib/model/report.ts'
import {type InteropBy, interopStatus} from '../../src/lib/ops/interop.ts'
import {CAPTURED, entryOf, namespaceOf, podOf, SIDECAR} from '../model/plan-fixtures.ts'
import {FakeClock, type FakeDaemon, FakeKube, fakeDialer} from './enroll-fakes.ts'

function status(
  kube: FakeKube,
  daemons: Readonly<Record<string, FakeDaemon>>,
  more: {
    namespace?: string
    selector?: string
    by?: InteropBy
    findDaemons?: () => Promise<readonly DaemonTarget[]>
  } = {},
) {
  const {dialer, targets} = fakeDialer(daemons)
  const {signal} = new AbortController()
  return interopStatus(
    {kube: kube.port, dialer, clock: new FakeClock(), signal},
    {
      namespace: more.namespace,
      selector: more.selector,
      by: more.by ?? 'pod',
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

test('namespaces alone, with the reason of their worst pod', async () => {
  const report = await status(cluster(), {n1, n2: {fails: true}}, {by: 'namespace'})
  assert.deepEqual(
    report.items.map((item) => [item.kind, item.name, item.state, item.reason]),
    [
      ['Namespace', 'bank', 'active', null],
      ['Namespace', 'shop', null, 'DaemonNotReady'],
    ],
  )
})

test('the cluster as one line', async () => {
  const report = await status(cluster(), {n1, n2: {fails: true}}, {by: 'cluster'})
  assert.deepEqual(report.items, [
    {
      kind: 'Cluster',
      namespace: '',
      name: 'cluster',
      namespaces: 2,
      intents: {kmesh: 2, sidecar: 1, ambient: 0, none: 0},
      pods: {kmesh: 1, sidecar: 1, ambient: 0, none: 0, unknown: 1},
      bypassed: 0,
      states: {active: 2, pending: 0, stale: 0, conflict: 0, unknown: 1},
      state: null,
      reason: 'DaemonNotReady',
    },
  ])
})

test('services: who receives, each pod once, pods that are not ready apart, the selector is of services', async () => {
  const endpoint = (name: string | undefined, address: string, ready = true) => ({
    addresses: [address],
    conditions: {ready},
    ...(name === undefined ? {} : {targetRef: {kind: 'Pod', name}}),
  })
  const slice = (service: string, addressType: 'IPv4' | 'IPv6', endpoints: object[]) => ({
    metadata: {
      namespace: 'shop',
      name: `${service}-${addressType}`,
      labels: {'kubernetes.io/service-name': service},
    },
    addressType,
    endpoints,
  })
  const kube = new FakeKube(...cluster().objects)
  const lists: Readonly<Record<string, readonly object[]>> = {
    services: [{metadata: {namespace: 'shop', name: 'web'}}, {metadata: {namespace: 'shop', name: 'empty'}}],
    endpointslices: [
      slice('web', 'IPv4', [
        endpoint('web', '10.0.0.1'),
        endpoint('far', '10.0.0.2'),
        endpoint('late', '10.0.0.3', false),
        endpoint(undefined, '192.0.2.1'),
      ]),
      slice('web', 'IPv6', [endpoint('web', '2001:db8::1')]),
    ],
  }
  const asked: string[] = []
  const own = kube.list.bind(kube)
  kube.list = async (path, options = {}) => {
    if (options.labelSelector !== undefined) asked.push(`${path.resource} ${options.labelSelector}`)
    const items = lists[path.resource] as readonly KubeObject[] | undefined
    return items === undefined ? own(path, options) : {metadata: {resourceVersion: '1'}, items: [...items]}
  }
  const report = await status(kube, {n1, n2: {fails: true}}, {by: 'service', selector: 'app=web'})
  assert.deepEqual(asked, ['services app=web'])
  assert.deepEqual(
    report.items.map(
      (item) =>
        item.kind === 'Service' && [item.name, item.endpoints, item.notReady, item.state, item.reason],
    ),
    [
      ['empty', {kmesh: 0, sidecar: 0, ambient: 0, none: 0, unknown: 0, outside: 0}, 0, 'active', null],
      ['web', {kmesh: 1, sidecar: 0, ambient: 0, none: 0, unknown: 1, outside: 1}, 1, null, 'DaemonNotReady'],
    ],
  )
  assert.equal(report.summary['services'], 2)
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
