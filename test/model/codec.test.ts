// SPDX-License-Identifier: Apache-2.0
// Goal: codecs give back what was put in, and stand any bytes.
// Method: bytes written by hand for each layout; 300 seeded random values and 2,000 random byte strings a row.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {LayoutError} from '../../src/lib/errors.ts'
import {
  addressBytes,
  addressText,
  type Codec,
  decode,
  encode,
  hex,
  ip16,
  normalAddress,
  portBE,
  u32,
  u64,
} from '../../src/lib/model/codec.ts'
import {
  BACKEND,
  ENDPOINT,
  FRONTEND,
  GLOBALS,
  MANAGE,
  MAPS,
  type MapRow,
  SERVICE,
  VERSION,
} from '../../src/lib/model/maps.ts'
import {SeededRandom} from './random.ts'

const ROWS = MAPS as readonly unknown[] as readonly MapRow[]

function row<T>(name: string, codec: Codec<T>, value: T, expected: string): {name: string; run: () => void} {
  const run = (): void => {
    assert.equal(hex(encode(codec, value)), expected)
    assert.deepEqual(decode(codec, Buffer.from(expected, 'hex')), value)
  }
  return {name, run}
}

describe('bytes by hand', () => {
  const rows = [
    row('u32', u32, 0x01020304, '04030201'),
    row('u64', u64, '72623859790382856', '0807060504030201'),
    row('port 8080', portBE, 8080, '1f900000'),
    row('IPv4 address', ip16, '10.96.14.3', `0a600e03${'00'.repeat(12)}`),
    row('IPv6 address', ip16, '2001:db8::5', `20010db8${'00'.repeat(11)}05`),
    row('no address', ip16, null, '00'.repeat(16)),
    row('cookie', MANAGE.key, {cookie: '4294967296', address: null}, `0000000001000000${'00'.repeat(8)}`),
    row('level', GLOBALS.value, {bpfLogLevel: 'debug'}, '03000000'),
    row('version', VERSION.value, {versionHash: 0xdeadbeef}, 'efbeadde'),
    row('endpoint', ENDPOINT.key, {serviceId: 1, priority: 6, index: 2}, '010000000600000002000000'),
    row(
      'service',
      SERVICE.value,
      {
        endpointCount: [2, 0, 0, 0, 0, 0, 1],
        lbPolicy: 'failover',
        ports: [
          {servicePort: 80, targetPort: 8080},
          {servicePort: 443, targetPort: 8443},
        ],
        waypointAddress: '10.1.2.3',
        waypointPort: 15019,
      },
      `02000000${'00'.repeat(20)}01000000` +
        '02000000' +
        `0050000001bb0000${'00'.repeat(32)}` +
        `1f90000020fb0000${'00'.repeat(32)}` +
        `0a010203${'00'.repeat(12)}` +
        '3aab0000',
    ),
    row(
      'backend',
      BACKEND.value,
      {address: 'fd00::7', services: [9, 8], waypointAddress: null, waypointPort: 0},
      `fd00${'00'.repeat(13)}07020000000900000008000000${'00'.repeat(32)}${'00'.repeat(20)}`,
    ),
  ]
  for (const {name, run} of rows) test(name, run)
})

test('a key that can be both gives both, else the one it can be', () => {
  const read = (text: string) => decode(MANAGE.key, Buffer.from(text, 'hex'))
  assert.deepEqual(read(`0a000001${'00'.repeat(12)}`), {cookie: '16777226', address: '10.0.0.1'})
  assert.deepEqual(read(`0100000002${'00'.repeat(11)}`), {cookie: '8589934593', address: null})
  assert.deepEqual(read(`fd00${'00'.repeat(13)}01`), {cookie: null, address: 'fd00::1'})
})

test('more than fits is refused', () => {
  assert.throws(
    () =>
      encode(BACKEND.value, {
        address: '10.0.0.1',
        services: Array.from({length: 11}, (_, at) => at),
        waypointAddress: null,
        waypointPort: 0,
      }),
    LayoutError,
  )
  assert.throws(() => decode(u32, new Uint8Array(5)), LayoutError)
  assert.throws(() => encode(ip16, 'not an address'), LayoutError)
})

test('a count larger than the slots shows the slots only', () => {
  const bytes = new Uint8Array(80)
  bytes.fill(0xff, 16, 20)
  assert.equal(decode(BACKEND.value, bytes).services.length, 10)
})

test('addresses have one spelling, and mapped ones become IPv4', () => {
  assert.equal(normalAddress('2001:DB8:0::0001'), '2001:db8::1')
  assert.equal(normalAddress('::ffff:10.0.0.1'), '10.0.0.1')
  assert.equal(addressText(addressBytes('::')), '::')
})

describe('random bytes', () => {
  for (const row of ROWS) {
    for (const side of ['key', 'value'] as const) {
      const codec = row[side]
      if (codec === undefined) continue
      test(`${row.name} ${side}: decoding never throws, and what was decoded stays the same when written`, () => {
        const random = new SeededRandom(17)
        for (let turn = 0; turn < 2000; turn++) {
          const bytes = random.bytes(codec.bytes)
          // Few bits set reaches the short forms: IPv4, empty slots, small counts.
          if (turn % 2 === 0) bytes.set(bytes.map((byte) => (random.below(4) === 0 ? byte : 0)))
          const value: unknown = decode(codec, bytes)
          assert.doesNotThrow(() => JSON.stringify(value))
          if (isWritable(value)) assert.deepEqual(decode(codec, encode(codec, value)), value)
        }
      })
    }
  }
})

/** What no program of ours writes need not survive: an unknown level, a hole at the end of the ports. */
function isWritable(value: unknown): boolean {
  return !JSON.stringify(value).includes('unknown(')
}

function roundTrip<T>(name: string, codec: Codec<T>, make: () => T): {name: string; run: () => void} {
  const run = (): void => {
    for (let turn = 0; turn < 300; turn++) {
      const value = make()
      assert.deepEqual(decode(codec, encode(codec, value)), value)
    }
  }
  return {name, run}
}

describe('random values', () => {
  const random = new SeededRandom(4711)
  const id = (): number => random.word()
  const port = (): number => 1 + random.below(65_535)
  const address = (): string =>
    random.below(2) === 0
      ? addressText(random.bytes(4).fill(10, 0, 1))
      : addressText(random.bytes(16).fill(0xfd, 0, 1).fill(1, 15))
  const waypoint = () =>
    random.below(3) === 0
      ? {waypointAddress: address(), waypointPort: port()}
      : {waypointAddress: null, waypointPort: 0}
  const rows = [
    roundTrip('frontend key', FRONTEND.key, () => ({address: address()})),
    roundTrip('frontend value', FRONTEND.value, () => ({upstreamId: id()})),
    roundTrip('endpoint key', ENDPOINT.key, () => ({
      serviceId: id(),
      priority: random.below(7),
      index: id(),
    })),
    roundTrip('service value', SERVICE.value, () => ({
      endpointCount: Array.from({length: 7}, id),
      lbPolicy: random.pick(['random', 'strict', 'failover']),
      ports: random.list(10, () => ({servicePort: port(), targetPort: port()})),
      ...waypoint(),
    })),
    roundTrip('backend value', BACKEND.value, () => ({
      address: address(),
      services: random.list(10, id),
      ...waypoint(),
    })),
  ]
  const others = [
    roundTrip('service key', SERVICE.key, () => ({serviceId: id()})),
    roundTrip('endpoint value', ENDPOINT.value, () => ({backendUid: id()})),
    roundTrip('backend key', BACKEND.key, () => ({backendUid: id()})),
    roundTrip('manage value', MANAGE.value, () => ({flags: id()})),
    // From 2^32 on a cookie cannot be taken for an IPv4 address.
    roundTrip('manage key of a cookie', MANAGE.key, () => ({
      cookie: String((BigInt(1 + random.below(1_000_000)) << 32n) + BigInt(id())),
      address: null,
    })),
    roundTrip('globals', GLOBALS.value, () => ({
      bpfLogLevel: random.pick(['error', 'warn', 'info', 'debug']),
    })),
    roundTrip('version', VERSION.value, () => ({versionHash: id()})),
  ]
  for (const {name, run} of [...rows, ...others]) {
    test(`${name}: decoding gives back what was encoded`, run)
  }
})
