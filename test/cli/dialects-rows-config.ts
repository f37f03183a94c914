// SPDX-License-Identifier: Apache-2.0
/** Rows of the table of dialects.test.ts: config dumps. By hand. */
import type {Cell} from './dialects-fixture.ts'
import {type Item, isOld, lacks, NONE, type Row} from './dialects-row.ts'
import {OUTBOUND} from './dialects-rows-maps.ts'

const hasPolicies = (cell: Cell): boolean => !isOld(cell, 'v0.4.0', 'v0.5.0', 'v1.0.0')
const PARTS = {
  'dual-engine': 'services, workloads, policies',
  'kernel-native': 'listeners, clusters, routes',
} as const

/** @param columns - behind NODE */
function configRow(
  part: string,
  mode: Cell['mode'],
  totals: string,
  columns: string,
  cellsOf: Row['cellsOf'],
  cells: readonly (readonly string[])[],
): Row {
  const hasPart = (cell: Cell): boolean => cell.mode === mode && (part !== 'policies' || hasPolicies(cell))
  return {
    id: 'dump:config',
    words: `dump config ${part} --all-nodes`,
    code: 4,
    header: `NODE ${columns}`,
    cellsOf: (item) => [item.node, ...cellsOf(item)],
    cells: (cell) => (hasPart(cell) ? cells.map((line) => [cell.node, ...line]) : []),
    stderr: (cell) => {
      if (hasPart(cell)) return []
      if (cell.mode === mode) return lacks(cell, 'policies in its config dump')
      return lacks(cell, `${part} in ${cell.mode} mode (it has ${PARTS[cell.mode]})`)
    },
    totals: [totals],
  }
}

const addresses = (items: readonly {readonly address: string; readonly port?: number}[]): string =>
  items.map(({address, port}) => (port === undefined ? address : `${address}:${port}`)).join(',')

export const CONFIG_ROWS: readonly Row[] = [
  configRow(
    'services',
    'dual-engine',
    '12 objects',
    'NAMESPACE NAME HOSTNAME ADDRESSES PORTS WAYPOINT',
    ({namespace, name, hostname, vips, ports, waypoint}) => [
      namespace,
      name,
      hostname,
      addresses(vips),
      ports
        .map((one: Item) => (one.targetPort === 0 ? one.port : `${one.port}->${one.targetPort}`))
        .join(','),
      waypoint,
    ],
    [
      [
        'shop',
        'cart',
        'cart.shop.svc.cluster.local',
        '10.96.14.3,fd00:10:96::e03',
        '80->8080,9090',
        '/10.96.77.5',
      ],
      ['shop', 'none', 'none', NONE, NONE, NONE],
    ],
  ),
  configRow(
    'workloads',
    'dual-engine',
    '12 objects',
    'NAMESPACE NAME ADDRESSES RUNS_ON PROTOCOL STATUS',
    (item) => [
      item.namespace,
      item.name,
      item.addresses.join(','),
      item.workloadNode,
      item.protocol,
      item.status,
    ],
    [
      ['shop', 'cart-1', '10.244.1.17,fd00:10:244:1::11', 'worker-1', 'NONE', 'HEALTHY'],
      ['shop', 'cart-2', '2001:db8:100::', 'worker-1', 'NONE', 'HEALTHY'],
    ],
  ),
  configRow(
    'policies',
    'dual-engine',
    '3 objects',
    'NAMESPACE NAME SCOPE ACTION RULES',
    ({namespace, name, scope, action, rules}) => [namespace, name, scope, action, rules.length],
    [['shop', 'allow', 'NAMESPACE', 'ALLOW', '0']],
  ),
  configRow(
    'listeners',
    'kernel-native',
    '6 objects',
    'NAME ADDRESS PORT FILTER_CHAINS',
    ({name, address, port, filterChains}) => [name, address, port, filterChains.length],
    [['10.96.14.3_80', '10.96.14.3', '80', '1']],
  ),
  configRow(
    'clusters',
    'kernel-native',
    '6 objects',
    'NAME BALANCING CONNECT_TIMEOUT ENDPOINTS',
    ({name, lbPolicy, connectTimeoutSeconds, endpoints}) => [
      name,
      lbPolicy,
      `${connectTimeoutSeconds}s`,
      addresses(endpoints),
    ],
    [[OUTBOUND, 'LEAST_REQUEST', '10s', '10.244.1.17:8080']],
  ),
  configRow('routes', 'kernel-native', '0 objects', 'NAME VIRTUAL_HOSTS', ({name}) => [name], []),
]
