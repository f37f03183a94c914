// SPDX-License-Identifier: Apache-2.0
/** Rows of the table of dialects.test.ts: BPF maps. By hand. */
import type {Cell} from './dialects-fixture.ts'
import {BEFORE_V1, error, isNative, isOld, lacks, NONE, type Row} from './dialects-row.ts'

const DUAL_MAPS = 'km_frontend, km_service, km_endpoint, km_backend, km_wlpolicy'
const NATIVE_MAPS = 'km_listener, km_cluster, km_routerconfig'

/** One text or one for each dialect that dumps the map; cells are those of `-o json` put in one word. */
function mapRow(
  map: string,
  mode: Cell['mode'],
  total: string,
  values: (cell: Cell) => readonly string[],
): Row {
  const other = mode === 'dual-engine' ? NATIVE_MAPS : DUAL_MAPS
  const isMissing = (cell: Cell): boolean => isOld(cell, 'v0.4.0') && !isNative(cell)
  return {
    id: 'dump:maps',
    words: `dump maps ${map} --all-nodes`,
    code: 4,
    header: 'NODE MAP KEY VALUE',
    cellsOf: (item) => [item.node, item.map, item.key, fieldsText(item.value)],
    cells: (cell) =>
      isMissing(cell) || cell.mode !== mode ? [] : values(cell).map((value) => [cell.node, map, NONE, value]),
    stderr: (cell) => {
      if (isMissing(cell)) return lacks(cell, 'dumping BPF maps in dual-engine mode')
      if (cell.mode === mode) return []
      return [
        error(cell, `there is no map '${map}'`),
        `hint: maps are ${cell.mode === 'dual-engine' ? DUAL_MAPS : other}`,
      ]
    },
    // One for all of them (A9).
    said: ['warning: 11 daemons tell values without keys (Go daemons do); key is null (KeysUnavailable)'],
    totals: [total],
  }
}

function fieldsText(value: Readonly<Record<string, unknown>>): string {
  return Object.entries(value)
    .map(([name, one]) => `${name}=${valueText(one)}`)
    .join(' ')
}

function valueText(value: unknown): string {
  if (value === null) return '-'
  if (Array.isArray(value)) return `[${value.map(valueText).join(',')}]`
  if (typeof value !== 'object') return String(value)
  const parts = Object.entries(value).map(([name, one]) => `${name}:${valueText(one)}`)
  return `{${parts.join(',')}}`
}

const isRaw = (cell: Cell): boolean => isOld(cell, 'v0.5.0', 'v1.0.0')
const CART = 'shop/cart.shop.svc.cluster.local'
const TARGETS = 'waypointAddress=10.96.77.5 waypointPort=15019'
const PROXY = 'address=10.244.0.5 services=[] waypointAddress=- waypointPort=0 dnsProxy=true'
const NO_WAYPOINT = 'waypointAddress=- waypointPort=0'
export const OUTBOUND = 'outbound|80||cart.shop.svc.cluster.local'

export const MAP_ROWS: readonly Row[] = [
  mapRow('km_frontend', 'dual-engine', '8 entries', (cell) =>
    isRaw(cell) ? ['upstreamId=391707715'] : ['upstreamId=Kubernetes//Pod/shop/cart-1', `upstreamId=${CART}`],
  ),
  mapRow('km_service', 'dual-engine', '5 entries', (cell) => [
    isRaw(cell)
      ? `endpointCount=[2,0,0,0,0,0,0] lbPolicy=failover ports=[{servicePort:80,targetPort:8080}] ${TARGETS}`
      : `endpointCount=[2,0,0,0,0,0,0] lbPolicy=failover ports=[{servicePort:80,targetPort:-},{servicePort:9090,targetPort:-},{servicePort:-,targetPort:8080}] ${TARGETS}`,
  ]),
  mapRow('km_endpoint', 'dual-engine', '8 entries', (cell) =>
    isRaw(cell) ? ['backendUid=882874296'] : ['backendUid=-', 'backendUid=Kubernetes//Pod/shop/cart-1'],
  ),
  mapRow('km_backend', 'dual-engine', '12 entries', (cell) => {
    const cut = `address=2001:db8:100:: services=[] ${NO_WAYPOINT}`
    if (isRaw(cell)) return [cut, `address=10.244.1.17 services=[391707715] ${NO_WAYPOINT}`]
    const whole = [`address=10.244.1.17 services=[${CART},-] ${NO_WAYPOINT}`, cut]
    return isOld(cell, 'v1.1.0') ? whole : [PROXY, ...whole]
  }),
  mapRow('km_wlpolicy', 'dual-engine', '4 entries', (cell) => {
    if (isOld(cell, 'v0.5.0')) return []
    return isRaw(cell) ? ['policyIds=[77]'] : ['policyIds=[shop/allow]']
  }),
  mapRow('km_listener', 'kernel-native', '6 entries', () => [
    `name=10.96.14.3_80 apiStatus=UPDATE address=10.96.14.3 port=80 filterChains=[{name:default,filters:[{name:envoy.filters.network.tcp_proxy,tcpProxy:{statPrefix:${OUTBOUND},cluster:${OUTBOUND}}}]}]`,
  ]),
  mapRow('km_cluster', 'kernel-native', '6 entries', (cell) => [
    `name=${OUTBOUND} id=${isOld(cell, ...BEFORE_V1) ? '-' : '3735928559'} apiStatus=UPDATE connectTimeoutSeconds=10 lbPolicy=LEAST_REQUEST endpoints=[{address:10.244.1.17,port:8080,weight:1,priority:0}] circuitBreakers=-`,
  ]),
  mapRow('km_routerconfig', 'kernel-native', '0 entries', () => []),
]
