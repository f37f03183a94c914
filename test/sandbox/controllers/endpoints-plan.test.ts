// SPDX-License-Identifier: Apache-2.0
// Goal: the slices of a service tell each endpoint's address, port and state as Kubernetes defines them.
// Method: services and pods by hand, slices compared field by field.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {EndpointSlice, Pod, Service} from '../../../src/lib/model/kube.ts'
import {planSlices} from '../../../src/lib/sandbox/controllers/endpoints-plan.ts'

function service(spec: Service['spec'] = {}): Service {
  const base = {
    ipFamilies: ['IPv4' as const],
    ports: [{name: 'web', port: 80, targetPort: 8080, protocol: 'TCP'}],
  }
  return {metadata: {name: 'web', namespace: 'shop', uid: 'service-uid'}, spec: {...base, ...spec}}
}

interface PodForm {
  readonly ready?: boolean
  readonly terminating?: boolean
  readonly phase?: string
  readonly ips?: readonly string[]
  readonly httpPort?: number
}

function pod(
  name: string,
  {
    ready = true,
    terminating = false,
    phase = 'Running',
    ips = ['10.1.0.1', 'fd00::1'],
    httpPort,
  }: PodForm = {},
): Pod {
  const ports = httpPort === undefined ? [] : [{name: 'http', containerPort: httpPort}]
  return {
    metadata: {
      name,
      namespace: 'shop',
      uid: `${name}-uid`,
      ...(terminating ? {deletionTimestamp: '2026-01-01T00:00:00Z'} : {}),
    },
    spec: {nodeName: 'n1', containers: [{name: 'c', ports}]},
    status: {
      phase,
      podIPs: ips.map((ip) => ({ip})),
      conditions: [{type: 'Ready', status: ready ? 'True' : 'False'}],
    },
  }
}

function states(slices: readonly EndpointSlice[]): string[] {
  return slices.flatMap((slice) =>
    (slice.endpoints ?? []).map(({addresses, conditions}) => {
      const flags = Object.entries(conditions ?? {}).filter(([, value]) => value)
      return `${addresses.join()} ${flags.map(([name]) => name).join('+')}`.trim()
    }),
  )
}

test('a ready pod: one slice with everything that refers to service and pod', () => {
  const [slice, ...more] = planSlices(service(), [pod('a')])
  assert.deepEqual(more, [])
  assert.deepEqual(slice?.metadata.labels, {
    'kubernetes.io/service-name': 'web',
    'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
  })
  assert.equal(slice?.metadata.ownerReferences?.[0]?.uid, 'service-uid')
  assert.equal(slice?.addressType, 'IPv4')
  assert.deepEqual(slice?.ports, [{name: 'web', port: 8080, protocol: 'TCP'}])
  assert.deepEqual(slice?.endpoints, [
    {
      addresses: ['10.1.0.1'],
      conditions: {ready: true, serving: true, terminating: false},
      nodeName: 'n1',
      targetRef: {kind: 'Pod', namespace: 'shop', name: 'a', uid: 'a-uid'},
    },
  ])
})

test('conditions: not ready, terminating while it serves, terminating', () => {
  const pods = [
    pod('a', {ips: ['10.1.0.1']}),
    pod('b', {ips: ['10.1.0.2'], ready: false}),
    pod('c', {ips: ['10.1.0.3'], terminating: true}),
    pod('d', {ips: ['10.1.0.4'], terminating: true, ready: false}),
  ]
  assert.deepEqual(states(planSlices(service(), pods)), [
    '10.1.0.1 ready+serving',
    '10.1.0.2',
    '10.1.0.3 serving+terminating',
    '10.1.0.4 terminating',
  ])
  const published = states(planSlices(service({publishNotReadyAddresses: true}), pods))
  assert.deepEqual(published, [
    '10.1.0.1 ready+serving',
    '10.1.0.2 ready',
    '10.1.0.3 ready+serving+terminating',
    '10.1.0.4 ready+terminating',
  ])
})

test('each family has its own slice; pods without an address or finished have no part', () => {
  const pods = [pod('a'), pod('b', {ips: ['fd00::2']}), pod('c', {ips: []}), pod('d', {phase: 'Succeeded'})]
  const slices = planSlices(service({ipFamilies: ['IPv6', 'IPv4']}), pods)
  assert.deepEqual(
    slices.map((slice) => slice.addressType),
    ['IPv6', 'IPv4'],
  )
  assert.deepEqual(states(slices), [
    'fd00::1 ready+serving',
    'fd00::2 ready+serving',
    '10.1.0.1 ready+serving',
  ])
})

test('a named port may be another number in each pod: then another slice', () => {
  const named = service({ports: [{port: 80, targetPort: 'http'}]})
  const pods = [pod('a', {httpPort: 8080}), pod('b', {httpPort: 9090}), pod('c', {httpPort: 8080}), pod('d')]
  const slices = planSlices(named, pods)
  assert.deepEqual(
    slices.map((slice) => [slice.ports?.[0]?.port, slice.endpoints?.length]),
    [
      [8080, 2],
      [9090, 1],
      [undefined, 1],
    ],
  )
  assert.equal(new Set(slices.map((slice) => slice.metadata.name)).size, 3)
})

test('no endpoints: one empty slice under the name that the first endpoint will use', () => {
  const [empty] = planSlices(service(), [])
  const [full] = planSlices(service(), [pod('a')])
  assert.deepEqual(empty?.endpoints, [])
  assert.equal(empty?.metadata.name, full?.metadata.name)
})

test('a slice holds at most 1000 endpoints', () => {
  const pods = Array.from({length: 1001}, (_, index) =>
    pod(`p${String(index).padStart(4, '0')}`, {ips: [`10.1.${index >> 8}.${index & 255}`]}),
  )
  assert.deepEqual(
    planSlices(service(), pods).map((slice) => slice.endpoints?.length),
    [1000, 1],
  )
})
