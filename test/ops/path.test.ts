// SPDX-License-Identifier: Apache-2.0
// Goal: path finds what was typed, reads only the daemon of the client's node, and says by name what it could not learn.
// Method: fake API server; a daemon whose maps are lines made with the maps' own codecs.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {KubeStatusError} from '../../src/lib/errors.ts'
import {encode, hex} from '../../src/lib/model/codec.ts'
import type {EndpointSlice, KubeObject, Pod, Service} from '../../src/lib/model/kube.ts'
import {BACKEND, ENDPOINT, FRONTEND, MANAGE, type ReadableRow, SERVICE} from '../../src/lib/model/maps.ts'
import type {PathItem} from '../../src/lib/model/path.ts'
import {parsePathSubject} from '../../src/lib/model/path-subject.ts'
import {exitCodeOf, type Report} from '../../src/lib/model/report.ts'
import {findPath, hasPathFindings} from '../../src/lib/ops/path.ts'
import type {Admin, Kube, KubeListOptions, ResourcePath} from '../../src/lib/ports.ts'
import {backend, NAMES, POD_1, POD_2, service as serviceValue, VIP} from '../model/path-fixtures.ts'
import {entryOf, namespaceOf, podOf} from '../model/plan-fixtures.ts'
import {FakeClock, fakeDialer} from './enroll-fakes.ts'

const COOKIE = '151'

function at(name: string, ip: string, node = 'n2', options: Parameters<typeof podOf>[1] = {}): Pod {
  const pod = podOf(name, {...options, node})
  return {...pod, status: {...pod.status, podIP: ip, podIPs: [{ip}]}}
}

const OBJECTS: Readonly<Record<string, readonly KubeObject[]>> = {
  namespaces: [namespaceOf('shop', 'kmesh')],
  pods: [at('web-1', '10.0.0.5', 'n1'), at('cart-1', POD_1), at('cart-2', POD_2)],
  services: [
    serviceOf('cart', VIP, [
      {name: 'http', port: 80, targetPort: 8080},
      {name: 'tls', port: 443, targetPort: 8080},
    ]),
    serviceOf('direct', 'None', [{port: 8080}]),
    serviceOf('nobody', 'None', [{port: 8080}]),
  ],
  endpointslices: [sliceOf('cart', 'http'), sliceOf('direct', '')],
}

function serviceOf(name: string, clusterIP: string, ports: NonNullable<Service['spec']>['ports']): Service {
  return {metadata: {namespace: 'shop', name}, spec: {clusterIP, ipFamilies: ['IPv4'], ports: ports ?? []}}
}

function sliceOf(service: string, port: string): EndpointSlice {
  return {
    metadata: {namespace: 'shop', name: `${service}-1`, labels: {'kubernetes.io/service-name': service}},
    addressType: 'IPv4',
    ports: [{name: port, port: 8080}],
    endpoints: [POD_1, POD_2].map((address) => ({addresses: [address], conditions: {ready: true}})),
  }
}

function kubeOf(objects = OBJECTS): Kube {
  const isMeant = (path: ResourcePath, {metadata}: KubeObject): boolean =>
    (path.namespace === undefined || metadata.namespace === path.namespace) &&
    (path.name === undefined || metadata.name === path.name)
  const find = (path: ResourcePath) => (objects[path.resource] ?? []).filter((one) => isMeant(path, one))
  const isSelected = (object: KubeObject, {labelSelector, fieldSelector}: KubeListOptions): boolean => {
    const [key = '', value] = labelSelector?.split('=') ?? []
    const [, ip] = fieldSelector?.split('=') ?? []
    const hasLabel = labelSelector === undefined || object.metadata.labels?.[key] === value
    return hasLabel && (ip === undefined || (object as Pod).status?.podIP === ip)
  }
  const list = async (path: ResourcePath, options: KubeListOptions = {}) => ({
    metadata: {},
    items: find(path).filter((one) => isSelected(one, options)),
  })
  const get = async (path: ResourcePath) => {
    const [found] = find(path)
    if (found === undefined) throw new KubeStatusError(404, 'NotFound', `${path.name} not found`)
    return found
  }
  return {server: 'https://fake', list, get} as unknown as Kube
}

type Line = Readonly<Record<string, unknown>>

function line<K, V>(row: ReadableRow<K, V>, key: K, value: V): Line {
  return {
    key: {},
    value: {},
    keyHex: hex(encode(row.key, key)),
    valueHex: hex(encode(row.value, value)),
    names: NAMES,
  }
}

const MAPS: Readonly<Record<string, readonly Line[]>> = {
  km_manage: [line(MANAGE, {cookie: COOKIE, address: null}, {flags: 0})],
  km_frontend: [
    line(FRONTEND, {address: '10.96.0.99'}, {upstreamId: 8}),
    line(FRONTEND, {address: VIP}, {upstreamId: 7}),
  ],
  km_service: [
    line(
      SERVICE,
      {serviceId: 7},
      {
        ...serviceValue(),
        ports: [
          {servicePort: 80, targetPort: 8080},
          {servicePort: 443, targetPort: 8080},
        ],
      },
    ),
  ],
  km_endpoint: [
    line(ENDPOINT, {serviceId: 7, priority: 0, index: 1}, {backendUid: 11}),
    line(ENDPOINT, {serviceId: 7, priority: 0, index: 2}, {backendUid: 12}),
    line(ENDPOINT, {serviceId: 8, priority: 0, index: 1}, {backendUid: 13}),
  ],
  km_backend: [
    line(BACKEND, {backendUid: 11}, backend(POD_1)),
    line(BACKEND, {backendUid: 12}, backend(POD_2)),
    line(BACKEND, {backendUid: 13}, backend('10.0.0.13')),
  ],
}

interface World {
  readonly maps?: Readonly<Record<string, readonly Line[]>>
  readonly daemons?: readonly string[]
  /** The answer of this map has no last line. */
  readonly cut?: string
  readonly family?: 4 | 6
}

function path(server: string, world: World = {}) {
  const {maps = MAPS, daemons = ['n1', 'n2'], cut, family} = world
  const entries = () => [{...entryOf('uid-web-1', true), cookie: COOKIE}]
  const fake = fakeDialer(Object.fromEntries(daemons.map((node) => [node, {entries}])))
  const asked: string[] = []
  const dial = (target: Parameters<typeof fake.dialer.dial>[0]): Admin => ({
    ...fake.dialer.dial(target),
    async *lines(_endpoint, params) {
      const {name} = params as {readonly name: string}
      asked.push(`${target.node} ${name}`)
      const found = maps[name] ?? []
      yield found
      if (name !== cut) yield [{end: true, entries: found.length}]
    },
  })
  const report = findPath(
    {
      kube: kubeOf(),
      dialer: {...fake.dialer, dial},
      clock: new FakeClock(),
      signal: new AbortController().signal,
    },
    {
      client: {namespace: 'shop', name: 'web-1'},
      subject: parsePathSubject(server, 'shop'),
      family,
      findDaemons: async () => fake.targets,
      concurrency: 4,
    },
  )
  return {report, asked, calls: fake.calls}
}

async function only(report: Promise<Report<PathItem>>): Promise<PathItem> {
  const {items, errors} = await report
  assert.deepEqual(errors, [])
  assert.equal(items.length, 1)
  return items[0] as PathItem
}

test('a service by name and named port: the tables of the client node, and no other daemon', async () => {
  const {report, asked, calls} = path('cart:http')
  const item = await only(report)
  assert.deepEqual(item.findings, [])
  assert.deepEqual(item.destination, {address: VIP, port: 80, service: 'shop/cart', pod: null})
  assert.deepEqual(
    item.ways.map(({via, address, pods}) => [via, address, pods]),
    [
      ['kmesh', POD_1, ['shop/cart-1']],
      ['kmesh', POD_2, ['shop/cart-2']],
    ],
  )
  assert.deepEqual(
    asked,
    ['km_manage', 'km_frontend', 'km_service', 'km_endpoint', 'km_backend'].map((map) => `n1 ${map}`),
  )
  assert.ok(
    calls.every((call) => call.startsWith('n1 ')),
    `${calls}`,
  )
})

test('the same by address; a pod by address', async () => {
  assert.equal((await only(path(`${VIP}:443`).report)).destination.service, 'shop/cart')
  const pod = await only(path(`${POD_1}:8080`).report)
  assert.equal(pod.destination.pod, 'shop/cart-1')
  assert.deepEqual(
    pod.findings.map(({code}) => code),
    ['FrontendMissing'],
  )
})

test('a headless service is the addresses of its pods', async () => {
  const {items} = await path('direct').report
  assert.deepEqual(
    items.map(({destination}) => [destination.address, destination.port]),
    [
      [POD_1, 8080],
      [POD_2, 8080],
    ],
  )
  await assert.rejects(path('nobody').report, {code: 'NoReadyEndpoints', exitCode: 3})
})

test('several ports, a port or family that is not there, nobody of that name', async () => {
  await assert.rejects(path('cart').report, {
    name: 'UsageError',
    hints: ['its TCP ports: 80 (http), 443 (tls)'],
  })
  await assert.rejects(path('cart:grpc').report, {name: 'UsageError'})
  await assert.rejects(path('cart:80', {family: 6}).report, {name: 'UsageError', parameter: '--family'})
  await assert.rejects(path('ghost').report, {status: 404})
})

test('a pod that the map does not have is not captured, whatever the agent says', async () => {
  const item = await only(path('cart:80', {maps: {...MAPS, km_manage: []}}).report)
  assert.deepEqual(
    item.findings.map(({code}) => code),
    ['NotCaptured'],
  )
  assert.equal(item.ways[0]?.via, 'kube-proxy')
})

test('no daemon on the node: an error, and what Kubernetes knows', async () => {
  const report = await path('cart:80', {daemons: ['n2']}).report
  assert.deepEqual(
    report.errors.map(({code, node}) => [code, node]),
    [['NoDaemonOnNode', 'n1']],
  )
  assert.equal(report.items[0]?.verdict, 'unknown')
  assert.equal(report.items[0]?.ways[0]?.pods.length, 2)
  assert.equal(hasPathFindings(report), false)
  assert.equal(exitCodeOf(report), 1)
})

test('a map that was cut is no empty map', async () => {
  const report = await path('cart:80', {cut: 'km_frontend'}).report
  assert.deepEqual(
    report.errors.map(({code}) => code),
    ['Cut'],
  )
  assert.equal(report.items[0]?.hops[1]?.state, 'unknown')
})

test('an entry whose bytes are no entry is an error of its map', async () => {
  const [first] = MAPS['km_frontend'] ?? []
  const bad = [{...first, keyHex: hex(encode(FRONTEND.key, {address: VIP})), valueHex: '00'}]
  const report = await path('cart:80', {maps: {...MAPS, km_frontend: bad}}).report
  assert.deepEqual(
    report.errors.map(({code, message}) => [code, message]),
    [['BadAnswer', 'map km_frontend: expected 4 bytes, got 1']],
  )
})
