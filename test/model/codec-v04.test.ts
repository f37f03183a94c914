// SPDX-License-Identifier: Apache-2.0
// Goal: the layouts of v0.4 maps can be written and read with the same codecs as ours.
// Method: lengths and bytes by hand; 300 seeded random values there and back; random bytes.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {array, type Codec, decode, encode, hex, ip16, portBE, struct, u32} from '../../src/lib/model/codec.ts'
import {BACKEND, SERVICE} from '../../src/lib/model/maps.ts'
import {SeededRandom} from './random.ts'

const SERVICE_V04 = struct({
  endpointCount: u32,
  lbPolicy: u32,
  servicePorts: array(portBE, 10),
  targetPorts: array(portBE, 10),
  waypointAddress: ip16,
  waypointPort: portBE,
})
const ENDPOINT_KEY_V04 = struct({serviceId: u32, index: u32})
const METRIC_KEY_V04 = struct({source: ip16, destination: ip16})
const METRIC_VALUE_V04 = struct({
  direction: u32,
  opened: u32,
  closed: u32,
  failed: u32,
  sent: u32,
  received: u32,
})
const MANAGE_VALUE_V04 = struct({isBypassed: u32})
const ALL_V04: readonly Codec<unknown>[] = [
  SERVICE_V04,
  ENDPOINT_KEY_V04,
  METRIC_KEY_V04,
  METRIC_VALUE_V04,
  MANAGE_VALUE_V04,
] as never

test('lengths: service 108, endpoint key 8, metric key 32 and value 24, manage value 4; since v1.0 service 132, backend 80 in all versions', () => {
  const lengths = [...ALL_V04, SERVICE.value, BACKEND.value].map(({bytes}) => bytes)
  assert.deepEqual(lengths, [108, 8, 32, 24, 4, 132, 80])
})

test('bytes by hand: one endpoint, 80 to 8080, waypoint 10.96.77.5 at 15019', () => {
  const ports = (first: number): number[] => [first, ...Array(9).fill(0)]
  const value = {
    endpointCount: 1,
    lbPolicy: 2,
    servicePorts: ports(80),
    targetPorts: ports(8080),
    waypointAddress: '10.96.77.5',
    waypointPort: 15019,
  }
  const none = '00'.repeat(36)
  const bytes = `0100000002000000${'00500000'}${none}${'1f900000'}${none}0a604d05${'00'.repeat(12)}3aab0000`
  assert.equal(hex(encode(SERVICE_V04, value)), bytes)
  assert.deepEqual(decode(SERVICE_V04, Buffer.from(bytes, 'hex')), value)
  assert.equal(hex(encode(ENDPOINT_KEY_V04, {serviceId: 391707715, index: 2})), '43fc581702000000')
})

test('random values come back, random bytes never throw and keep their meaning when written', () => {
  const random = new SeededRandom(5)
  const port = (): number => random.below(65_536)
  for (let turn = 0; turn < 300; turn += 1) {
    const value = {
      endpointCount: random.word(),
      lbPolicy: random.word(),
      servicePorts: Array.from({length: 10}, port),
      targetPorts: Array.from({length: 10}, port),
      waypointAddress: random.pick(['10.0.0.1', 'fd00::1', null]),
      waypointPort: port(),
    }
    assert.deepEqual(decode(SERVICE_V04, encode(SERVICE_V04, value)), value)
    const metric = {
      direction: 2,
      opened: random.word(),
      closed: 1,
      failed: 0,
      sent: random.word(),
      received: 7,
    }
    assert.deepEqual(decode(METRIC_VALUE_V04, encode(METRIC_VALUE_V04, metric)), metric)
    for (const codec of ALL_V04) {
      const read = decode(codec, random.bytes(codec.bytes))
      assert.deepEqual(decode(codec, encode(codec, read)), read)
    }
  }
})
