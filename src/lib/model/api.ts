// SPDX-License-Identifier: Apache-2.0
/**
 * Registry of the admin API: one row an endpoint, which server, client, tests
 * and docs iterate. Rows marked `own` are ours (design section 6); the others
 * are the v1.2 dialect of the Go daemon (contracts 1.7).
 */
import type {BypassEntry} from './bypass.ts'

/** A daemon that can be asked, and how it was found. */
export interface DaemonTarget {
  /** Node name; for `--daemon-url` the URL. */
  readonly node: string
  /** Daemon pod; null with `--daemon-url`. */
  readonly pod: {readonly namespace: string; readonly name: string} | null
}

export type DaemonMode = 'dual-engine' | 'kernel-native'
export type Capability = 'mapKeys' | 'ttl' | 'enrollment'
/** What a daemon does with a labelled pod that has a sidecar (design section 5). */
export type SidecarPolicy = 'exclude' | 'bypass'
export type ExistingPods = 'live' | 'untouched'
/** Where a daemon has its maps; `memory` redirects nothing and is for trying things out. */
export type Backend = 'kernel' | 'memory'

export interface VersionReply {
  readonly gitVersion: string
  readonly gitCommit: string
  readonly gitTreeState: string
  readonly buildDate: string
  readonly goVersion: string
  readonly compiler: string
  readonly platform: string
  // Ours, and of Go daemons once they tell:
  readonly mode?: DaemonMode
  readonly capabilities?: readonly Capability[]
  readonly sidecarPolicy?: SidecarPolicy
  readonly existingPods?: ExistingPods
  /** Absent: the kernel. */
  readonly backend?: Backend
}

export interface ReadyReply {
  readonly ready: boolean
  readonly checks: readonly {
    readonly name: 'bpf' | 'kubernetes' | 'cni'
    readonly ok: boolean
    readonly message: string
  }[]
}

export interface LoggerReply {
  readonly name: string
  readonly level: string
  /** Ours: the level that the logger has when nobody changed it. */
  readonly default?: string
  /** Ours: RFC 3339 time at which the agent puts the old level back; null without a lease. */
  readonly expiresAt?: string | null
}

export interface MapListEntry {
  readonly name: string
  /** `hash`, `array`, `sk_storage`, `ringbuf`, ... */
  readonly type: string
  readonly keyBytes: number
  readonly valueBytes: number
  /** Null where entries cannot be counted. */
  readonly entries: number | null
  readonly maxEntries: number
  readonly readable: boolean
}

/** One line of `/debug/bpf/maps/{name}`; `names` maps an id in decimal to a service or workload name. */
export interface MapEntryLine {
  readonly key: Readonly<Record<string, unknown>>
  readonly value: Readonly<Record<string, unknown>>
  readonly keyHex: string
  readonly valueHex: string
  readonly names: Readonly<Record<string, string>>
}

export interface EnrollmentEntry {
  readonly namespace: string
  readonly pod: string
  readonly uid: string
  /** Netns cookie in decimal; null while the namespace is not known. */
  readonly cookie: string | null
  readonly classid: number | null
  readonly addresses: readonly string[]
  /** RFC 3339: when intent or capture last changed as the agent saw it. */
  readonly since: string
  /** Reason code of the enrollment rule, see model/enrollment.ts. */
  readonly rule: string
  /** What the labels ask for. */
  readonly intent: boolean
  /** What the kernel map says. */
  readonly captured: boolean
  /** Absent in answers of agents that know no bypass. */
  readonly bypass?: BypassEntry
}

/** Contracts 2.1.1. */
export interface WorkloadDump {
  readonly uid?: string
  readonly addresses: readonly string[]
  readonly waypoint?: string
  readonly protocol: string
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly workloadName: string
  readonly workloadType: string
  readonly canonicalName: string
  readonly canonicalRevision: string
  readonly clusterId: string
  readonly trustDomain?: string
  readonly locality: {readonly region?: string; readonly zone?: string; readonly subzone?: string}
  readonly node: string
  readonly network?: string
  readonly status: string
  readonly applicationTunnel: {readonly protocol: string; readonly port?: number}
  readonly services?: readonly string[]
  readonly authorizationPolicies?: readonly string[]
}

/** Contracts 2.1.2. */
export interface ServiceDump {
  readonly name: string
  readonly namespace: string
  readonly hostname: string
  readonly vips: readonly string[]
  readonly ports: readonly {readonly service_port?: number; readonly target_port?: number}[] | null
  readonly loadBalancer: {readonly mode: string; readonly routingPreferences: readonly string[]} | null
  readonly waypoint: {readonly destination: string}
}

/** Contracts 2.3, v1.1 and later: values without keys. */
export interface BpfDumpReply {
  readonly workloadPolicies: readonly {readonly policyIds: readonly string[]}[]
  readonly backends: readonly {
    readonly ip: string
    readonly serviceCount: number
    readonly services: readonly string[]
    readonly waypointAddr?: string
    readonly waypointPort?: number
  }[]
  readonly endpoints: readonly {readonly backendUid?: string}[]
  readonly frontends: readonly {readonly upstreamId?: string}[]
  readonly services: readonly {
    readonly endpointCount: string
    readonly lbPolicy: string
    readonly servicePort?: string
    readonly targetPort?: string
    readonly waypointAddr?: string
    readonly waypointPort?: number
  }[]
}

/** Parameters and answer of each endpoint. */
export interface Endpoints {
  version: {params: Record<never, never>; reply: VersionReply}
  /** Go daemons answer the text `OK`; the client gives `{ready: true, checks: []}` for it. 503 is an answer, no error. */
  ready: {params: Record<never, never>; reply: ReadyReply}
  loggers: {params: Record<never, never>; reply: readonly string[]}
  logger: {params: {readonly name: string}; reply: LoggerReply}
  /** Answers text (`OK`, `set BPF Log Level: 3`). `ttlSeconds` only with capability `ttl`. */
  setLogger: {
    params: {readonly name: string; readonly level: string; readonly ttlSeconds?: number | undefined}
    reply: string
  }
  /** `path` by dialect and mode; the answer is read by model/config-dump. */
  configDump: {params: {readonly path?: string | undefined}; reply: Readonly<Record<string, unknown>>}
  /** `path` by dialect and mode; the answer is read by model/bpf-dump. */
  bpfDump: {params: {readonly path?: string | undefined}; reply: Readonly<Record<string, unknown>>}
  /** `path` by toggle (model/toggle). Go daemons up to v1.2 answer 405. */
  toggle: {params: {readonly path?: string | undefined}; reply: {readonly enabled: boolean}}
  /** Answers nothing. */
  setToggle: {params: {readonly path?: string | undefined; readonly enable: boolean}; reply: string}
  maps: {params: Record<never, never>; reply: readonly MapListEntry[]}
  /** Newline-delimited JSON: {@link MapEntryLine}, last `{"end":true,"entries":n}` or `{"error":{...}}`. */
  map: {params: {readonly name: string}; reply: never}
  enrollment: {params: Record<never, never>; reply: readonly EnrollmentEntry[]}
}

export type EndpointName = keyof Endpoints
export type Params<E extends EndpointName> = Endpoints[E]['params']
export type Reply<E extends EndpointName> = Endpoints[E]['reply']

export interface EndpointRow {
  readonly method: 'GET' | 'POST'
  /** `{name}` is filled from the parameter of that name, percent-encoded. */
  readonly path: string
  /** Parameters that go into the query string. */
  readonly query: readonly string[]
  /** Parameters that go into a JSON body. */
  readonly body: readonly string[]
  readonly answer: 'json' | 'text' | 'lines'
  /** Other dialects have it at another path: parameter `path`. */
  readonly elsewhere?: boolean
  /** Not an endpoint of the Go daemon. */
  readonly own: boolean
  readonly description: string
}

function row(
  method: EndpointRow['method'],
  path: string,
  description: string,
  more: Partial<EndpointRow> = {},
): EndpointRow {
  return {method, path, description, query: [], body: [], answer: 'json', own: false, ...more}
}

export const ENDPOINTS: {readonly [E in EndpointName]: EndpointRow} = {
  version: row('GET', '/version', 'version, mode and capabilities'),
  ready: row('GET', '/debug/ready', 'readiness with its checks'),
  loggers: row('GET', '/debug/loggers', 'names of the loggers'),
  logger: row('GET', '/debug/loggers', 'level of one logger', {query: ['name']}),
  setLogger: row('POST', '/debug/loggers', 'set a level, for a time or for good', {
    body: ['name', 'level', 'ttlSeconds'],
    answer: 'text',
  }),
  configDump: row('GET', '/debug/config_dump/dual-engine', 'services and workloads the daemon knows', {
    elsewhere: true,
  }),
  bpfDump: row('GET', '/debug/config_dump/bpf/dual-engine', 'values of the BPF maps, without keys', {
    elsewhere: true,
  }),
  toggle: row('GET', '/authz', 'whether a toggle is on', {elsewhere: true}),
  setToggle: row('POST', '/authz', 'switch a toggle', {query: ['enable'], answer: 'text', elsewhere: true}),
  maps: row('GET', '/debug/bpf/maps', 'BPF maps with their sizes', {own: true}),
  map: row('GET', '/debug/bpf/maps/{name}', 'entries of one BPF map', {own: true, answer: 'lines'}),
  enrollment: row('GET', '/debug/enrollment', 'every pod of the node: intent and capture', {own: true}),
}

/** Body of an error of our own endpoints. */
export interface ErrorReply {
  readonly error: {readonly code: string; readonly message: string; readonly parameter?: string}
}

export const ADMIN_PORT = 15_200
export const LOGGER_DEFAULT = 'default'
export const LOGGER_BPF = 'bpf'
