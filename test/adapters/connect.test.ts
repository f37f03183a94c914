// SPDX-License-Identifier: Apache-2.0
// Goal: a connect of an enrolled namespace to a service address reaches an endpoint, and nothing else changes.
// Method: the built object in the real kernel, real sockets in a network namespace, maps filled by hand.
import assert from 'node:assert/strict'
import {closeSync} from 'node:fs'
import {after, before, describe, test} from 'node:test'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import type {Bpf, Netns} from '../../src/lib/ports.ts'
import {KernelFixture, skipReason} from './kernel-fixture.ts'
import {MeshMaps} from './mesh-maps.ts'
import {connect, dial, dialUdp, ECONNREFUSED, ENETUNREACH, limitTime, socketAddress} from './sockets.ts'

const skip = skipReason()

describe('connect hooks', {skip}, () => {
  let fixture: KernelFixture
  let bpf: Bpf
  let netns: Netns
  let pod: string
  let other: string
  let mesh: MeshMaps
  const listeners: number[] = []

  before(() => {
    fixture = new KernelFixture()
    bpf = createBpf()
    netns = createNetns()
    pod = fixture.addNamespace('pod', ['fd00:1::1/128', 'fd00:1::2/128'])
    other = fixture.addNamespace('other', ['fd00:1::1/128'])
    fixture.joinCgroup()
    bpf.load(fixture.request())
    mesh = new MeshMaps(bpf, (name) => fixture.pin(`map/${name}`))
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

  function setManaged(namespacePath: string, managed: boolean): void {
    mesh.setManaged(netns.cookie(namespacePath), managed)
  }

  /** Backends 1, 2 (IPv4), 3, 4 (IPv6); services are named where they are tested. */
  function fill(): void {
    mesh.putBackend(1, '127.1.0.1')
    mesh.putBackend(2, '127.1.0.2')
    mesh.putBackend(3, 'fd00:1::1')
    mesh.putBackend(4, 'fd00:1::2')
    mesh.putService(100, {counts: [2]})
    mesh.putEndpoint(100, 0, 1, 1)
    mesh.putEndpoint(100, 0, 2, 2)
    mesh.putFrontend('10.96.0.10', 100)
    mesh.putService(101, {counts: [2]})
    mesh.putEndpoint(101, 0, 1, 3)
    mesh.putEndpoint(101, 0, 2, 4)
    mesh.putFrontend('fd00:96::10', 101)
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
    mesh.putService(102, {counts: [0]})
    mesh.putFrontend('127.1.0.9', 102)
    assert.equal(dial(netns, pod, '127.1.0.9', 9999), '127.1.0.9:9999')
  })

  test('failover takes the first priority that has endpoints, random and strict only the first', () => {
    mesh.putFrontend('10.96.0.13', 103)
    mesh.putEndpoint(103, 3, 1, 2)
    mesh.putService(103, {counts: [0, 0, 0, 1], policy: 'failover'})
    assert.equal(dial(netns, pod, '10.96.0.13', 80), '127.1.0.2:8080')
    mesh.putService(103, {counts: [0, 0, 0, 1], policy: 'strict'})
    assert.equal(dial(netns, pod, '10.96.0.13', 80), -ENETUNREACH)
    mesh.putService(103, {counts: [0, 0, 0, 1], policy: 'random'})
    assert.equal(dial(netns, pod, '10.96.0.13', 80), -ENETUNREACH)
  })

  test('a frontend that is a pod keeps its port', () => {
    mesh.putFrontend('10.0.0.7', 2)
    assert.equal(dial(netns, pod, '10.0.0.7', 8080), '127.1.0.2:8080')
  })

  test('a waypoint of the service or of the backend is dialled as it is', () => {
    mesh.putFrontend('10.96.0.14', 104)
    mesh.putService(104, {counts: [0], waypoint: {address: '127.1.0.9', port: 9999}})
    assert.equal(dial(netns, pod, '10.96.0.14', 80), '127.1.0.9:9999')
    mesh.putService(104, {counts: [1]})
    mesh.putEndpoint(104, 0, 1, 5)
    mesh.putBackend(5, '127.1.0.1', {address: '127.1.0.9', port: 9999})
    assert.equal(dial(netns, pod, '10.96.0.14', 80), '127.1.0.9:9999')
  })

  test('a waypoint whose first address word is zero is one too', () => {
    fixture.ip('pod', 'address', 'add', '::5:9/128', 'dev', 'lo', 'nodad')
    listeners.push(netns.listen(pod, '::5:9', 15019))
    mesh.putFrontend('fd00:96::15', 105)
    mesh.putService(105, {counts: [0], waypoint: {address: '::5:9', port: 15019}})
    assert.equal(dial(netns, pod, 'fd00:96::15', 80), '[::5:9]:15019')
  })

  test('an endpoint of the other family is not used', () => {
    mesh.putFrontend('10.96.0.16', 106)
    mesh.putService(106, {counts: [1]})
    mesh.putEndpoint(106, 0, 1, 3)
    assert.equal(dial(netns, pod, '10.96.0.16', 80), -ENETUNREACH)
    assert.equal(dial(netns, pod, '10.96.0.16', 80, true), -ENETUNREACH)
  })

  test('an IPv6 address that looks like an IPv4 key is not taken for it', () => {
    // a60:a:: has the sixteen bytes of 10.96.0.10
    assert.equal(dial(netns, pod, 'a60:a::', 80), -ENETUNREACH)
  })

  test('a hole among the endpoints does not fail a connect when another one is there', () => {
    mesh.putFrontend('10.96.0.17', 107)
    mesh.putService(107, {counts: [4]})
    mesh.putEndpoint(107, 0, 1, 1)
    mesh.putEndpoint(107, 0, 2, 99)
    for (let n = 0; n < 30; n++) assert.equal(dial(netns, pod, '10.96.0.17', 80), '127.1.0.1:8080')
    mesh.putEndpoint(107, 0, 1, 99)
    assert.equal(dial(netns, pod, '10.96.0.17', 80), -ENETUNREACH)
  })

  /** What the socket storage holds after a connect of a fresh socket; sockets are keys here, not listable. */
  function stored(address: string, port: number, mapped = false): Buffer {
    const fd = netns.socket(pod, mapped || address.includes(':') ? 6 : 4)
    try {
      limitTime(fd)
      connect(fd, socketAddress(address, port, mapped))
      using map = bpf.openPinned(fixture.pin('map/km_sockstorage'))
      return Buffer.from(map.lookup(new Uint8Array(Int32Array.of(fd).buffer)) ?? [])
    } finally {
      closeSync(fd)
    }
  }

  test('the original destination and the time of the connect are kept', () => {
    const before = process.hrtime.bigint()
    const ipv4 = stored('10.96.0.10', 80)
    assert.ok(ipv4.readBigUInt64LE(0) > before && ipv4.readBigUInt64LE(0) < process.hrtime.bigint())
    // last_report, flags and the sender's half of the tuple are untouched; then address and port in network order.
    assert.equal(ipv4.toString('hex', 8), `${'00'.repeat(20)}0a60000a00000050${'00'.repeat(28)}`)
    const ipv6 = stored('fd00:96::10', 80)
    const tuple6 = `${'00'.repeat(16)}fd000096${'00'.repeat(11)}1000000050`
    assert.equal(ipv6.toString('hex', 8), `${'00'.repeat(16)}${tuple6}${'00'.repeat(4)}`)
    const mapped = stored('10.96.0.10', 80, true)
    const tupleMapped = `${'00'.repeat(26)}ffff0a60000a00000050`
    assert.equal(mapped.toString('hex', 8), `${'00'.repeat(16)}${tupleMapped}${'00'.repeat(4)}`)
  })

  test('without a redirect only the time is kept, and a waypoint is marked', () => {
    const plain = stored('127.1.0.9', 9998)
    assert.notEqual(plain.readBigUInt64LE(0), 0n)
    assert.equal(plain.toString('hex', 8), '00'.repeat(56))
    mesh.putFrontend('10.96.0.18', 108)
    mesh.putService(108, {waypoint: {address: '127.1.0.9', port: 9999}})
    assert.equal(stored('10.96.0.18', 80)[18], 1)
  })

  test('UDP is left alone', () => {
    fixture.ip('pod', 'route', 'add', '10.96.0.10/32', 'dev', 'lo')
    try {
      assert.equal(dialUdp(netns, pod, '10.96.0.10', 80), '10.96.0.10:80')
      assert.match(String(dial(netns, pod, '10.96.0.10', 80)), /^127\.1\.0\.[12]:8080$/)
    } finally {
      fixture.ip('pod', 'route', 'delete', '10.96.0.10/32', 'dev', 'lo')
    }
  })

  test('a full log buffer changes no connect', () => {
    mesh.putLevel('debug')
    try {
      // 262144 bytes hold 969 records of 272.
      // Nobody listens on that port: a refused connect shows the redirect and fills no accept queue.
      for (let n = 0; n < 1100; n++) assert.equal(dial(netns, pod, '10.96.0.10', 443), -ECONNREFUSED)
    } finally {
      mesh.putLevel('info')
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
