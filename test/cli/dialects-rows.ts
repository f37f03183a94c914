// SPDX-License-Identifier: Apache-2.0
/** The table: what every command that asks daemons says of each version and mode. Expectations by hand. */
import type {GoVersion} from '../fakes/go-daemon/dialects.ts'
import {CELLS, type Cell} from './dialects-fixture.ts'

// biome-ignore lint/suspicious/noExplicitAny: items of several kinds
type Item = any
type Cells = readonly (readonly string[])[]

export interface Row {
  /** As the manifest has it; a command that asks daemons has at least one row. */
  readonly id: string
  readonly words: string
  readonly code: number
  readonly header: string
  /** Table cells of an item of the document, to compare with those of the table. */
  readonly cellsOf: (item: Item) => readonly unknown[]
  /** Table lines of one daemon. */
  readonly cells: (cell: Cell) => Cells
  /** Lines that are no daemon's, above the others. */
  readonly first?: Cells
  /** Lines of stderr about one daemon. */
  readonly stderr: (cell: Cell) => readonly string[]
  /** Other lines, in every format, and in tables only. */
  readonly said?: readonly string[]
  readonly totals: readonly string[]
}

const NONE = '<none>'
const isNative = ({mode}: Cell): boolean => mode === 'kernel-native'
const isOld = ({version}: Cell, ...versions: readonly GoVersion[]): boolean => versions.includes(version)
const BEFORE_V1: readonly GoVersion[] = ['v0.4.0', 'v0.5.0']
/** v0.5 does not tell its version. */
const shown = ({version}: Cell): string => (version === 'v0.5.0' ? 'v0.5' : version)
const silent = (): readonly string[] => []
const error = ({node}: Cell, message: string): string =>
  `error: node ${node} (pod kmesh-system/kmesh-${node}): ${message}`
const lacks = (cell: Cell, feature: string): string[] => [
  error(cell, `Kmesh ${shown(cell)} does not support ${feature}`),
]
const UNREADABLE = ({node}: Cell): string =>
  `warning: node ${node}: Kmesh v0.4.0 does not tell the level of logger 'bpf' (LevelUnreadable)`

const dialectOf: Readonly<Record<GoVersion, string>> = {
  'v0.4.0': 'v0.4.0',
  'v0.5.0': 'v0.5',
  'v1.0.0': 'v1.0',
  'v1.1.0': 'v1.1',
  'v1.2.0': 'v1.2',
  'v0.0.0-master': 'v1.2',
}

const LEVELS = {
  header: 'NODE LOGGER LEVEL DEFAULT EXPIRES',
  cellsOf: (item: Item) => [item.node, item.logger, item.level, item.default, item.lease?.expiresAt],
}
const CHANGES = {
  header: 'NODE LOGGER RESULT BEFORE LEVEL EXPIRES',
  cellsOf: (item: Item) => [
    item.node,
    item.logger,
    item.result,
    item.previous,
    item.level,
    item.lease?.expiresAt,
  ],
}

const DAEMON_ROWS: readonly Row[] = [
  {
    id: 'version',
    words: 'version --all-nodes',
    code: 0,
    header: 'COMPONENT NODE VERSION MODE DIALECT',
    cellsOf: (item) => [item.component, item.node, item.version, item.mode, item.dialect],
    first: [['client', NONE, '<version>', NONE, NONE]],
    cells: (cell) => [['daemon', cell.node, shown(cell), cell.mode, dialectOf[cell.version]]],
    stderr: silent,
    totals: [],
  },
  {
    id: 'status',
    words: 'status',
    code: 0,
    header: 'NODE DAEMON MODE VERSION READY ENROLLED LOG_LEVELS PROBLEMS',
    cellsOf: ({node, daemon, mode, version, ready, readyFrom, enrolledPods, totalPods, levels, problems}) => [
      node,
      daemon,
      mode,
      version,
      `${ready === true ? 'yes' : 'no'} (${readyFrom})`,
      `${enrolledPods}/${totalPods}`,
      `default=${levels.default} bpf=${levels.bpf ?? '?'}`,
      problems.length === 0 ? null : problems,
    ],
    // Whatever a Go daemon's /debug/ready says, only its pod tells that it is ready (A10).
    cells: (cell) => [
      [
        cell.node,
        `kmesh-${cell.node}`,
        cell.mode,
        shown(cell),
        'yes (pod)',
        '0/12',
        `default=info bpf=${isOld(cell, 'v0.4.0') ? '?' : 'info'}`,
        NONE,
      ],
    ],
    stderr: silent,
    totals: ['12 nodes, 12 with a ready daemon'],
  },
]

const LOG_ROWS: readonly Row[] = [
  {
    id: 'log:list',
    words: 'log list --all-nodes',
    code: 0,
    ...LEVELS,
    cells: (cell) => [
      [cell.node, 'bpf', isOld(cell, 'v0.4.0') ? NONE : 'info', NONE, NONE],
      [cell.node, 'default', 'info', NONE, NONE],
      [cell.node, 'fileOnly', 'info', NONE, NONE],
    ],
    stderr: (cell) =>
      isOld(cell, 'v0.4.0')
        ? [
            `warning: node ${cell.node}: Kmesh v0.4.0 cannot list loggers: bpf, default, fileOnly are assumed (LoggersAssumed)`,
            UNREADABLE(cell),
          ]
        : [],
    totals: [],
  },
  {
    id: 'log:get',
    words: 'log get bpf --all-nodes',
    code: 0,
    ...LEVELS,
    cells: (cell) => [[cell.node, 'bpf', isOld(cell, 'v0.4.0') ? NONE : 'info', NONE, NONE]],
    stderr: (cell) => (isOld(cell, 'v0.4.0') ? [UNREADABLE(cell)] : []),
    totals: [],
  },
  {
    id: 'log:get',
    words: 'log get nope --all-nodes',
    code: 1,
    ...LEVELS,
    cells: () => [],
    stderr: (cell) => [error(cell, "there is no logger 'nope'"), 'hint: loggers are bpf, default, fileOnly'],
    totals: [],
  },
  {
    id: 'log:set-level',
    words: 'log set-level warn bpf=debug --all-nodes',
    code: 0,
    ...CHANGES,
    cells: (cell) => [
      [cell.node, 'default', 'set', 'info', 'warn', NONE],
      isOld(cell, 'v0.4.0')
        ? [cell.node, 'bpf', 'set', NONE, NONE, NONE]
        : [cell.node, 'bpf', 'set', 'info', 'debug', NONE],
    ],
    stderr: (cell) => [
      ...(isOld(cell, 'v0.4.0') ? [UNREADABLE(cell)] : []),
      `warning: node ${cell.node}: BPF lines come out at info, and logger 'default' is at warn: they are not shown (DefaultHidesBpf)`,
    ],
    totals: ['12 daemons of 12 done'],
  },
  {
    id: 'log:set-level',
    words: 'log set-level bpf=debug --for 1s --all-nodes',
    code: 4,
    ...CHANGES,
    cells: (cell) => (isOld(cell, 'v0.4.0') ? [] : [[cell.node, 'bpf', 'set', 'info', 'debug', '<time>']]),
    stderr: (cell) =>
      isOld(cell, 'v0.4.0')
        ? [
            error(
              cell,
              "Kmesh v0.4.0 does not tell the level of logger 'bpf', so nobody knows what to put back",
            ),
            'hint: --revert-to LEVEL says it; then it is put back without comparing',
          ]
        : [`node ${cell.node}: logger 'bpf' is back at info`],
    said: ['kmeshctl stays until <time> to put 10 levels back; Ctrl-C does it now'],
    totals: ['10 daemons of 12 done'],
  },
  {
    id: 'log:set-level',
    words: 'log set-level bpf=debug --for 1s --revert-to error --all-nodes',
    code: 0,
    ...CHANGES,
    cells: (cell) => [
      isOld(cell, 'v0.4.0')
        ? [cell.node, 'bpf', 'set', NONE, NONE, '<time>']
        : [cell.node, 'bpf', 'set', 'info', 'debug', '<time>'],
    ],
    stderr: (cell) =>
      isOld(cell, 'v0.4.0')
        ? [UNREADABLE(cell), `node ${cell.node}: logger 'bpf' is back at error without comparing`]
        : [`node ${cell.node}: logger 'bpf' is back at info`],
    said: ['kmeshctl stays until <time> to put 12 levels back; Ctrl-C does it now'],
    totals: ['12 daemons of 12 done'],
  },
]

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
const OUTBOUND = 'outbound|80||cart.shop.svc.cluster.local'

const MAP_ROWS: readonly Row[] = [
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

const CONFIG_ROWS: readonly Row[] = [
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

const isKnown = (cell: Cell): boolean => !isOld(cell, 'v0.4.0')
const NONE_UNKNOWN = ({node}: Cell): string =>
  `warning: pod shop/${node} has the label "none", which its daemon (Kmesh v0.4) does not know: it is enrolled all the same (RuleNotSupported)`
const OPEN = 'warning: connections that are open now keep their path; new ones change (OpenConnections)'
const PLANS = {
  header: 'NAMESPACE POD NODE NOW AFTER REASON STATE NOTE',
  cellsOf: ({kind, namespace, name, node, now, after, label, reason, state, code}: Item) => [
    namespace,
    ...(kind === 'Namespace'
      ? ['(namespace)', node, label.before, label.after, 'Label']
      : [name, node, now?.capture ?? 'unknown', after?.capture ?? 'unknown', reason]),
    state,
    code,
  ],
}

const ENROLL_ROWS: readonly Row[] = [
  {
    id: 'interop:status',
    words: 'interop status -A',
    code: 0,
    header: 'NAMESPACE POD NODE INTENT NOW SOURCE SIDECAR STATE REASON',
    cellsOf: (item) =>
      item.kind === 'Namespace'
        ? ['shop', '(namespace)', null, item.intent, `none ${item.pods.none}`, null, null, item.state, null]
        : [
            item.namespace,
            item.name,
            item.node,
            item.intent,
            item.capture,
            item.source,
            item.sidecar.injected ? 'injected' : null,
            item.state,
            item.reason,
          ],
    first: [['shop', '(namespace)', NONE, 'kmesh', 'none 12', NONE, NONE, 'stale', NONE]],
    // v0.4 does not know `none`: the namespace's label counts.
    cells: (cell) => [
      isKnown(cell)
        ? ['shop', cell.node, cell.node, 'none', 'none', 'annotation', NONE, 'active', 'PodLabelNone']
        : ['shop', cell.node, cell.node, 'kmesh', 'none', 'annotation', NONE, 'stale', 'AnnotationDiffers'],
    ],
    stderr: silent,
    totals: ['1 namespace, 12 pods; captured by: none 12; states: active 10, stale 2'],
  },
  {
    id: 'interop:check',
    words: 'interop check -A --show all',
    code: 0,
    header: 'CLIENT SERVER VERDICT WORKS CELL REASON FIX',
    cellsOf: ({client, server, verdict, share, cells: [cell]}) => [
      `${client.namespace}/${client.workloads.slice(0, 2)},+10`,
      `${server.namespace}/${server.name}:${server.port}`,
      verdict,
      `${share.works}/12`,
      `${cell.row}->${cell.column} (${cell.sent})`,
      cell.reason,
      cell.fix,
    ],
    // One line for all: no daemon of these has captured its pod, and clients that are alike are one.
    first: [
      [
        `shop/pod/${CELLS[0]?.node},pod/${CELLS[1]?.node},+10`,
        'shop/web:80',
        'works',
        '12/12',
        'plain->plain (plain)',
        'Direct',
        NONE,
      ],
    ],
    cells: () => [],
    stderr: silent,
    totals: ['1 pair: works 1'],
  },
  {
    id: 'enroll:namespace',
    words: 'enroll namespace -l team=shop --dry-run=client',
    code: 0,
    ...PLANS,
    first: [['shop', '(namespace)', NONE, 'kmesh', 'kmesh', 'Label', 'unchanged', 'AlreadyEnrolled']],
    cells: (cell) => [
      isKnown(cell)
        ? ['shop', cell.node, cell.node, 'none', 'none', 'PodLabelNone', 'unchanged', NONE]
        : ['shop', cell.node, cell.node, 'none', 'kmesh', 'NamespaceLabel', 'planned', NONE],
    ],
    stderr: (cell) => (isKnown(cell) ? [] : [NONE_UNKNOWN(cell)]),
    said: [OPEN],
    totals: ['1 namespace: 1 unchanged; 12 pods: 10 unchanged, 2 planned (dry run)'],
  },
  {
    id: 'unenroll:namespace',
    words: 'unenroll namespace -l team=shop --dry-run=client',
    code: 0,
    ...PLANS,
    first: [['shop', '(namespace)', NONE, 'kmesh', NONE, 'Label', 'planned', NONE]],
    cells: (cell) => {
      const rule = isKnown(cell) ? 'PodLabelNone' : 'NotLabelled'
      return [['shop', cell.node, cell.node, 'none', 'none', rule, 'unchanged', NONE]]
    },
    stderr: silent,
    totals: ['1 namespace: 1 planned; 12 pods: 12 unchanged (dry run)'],
  },
  {
    id: 'enroll:pod',
    words: 'enroll pod -n shop -l app=web --dry-run=client',
    code: 7,
    ...PLANS,
    // At v0.4 the namespace has the pod in spite of its label: nothing needs to be written.
    cells: (cell) => [
      isKnown(cell)
        ? ['shop', cell.node, NONE, 'unknown', 'unknown', NONE, 'refused', 'OverwriteNeeded']
        : ['shop', cell.node, cell.node, 'none', 'kmesh', 'NamespaceLabel', 'planned', NONE],
    ],
    stderr: (cell) =>
      isKnown(cell)
        ? [`error: shop/${cell.node}: istio.io/dataplane-mode is "none"; --overwrite replaces it by "kmesh"`]
        : [NONE_UNKNOWN(cell)],
    said: [OPEN],
    totals: ['12 pods: 10 refused, 2 planned (dry run)'],
  },
  {
    id: 'unenroll:pod',
    words: 'unenroll pod -n shop -l app=web --dry-run=client',
    code: 4,
    ...PLANS,
    cells: (cell) => [
      isKnown(cell)
        ? ['shop', cell.node, cell.node, 'none', 'none', 'PodLabelNone', 'unchanged', 'NotEnrolled']
        : ['shop', cell.node, NONE, 'unknown', 'unknown', NONE, 'refused', 'RuleNotSupported'],
    ],
    stderr: (cell) =>
      isKnown(cell)
        ? []
        : [
            `error: shop/${cell.node}: its namespace enrolls it, and the daemon of its node (Kmesh v0.4) does not know "none"; unenroll the namespace instead`,
          ],
    totals: ['12 pods: 10 unchanged, 2 refused (dry run)'],
  },
]

const TOGGLES = ['authz', 'monitoring', 'access-log', 'workload-metrics', 'connection-metrics']
const FORGOTTEN =
  'warning: a Go daemon forgets its toggles: after a restart they have their defaults again (ForgottenOnRestart)'
const ALSO = (version: string, others: string): string =>
  `warning: Kmesh ${version}: monitoring=off switched ${others} off too (AlsoSwitched)`
const ALL_OTHERS = 'access-log, workload-metrics, connection-metrics'
const CHANGED = {
  header: 'NODE TOGGLE VALUE RESULT BEFORE READ_BACK',
  cellsOf: (item: Item) => [item.node, item.toggle, item.wanted, item.result, item.previous, item.state],
}

/** What this daemon cannot switch, if so; undefined: it can. */
function toggleLack(cell: Cell, toggle: string): string | undefined {
  if (isOld(cell, ...BEFORE_V1)) return `toggle '${toggle}'`
  if (isOld(cell, 'v1.0.0') && toggle === 'connection-metrics') return `toggle '${toggle}'`
  return isNative(cell) ? `toggle '${toggle}' in kernel-native mode` : undefined
}

const setRow = (
  words: string,
  totals: string,
  said: readonly string[],
  ...toggles: [string, string][]
): Row => ({
  id: 'toggle:set',
  words: `toggle set ${words} --all-nodes`,
  code: 4,
  ...CHANGED,
  cells: (cell) =>
    toggles.some(([toggle]) => toggleLack(cell, toggle) !== undefined)
      ? []
      : toggles.map(([toggle, value]) => [cell.node, toggle, value, 'set', 'unknown', 'unknown']),
  stderr: (cell) => {
    const [lack] = toggles.flatMap(([toggle]) => toggleLack(cell, toggle) ?? [])
    return lack === undefined ? [] : lacks(cell, lack)
  },
  said: [...said, FORGOTTEN],
  totals: [totals],
})

const TOGGLE_ROWS: readonly Row[] = [
  {
    id: 'toggle:list',
    words: 'toggle list --all-nodes',
    code: 0,
    header: 'NODE TOGGLE STATE REASON',
    cellsOf: (item) => [item.node, item.toggle, item.state, item.reason.message],
    cells: (cell) =>
      TOGGLES.map((toggle) => {
        const lack = toggleLack(cell, toggle)
        const why = lack === undefined ? `tell whether ${toggle} is on (it answers 405)` : `support ${lack}`
        return [cell.node, toggle, 'unknown', `Kmesh ${shown(cell)} does not ${why}`]
      }),
    stderr: silent,
    totals: [],
  },
  setRow(
    'monitoring=off',
    '4 daemons of 12 done',
    [
      ALSO('v0.0.0-master', ALL_OTHERS),
      ALSO('v1.0.0', 'access-log, workload-metrics'),
      ALSO('v1.1.0', ALL_OTHERS),
      ALSO('v1.2.0', ALL_OTHERS),
    ],
    ['monitoring', 'off'],
  ),
  setRow(
    'connection-metrics=on authz=off',
    '3 daemons of 12 done',
    [],
    ['authz', 'off'],
    ['connection-metrics', 'on'],
  ),
]

export const ROWS: readonly Row[] = [
  ...DAEMON_ROWS,
  ...LOG_ROWS,
  ...MAP_ROWS,
  ...CONFIG_ROWS,
  ...ENROLL_ROWS,
  ...TOGGLE_ROWS,
]
