// SPDX-License-Identifier: Apache-2.0
// Goal: dumps of every Go daemon decode to the same fields; whatever a daemon sends never crashes, and the map is named.
// Method: values by hand, and those of an encoder of the raw layout written here (seeded); random JSON afterwards.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {UnreachableError} from '../../src/lib/errors.ts'
import {DUAL_ENGINE_MAPS, type DualEngineMap, decodeBpfMap} from '../../src/lib/model/bpf-dump.ts'
import {hasCutAddress, repairAddresses} from '../../src/lib/model/bpf-dump-repair.ts'
import {addressBytes, addressText} from '../../src/lib/model/codec.ts'
import {decodeConfig} from '../../src/lib/model/config-dump.ts'
import {dialectByLoggers, guessDialect} from '../../src/lib/model/dialect.ts'
import type {Fields} from '../../src/lib/model/hostile.ts'
import {decodeKernelNative} from '../../src/lib/model/kernel-native.ts'
import {SeededRandom} from './random.ts'

const VERSION = {
  gitVersion: '',
  gitCommit: '',
  gitTreeState: '',
  buildDate: '',
  goVersion: '',
  compiler: '',
  platform: '',
}

test('the version decides, where it is one', () => {
  const guess = (gitVersion: string) => guessDialect({...VERSION, gitVersion})
  const found = ['v1.0.0', 'v1.1.0', 'v1.2.0', 'v1.3.0-alpha', 'v2.0.0', 'v0.0.0-master', 'my-build'].map(
    guess,
  )
  assert.deepEqual(found, ['v1.0', 'v1.1', 'v1.2', 'v1.2', 'v1.2', 'probe', 'probe'])
  assert.equal(guessDialect({...VERSION, capabilities: []}), 'own')
})

test('without a version the loggers decide', () => {
  assert.equal(dialectByLoggers(400, '\tlogger  does not exist\n'), 'v0.4.0')
  assert.equal(dialectByLoggers(200, '[\n    "default"\n]'), 'v0.5')
  assert.equal(dialectByLoggers(404, '404 page not found\n'), undefined)
})

const swap = (port: number): number => ((port & 255) << 8) | (port >> 8)
const slots = (values: readonly number[]): number[] => [...values, ...Array(10 - values.length).fill(0)]
const bytes16 = (text: string | null): number[] => {
  const bytes = text === null ? [] : [...addressBytes(text)]
  return [...bytes, ...Array(16 - bytes.length).fill(0)]
}

test('raw: decoding gives back what an encoder of the layout wrote', () => {
  const random = new SeededRandom(23)
  const address = (): string =>
    random.below(2) === 0
      ? addressText(random.bytes(4).fill(10, 0, 1))
      : addressText(random.bytes(16).fill(0xfd, 0, 1).fill(1, 15))
  for (let turn = 0; turn < 300; turn += 1) {
    const ports = random.list(10, () => ({
      servicePort: 1 + random.below(65_535),
      targetPort: 1 + random.below(65_535),
    }))
    const hasWaypoint = random.below(2) === 0
    const waypoint = hasWaypoint
      ? {waypointAddress: address(), waypointPort: 1 + random.below(65_535)}
      : {waypointAddress: null, waypointPort: 0}
    const written = {
      WaypointAddr: bytes16(waypoint.waypointAddress),
      WaypointPort: swap(waypoint.waypointPort),
    }
    const count = random.word()
    const service = {
      EndpointCount: turn % 2 === 0 ? count : [count, 0, 0, 0, 0, 0, 0],
      LbPolicy: turn % 3,
      ServicePort: slots(ports.map(({servicePort}) => swap(servicePort))),
      TargetPort: slots(ports.map(({targetPort}) => swap(targetPort))),
      ...written,
    }
    assert.deepEqual(decodeBpfMap({Services: [service]}, 'km_service', 'raw'), [
      {
        endpointCount: [count, 0, 0, 0, 0, 0, 0],
        lbPolicy: ['random', 'strict', 'failover'][turn % 3],
        ports,
        ...waypoint,
      },
    ])
    const services = random.list(10, () => random.word())
    const own = address()
    const backend = {Ip: bytes16(own), ServiceCount: services.length, Services: slots(services), ...written}
    assert.deepEqual(decodeBpfMap({Backends: [backend]}, 'km_backend', 'raw'), [
      {address: own, services, ...waypoint},
    ])
  }
})

test('null is an empty map, and ids that the daemon cannot name are shown, not left out', () => {
  assert.deepEqual(decodeBpfMap({WorkloadPolicies: null}, 'km_wlpolicy', 'raw'), [])
  assert.deepEqual(decodeBpfMap({frontends: [{}]}, 'km_frontend', 'pretty'), [{upstreamId: null}])
  const backend = {ip: '10.0.0.1', serviceCount: 2, services: ['shop/a']}
  assert.deepEqual(decodeBpfMap({backends: [backend]}, 'km_backend', 'pretty')[0]?.['services'], [
    'shop/a',
    null,
  ])
})

test('ports that do not line up are not paired', () => {
  const service = {
    endpointCount: '1, 0, 0, 0, 0, 0, 0',
    lbPolicy: '',
    servicePort: '80, 90',
    targetPort: '8080',
  }
  const [value] = decodeBpfMap({services: [service]}, 'km_service', 'pretty')
  assert.deepEqual(value?.['ports'], [
    {servicePort: 80, targetPort: null},
    {servicePort: 90, targetPort: null},
    {servicePort: null, targetPort: 8080},
  ])
  assert.equal(value?.['lbPolicy'], 'unknown')
})

test('an IPv6 address that the daemon cut to IPv4 is whole again; a real one stays', () => {
  const cut = {address: '32.1.13.184'}
  assert.equal(hasCutAddress(cut), true)
  assert.equal(hasCutAddress({address: '10.0.0.1'}), false)
  assert.deepEqual(repairAddresses([cut], new Set(['2001:db8::'])), [{address: '2001:db8::'}])
  assert.deepEqual(repairAddresses([cut], new Set(['2001:db8::', '32.1.13.184'])), [cut])
  assert.deepEqual(repairAddresses([cut], new Set(['2001:db8::1'])), [cut])
})

test('kernel-native: swapped ports, little-endian addresses, zero values that protojson left out', () => {
  const listener = {name: 'l', address: {port: 20480, ipv4: 51273738}}
  const dump = decodeKernelNative(
    {dynamicResources: {listenerConfigs: [listener], clusterConfigs: [{name: 'c'}]}},
    'x',
  )
  assert.deepEqual(dump.listeners[0], {
    name: 'l',
    apiStatus: 'NONE',
    address: '10.96.14.3',
    port: 80,
    filterChains: [],
  })
  assert.equal(dump.clusters[0]?.lbPolicy, 'ROUND_ROBIN')
  assert.equal(dump.clusters[0]?.id, null)
  assert.deepEqual(decodeKernelNative({dynamicResources: {}}, 'x'), {listeners: [], clusters: [], routes: []})
})

test('config dumps in either case; null lists; waypoint as object or text', () => {
  const workload = {name: 'w', namespace: 'n', addresses: null, waypoint: {destination: ''}}
  const old = decodeConfig({Workloads: [workload], Services: null, Policies: null}, 'dual-engine', false)
  assert.deepEqual(
    [old.workloads[0]?.addresses, old.workloads[0]?.waypoint, old.workloads[0]?.services],
    [[], null, null],
  )
  const services = [
    {
      name: 's',
      namespace: 'n',
      hostname: 'h',
      vips: ['net/10.0.0.1'],
      ports: null,
      waypoint: {destination: '/1'},
    },
  ]
  const recent = decodeConfig({workloads: [], services, policies: []}, 'dual-engine', true)
  assert.deepEqual(recent.services[0]?.vips, [{network: 'net', address: '10.0.0.1'}])
  assert.equal(recent.services[0]?.waypoint, '/1')
})

test('random answers never crash, and an error always names the map', () => {
  const random = new SeededRandom(99)
  const odd = (depth: number): unknown => {
    const kind = random.below(depth > 2 ? 6 : 8)
    if (kind < 6) return [null, -1, 1e300, 'x', '80, y', random.word()][kind]
    return kind === 6 ? random.list(4, () => odd(depth + 1)) : object(depth)
  }
  const names = [
    'Ip',
    'ip',
    'Services',
    'services',
    'LbPolicy',
    'lbPolicy',
    'ServicePort',
    'servicePort',
    'PolicyIds',
    'UpstreamId',
    'address',
    'endpointCount',
  ]
  const object = (depth: number): Fields => Object.fromEntries(names.map((name) => [name, odd(depth + 1)]))
  for (const map of Object.keys(DUAL_ENGINE_MAPS) as DualEngineMap[]) {
    for (let turn = 0; turn < 500; turn += 1) {
      try {
        decodeBpfMap(
          {[DUAL_ENGINE_MAPS[map]]: random.list(3, () => object(0))},
          map,
          turn % 2 === 0 ? 'raw' : 'pretty',
        )
      } catch (error) {
        assert.ok(error instanceof UnreachableError && error.message.startsWith(`map ${map}`), String(error))
      }
    }
  }
})
