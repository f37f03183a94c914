// SPDX-License-Identifier: Apache-2.0
// Goal: TypeScript and C mean the same bytes. The built object is the witness.
// Method: every row of the registry against the BTF of bpf/kmesh.bpf.o (type, sizes, max_entries), every field
// against a table written by hand from the published layout, and the codec against the same table.
import assert from 'node:assert/strict'
import {join} from 'node:path'
import {test} from 'node:test'
import {decode} from '../../src/lib/model/codec.ts'
import {MAPS, type MapRow} from '../../src/lib/model/maps.ts'
import {Btf} from './btf.ts'

const ROWS = MAPS as readonly unknown[] as readonly MapRow[]
const btf = new Btf(join(import.meta.dirname, '../../bpf/kmesh.bpf.o'))
const maps = btf.maps()

/** C field, its offset and bytes, and the field of the decoded value that these bytes end in. */
type FieldRow = readonly [name: string, offset: number, size: number, decoded: string]

const FIELDS: Readonly<Record<string, {key: readonly FieldRow[]; value: readonly FieldRow[]}>> = {
  km_frontend: {
    key: [['address', 0, 16, 'address']],
    value: [['upstream_id', 0, 4, 'upstreamId']],
  },
  km_service: {
    key: [['service_id', 0, 4, 'serviceId']],
    value: [
      ['endpoint_count', 0, 28, 'endpointCount'],
      ['lb_policy', 28, 4, 'lbPolicy'],
      ['service_port', 32, 40, 'ports'],
      ['target_port', 72, 40, 'ports'],
      ['waypoint_address', 112, 16, 'waypointAddress'],
      ['waypoint_port', 128, 4, 'waypointPort'],
    ],
  },
  km_endpoint: {
    key: [
      ['service_id', 0, 4, 'serviceId'],
      ['priority', 4, 4, 'priority'],
      ['index', 8, 4, 'index'],
    ],
    value: [['backend_uid', 0, 4, 'backendUid']],
  },
  km_backend: {
    key: [['backend_uid', 0, 4, 'backendUid']],
    value: [
      ['address', 0, 16, 'address'],
      ['service_count', 16, 4, 'services'],
      ['service', 20, 40, 'services'],
      ['waypoint_address', 60, 16, 'waypointAddress'],
      ['waypoint_port', 76, 4, 'waypointPort'],
    ],
  },
  km_manage: {key: [['(anon)', 0, 16, 'address']], value: [['flags', 0, 4, 'flags']]},
  kmesh_version: {key: [], value: [['version_hash', 0, 4, 'versionHash']]},
  km_sockstorage: {
    key: [],
    value: [
      ['connect_ns', 0, 8, ''],
      ['last_report_ns', 8, 8, ''],
      ['direction', 16, 1, ''],
      ['connect_success', 17, 1, ''],
      ['via_waypoint', 18, 1, ''],
      ['has_encoded', 19, 1, ''],
      ['has_set_ip', 20, 1, ''],
      ['reserved', 21, 3, ''],
      ['tuple', 24, 36, ''],
      ['reserved_end', 60, 4, ''],
    ],
  },
  km_log_event: {key: [], value: []},
}

test('the object has exactly the maps of the registry', () => {
  const inObject = [...maps.keys(), 'km_globals'].sort()
  assert.deepEqual(inObject, ROWS.map((row) => row.name).sort())
})

test('the globals are one u32, the log level', () => {
  const variables = btf.section('.data').map(({name, offset, size}) => ({name, offset, size}))
  assert.deepEqual(variables, [{name: 'bpf_log_level', offset: 0, size: 4}])
})

for (const row of ROWS.filter((candidate) => candidate.name !== 'km_globals')) {
  const map = maps.get(row.name)
  const table = FIELDS[row.name]

  test(`${row.name}: type, sizes and max_entries`, () => {
    assert.ok(map !== undefined)
    const {type, maxEntries, keyBytes, valueBytes} = map
    assert.deepEqual(
      {type, maxEntries, keyBytes, valueBytes},
      {
        type: row.type,
        maxEntries: row.maxEntries,
        keyBytes: row.keyBytes,
        valueBytes: row.valueBytes,
      },
    )
  })

  test(`${row.name}: fields of the object stand where the layout says`, () => {
    assert.ok(map !== undefined && table !== undefined)
    const expected = (rows: readonly FieldRow[]) => rows.map(([name, offset, size]) => ({name, offset, size}))
    assert.deepEqual(map.keyFields, expected(table.key))
    assert.deepEqual(map.valueFields, expected(table.value))
  })

  for (const side of ['key', 'value'] as const) {
    const codec = row[side]
    for (const [name, offset, size, decoded] of codec === undefined ? [] : (table?.[side] ?? [])) {
      test(`${row.name}: bytes of ${side}.${name} end in ${decoded} and nowhere else`, () => {
        assert.ok(codec !== undefined)
        const plain = baseline(codec.bytes, row.name, name)
        const changed = plain.slice()
        changed.fill(0x11, offset, offset + size)
        assert.deepEqual(differences(decode(codec, plain), decode(codec, changed)), [decoded])
      })
    }
  }
}

/** Zeros; where slots count only behind a counter, the counter says one. */
function baseline(bytes: number, map: string, field: string): Uint8Array {
  const plain = new Uint8Array(bytes)
  if (map === 'km_backend' && field === 'service') plain[16] = 1
  return plain
}

function differences(left: unknown, right: unknown): string[] {
  const [one, other] = [left as Record<string, unknown>, right as Record<string, unknown>]
  return Object.keys(one).filter((name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]))
}
