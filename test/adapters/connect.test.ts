// SPDX-License-Identifier: Apache-2.0
// Goal: a connect of an enrolled namespace to a service address reaches an endpoint, and nothing else changes.
// Method: the built object in the real kernel, real sockets in a network namespace, maps filled by hand.
import assert from 'node:assert/strict'
import {closeSync} from 'node:fs'
import {after, before, describe, test} from 'node:test'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {encode} from '../../src/lib/model/codec.ts'
import {BACKEND, ENDPOINT, FRONTEND, GLOBALS, MANAGE, SERVICE} from '../../src/lib/model/maps.ts'
import type {Bpf, Netns} from '../../src/lib/ports.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'
import {dial, ECONNREFUSED, ENETUNREACH} from './sockets.ts'

const skip = skipReason()

describe('connect hooks', {skip}, () => {
  let fixture: KernelFixture
  let bpf: Bpf
  let netns: Netns
  let pod: string
  let other: string
  const listeners: number[] = []

  before(() => {
    fixture = new KernelFixture()
    bpf = createBpf()
    netns = createNetns()
    pod = fixture.addNamespace('pod', ['fd00:1::1/128', 'fd00:1::2/128'])
    other = fixture.addNamespace('other', ['fd00:1::1/128'])
    fixture.joinCgroup()
    bpf.load(fixture.request())
    for (const address of ['127.1.0.1', '127.1.0.2', 'fd00:1::1', 'fd00:1::2']) {
      listeners.push(netns.listen(pod, address, 8080))
    }
    listeners.push(netns.listen(pod, '127.1.0.9', 9999))
    fill()
    setManaged(pod, true)
  })

  after(() => {
    for (const fd of listeners) closeSync(fd)
    fixture[Symbol.dispose]()
  })

  function put(name: string, key: Uint8Array, value: Uint8Array): void {
    using map = bpf.openPinned(fixture.pin(`map/${name}`))
    map.update(key, value)
  }

  function putFrontend(address: string, upstreamId: number): void {
    put(FRONTEND.name, encode(FRONTEND.key, {address}), encode(FRONTEND.value, {upstreamId}))
  }

  function putBackend(backendUid: number, address: string, waypoint?: {address: string; port: number}): void {
    const value = {
      address,
      services: [],
      waypointAddress: waypoint?.address ?? null,
      waypointPort: waypoint?.port ?? 0,
    }
    put(BACKEND.name, encode(BACKEND.key, {backendUid}), encode(BACKEND.value, value))
  }

  function putService(
    serviceId: number,
    change: Partial<{
      counts: number[]
      policy: string
      waypoint: {address: string; port: number}
    }>,
  ): void {
    const value = {
      endpointCount: change.counts ?? [0],
      lbPolicy: change.policy ?? 'random',
      ports: [
        {servicePort: 443, targetPort: 9443},
        {servicePort: 80, targetPort: 8080},
      ],
      waypointAddress: change.waypoint?.address ?? null,
      waypointPort: change.waypoint?.port ?? 0,
    }
    put(SERVICE.name, encode(SERVICE.key, {serviceId}), encode(SERVICE.value, value))
  }

  function putEndpoint(serviceId: number, priority: number, index: number, backendUid: number): void {
    put(
      ENDPOINT.name,
      encode(ENDPOINT.key, {serviceId, priority, index}),
      encode(ENDPOINT.value, {backendUid}),
    )
  }

  function setManaged(namespacePath: string, managed: boolean): void {
    using map = bpf.openPinned(fixture.pin('map/km_manage'))
    const key = encode(MANAGE.key, {cookie: netns.cookie(namespacePath).toString(), address: null})
    if (managed) map.update(key, encode(MANAGE.value, {flags: 0}))
    else map.delete(key)
  }

  /** Backends 1, 2 (IPv4), 3, 4 (IPv6); services are named where they are tested. */
  function fill(): void {
    putBackend(1, '127.1.0.1')
    putBackend(2, '127.1.0.2')
    putBackend(3, 'fd00:1::1')
    putBackend(4, 'fd00:1::2')
    putService(100, {counts: [2]})
    putEndpoint(100, 0, 1, 1)
    putEndpoint(100, 0, 2, 2)
    putFrontend('10.96.0.10', 100)
    putService(101, {counts: [2]})
    putEndpoint(101, 0, 1, 3)
    putEndpoint(101, 0, 2, 4)
    putFrontend('fd00:96::10', 101)
  }

  function peers(count: number, address: string, mapped = false): (string | number)[] {
    return [...new Set(Array.from({length: count}, () => dial(netns, pod, address, 80, mapped)))].sort()
  }

  test('an IPv4 service is spread over its endpoints, with the target port', () => {
    assert.deepEqual(peers(40, '10.96.0.10'), ['127.1.0.1:8080', '127.1.0.2:8080'])
  })

  test('an IPv6 service likewise', () => {
    assert.deepEqual(peers(40, 'fd00:96::10'), ['[fd00:1::1]:8080', '[fd00:1::2]:8080'])
  })

  test('an IPv4-mapped destination finds the IPv4 service and stays mapped', () => {
    assert.deepEqual(peers(40, '10.96.0.10', true), ['[::ffff:127.1.0.1]:8080', '[::ffff:127.1.0.2]:8080'])
  })

  test('the endpoints share the connects evenly', () => {
    const connects = 400
    const first = Array.from({length: connects}, () => dial(netns, pod, '10.96.0.10', 80)).filter(
      (peer) => peer === '127.1.0.1:8080',
    ).length
    // Binomial with a standard deviation of 10: six of them.
    assert.ok(Math.abs(first - connects / 2) < 60, `${first} of ${connects} went to the first endpoint`)
  })

  test('a namespace that is not enrolled is left alone, also after it was released', () => {
    assert.equal(dial(netns, other, '10.96.0.10', 80), -ENETUNREACH)
    setManaged(pod, false)
    try {
      assert.equal(dial(netns, pod, '10.96.0.10', 80), -ENETUNREACH)
    } finally {
      setManaged(pod, true)
    }
    assert.equal(typeof dial(netns, pod, '10.96.0.10', 80), 'string')
  })

  test('an address that nobody knows goes where it was meant to', () => {
    assert.equal(dial(netns, pod, '127.1.0.9', 9999), '127.1.0.9:9999')
    assert.equal(dial(netns, pod, 'fd00:1::1', 8080), '[fd00:1::1]:8080')
  })

  test('a port that the service does not have stays untranslated', () => {
    assert.equal(dial(netns, pod, '10.96.0.10', 81), -ENETUNREACH)
  })

  test('a port with a slot of its own is translated, whatever slot it is', () => {
    assert.equal(dial(netns, pod, '10.96.0.10', 443), -ECONNREFUSED)
  })

  test('a service without endpoints leaves the destination', () => {
    putService(102, {counts: [0]})
    putFrontend('127.1.0.9', 102)
    assert.equal(dial(netns, pod, '127.1.0.9', 9999), '127.1.0.9:9999')
  })

  test('failover takes the first priority that has endpoints, random and strict only the first', () => {
    putFrontend('10.96.0.13', 103)
    putEndpoint(103, 3, 1, 2)
    putService(103, {counts: [0, 0, 0, 1], policy: 'failover'})
    assert.equal(dial(netns, pod, '10.96.0.13', 80), '127.1.0.2:8080')
    putService(103, {counts: [0, 0, 0, 1], policy: 'strict'})
    assert.equal(dial(netns, pod, '10.96.0.13', 80), -ENETUNREACH)
    putService(103, {counts: [0, 0, 0, 1], policy: 'random'})
    assert.equal(dial(netns, pod, '10.96.0.13', 80), -ENETUNREACH)
  })

  test('a frontend that is a pod keeps its port', () => {
    putFrontend('10.0.0.7', 2)
    assert.equal(dial(netns, pod, '10.0.0.7', 8080), '127.1.0.2:8080')
  })

  test('a waypoint of the service or of the backend is dialled as it is', () => {
    putFrontend('10.96.0.14', 104)
    putService(104, {counts: [0], waypoint: {address: '127.1.0.9', port: 9999}})
    assert.equal(dial(netns, pod, '10.96.0.14', 80), '127.1.0.9:9999')
    putService(104, {counts: [1]})
    putEndpoint(104, 0, 1, 5)
    putBackend(5, '127.1.0.1', {address: '127.1.0.9', port: 9999})
    assert.equal(dial(netns, pod, '10.96.0.14', 80), '127.1.0.9:9999')
  })

  test('a waypoint whose first address word is zero is one too', () => {
    fixture.ip('pod', 'address', 'add', '::5:9/128', 'dev', 'lo', 'nodad')
    listeners.push(netns.listen(pod, '::5:9', 15019))
    putFrontend('fd00:96::15', 105)
    putService(105, {counts: [0], waypoint: {address: '::5:9', port: 15019}})
    assert.equal(dial(netns, pod, 'fd00:96::15', 80), '[::5:9]:15019')
  })

  test('an endpoint of the other family is not used', () => {
    putFrontend('10.96.0.16', 106)
    putService(106, {counts: [1]})
    putEndpoint(106, 0, 1, 3)
    assert.equal(dial(netns, pod, '10.96.0.16', 80), -ENETUNREACH)
    assert.equal(dial(netns, pod, '10.96.0.16', 80, true), -ENETUNREACH)
  })

  test('an IPv6 address that looks like an IPv4 key is not taken for it', () => {
    // a60:a:: has the sixteen bytes of 10.96.0.10
    assert.equal(dial(netns, pod, 'a60:a::', 80), -ENETUNREACH)
  })

  test('a hole among the endpoints does not fail a connect when another one is there', () => {
    putFrontend('10.96.0.17', 107)
    putService(107, {counts: [4]})
    putEndpoint(107, 0, 1, 1)
    putEndpoint(107, 0, 2, 99)
    for (let n = 0; n < 30; n++) assert.equal(dial(netns, pod, '10.96.0.17', 80), '127.1.0.1:8080')
    putEndpoint(107, 0, 1, 99)
    assert.equal(dial(netns, pod, '10.96.0.17', 80), -ENETUNREACH)
  })

  test('a full log buffer changes no connect', () => {
    put(GLOBALS.name, encode(GLOBALS.key, {index: 0}), encode(GLOBALS.value, {bpfLogLevel: 'debug'}))
    try {
      // 262144 bytes hold 969 records of 272.
      // Nobody listens on that port: a refused connect shows the redirect and fills no accept queue.
      for (let n = 0; n < 1100; n++) assert.equal(dial(netns, pod, '10.96.0.10', 443), -ECONNREFUSED)
    } finally {
      put(GLOBALS.name, encode(GLOBALS.key, {index: 0}), encode(GLOBALS.value, {bpfLogLevel: 'info'}))
    }
    using ring = bpf.openRing(fixture.pin('map/km_log_event'))
    let records = 0
    let last = ''
    const handed = ring.drain(10_000, (record) => {
      records += 1
      assert.equal(record.byteLength, 260)
      last = Buffer.from(record.subarray(4)).toString('latin1')
    })
    assert.equal(handed, records)
    assert.ok(records >= 950 && records <= 969, `${records} records`)
    assert.match(last, /^\[KMESH\] DEBUG: 10\.96\.0\.10:443 goes to 127\.1\.0\.[12]:9443\0+$/)
    assert.equal(
      ring.drain(10, () => assert.fail('nothing is left')),
      0,
    )
  })
})
