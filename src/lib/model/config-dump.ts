// SPDX-License-Identifier: Apache-2.0
/** What a daemon knows: services, workloads and policies of dual-engine mode (contracts 2.1), of every dialect. */
import type {DaemonMode} from './api.ts'
import {badAnswer, type Fields, fieldsOf, objectsOf, textOf, textsOf, underAny, wholeOf} from './hostile.ts'
import {
  type ClusterConfig,
  decodeKernelNative,
  type ListenerConfig,
  type RouteConfig,
} from './kernel-native.ts'

/** Parts of a config dump by mode, in the order in which they are shown. */
export const CONFIG_PARTS = {
  'dual-engine': ['services', 'workloads', 'policies'],
  'kernel-native': ['listeners', 'clusters', 'routes'],
} as const satisfies Readonly<Record<DaemonMode, readonly string[]>>
export type ConfigPart = (typeof CONFIG_PARTS)[DaemonMode][number]
export const ALL_PARTS: readonly ConfigPart[] = [
  ...CONFIG_PARTS['dual-engine'],
  ...CONFIG_PARTS['kernel-native'],
]

export interface ServiceConfig {
  readonly namespace: string
  readonly name: string
  readonly hostname: string
  readonly vips: readonly {readonly network: string; readonly address: string}[]
  readonly ports: readonly {readonly port: number; readonly targetPort: number}[]
  readonly loadBalancer: {readonly mode: string; readonly routingPreferences: readonly string[]} | null
  /** `<network>/<address>` or `<namespace>/<hostname>`. */
  readonly waypoint: string | null
}

export interface WorkloadConfig {
  readonly namespace: string
  readonly name: string
  readonly uid: string | null
  readonly addresses: readonly string[]
  /** Node that the workload runs on. */
  readonly workloadNode: string
  readonly protocol: string
  readonly status: string
  readonly serviceAccount: string
  readonly workloadName: string
  readonly workloadType: string
  readonly canonicalName: string
  readonly canonicalRevision: string
  readonly clusterId: string
  /** Never null: empty means `cluster.local`. */
  readonly trustDomain: string
  readonly network: string
  readonly locality: Fields
  readonly waypoint: string | null
  /** Null before v0.5: not told. */
  readonly services: readonly string[] | null
  readonly authorizationPolicies: readonly string[] | null
}

export interface PolicyConfig {
  readonly namespace: string
  readonly name: string
  readonly scope: string
  readonly action: string
  readonly rules: readonly Fields[]
}

/** By part; lists keep the daemon's order, which is random up to v1.1. */
export interface ConfigByPart {
  readonly services: readonly ServiceConfig[]
  readonly workloads: readonly WorkloadConfig[]
  readonly policies: readonly PolicyConfig[]
  readonly listeners: readonly ListenerConfig[]
  readonly clusters: readonly ClusterConfig[]
  readonly routes: readonly RouteConfig[]
}

const PLACE = 'config dump'
const NONE = {services: [], workloads: [], policies: [], listeners: [], clusters: [], routes: []} as const

/**
 * @param tellsServices - the dialect's workloads name their services (v0.5 and later)
 * @throws UnreachableError `decode`, naming the part
 */
export function decodeConfig(dump: Fields, mode: DaemonMode, tellsServices: boolean): ConfigByPart {
  if (mode === 'kernel-native') return {...NONE, ...decodeKernelNative(dump, PLACE)}
  const services = underAny(dump, 'services', 'Services')
  const workloads = underAny(dump, 'workloads', 'Workloads')
  // Daemons send 200 before they made the body: a part that is missing is not empty (contracts 1.9, A8).
  if (services === undefined || workloads === undefined) {
    throw badAnswer(PLACE, "an object with 'services' and 'workloads'")
  }
  return {
    ...NONE,
    services: read(services, 'services', service),
    workloads: read(workloads, 'workloads', (item, at) => workload(item, at, tellsServices)),
    policies: read(underAny(dump, 'policies', 'Policies'), 'policies', policy),
  }
}

function read<T>(list: unknown, part: string, one: (item: Fields, at: string) => T): T[] {
  return objectsOf(list, `${PLACE}: ${part}`).map((item, index) => one(item, `${PLACE}: ${part}[${index}]`))
}

function named(item: Fields, at: string): {readonly namespace: string; readonly name: string} {
  return {namespace: word(item, 'namespace', at), name: word(item, 'name', at)}
}

function word(item: Fields, name: string, at: string): string {
  return textOf(item[name], `${at}.${name}`) ?? ''
}

function service(item: Fields, at: string): ServiceConfig {
  const balancer = item['loadBalancer']
  return {
    ...named(item, at),
    hostname: word(item, 'hostname', at),
    vips: textsOf(item['vips'], `${at}.vips`).map(networkAddress),
    ports: objectsOf(item['ports'], `${at}.ports`).map((pair, index) => ({
      port: wholeOf(pair['service_port'], `${at}.ports[${index}].service_port`),
      targetPort: wholeOf(pair['target_port'], `${at}.ports[${index}].target_port`),
    })),
    loadBalancer: balancer === undefined || balancer === null ? null : loadBalancer(balancer, at),
    waypoint: waypointOf(item['waypoint'], at),
  }
}

function loadBalancer(value: unknown, at: string): ServiceConfig['loadBalancer'] {
  const fields = fieldsOf(value, `${at}.loadBalancer`)
  return {
    mode: word(fields, 'mode', `${at}.loadBalancer`),
    routingPreferences: textsOf(fields['routingPreferences'], `${at}.loadBalancer.routingPreferences`),
  }
}

/** `<network>/<address>`; the network may be empty. */
function networkAddress(text: string): {network: string; address: string} {
  const slash = text.lastIndexOf('/')
  return {network: slash < 0 ? '' : text.slice(0, slash), address: text.slice(slash + 1)}
}

/** A text, or `{destination}` in services and in workloads of v0.4. */
function waypointOf(value: unknown, at: string): string | null {
  if (typeof value === 'string') return value === '' ? null : value
  return textOf(fieldsOf(value, `${at}.waypoint`)['destination'], `${at}.waypoint.destination`)
}

function workload(item: Fields, at: string, tellsServices: boolean): WorkloadConfig {
  const texts = (name: string): readonly string[] | null =>
    tellsServices ? [...textsOf(item[name], `${at}.${name}`)].sort() : null
  return {
    ...named(item, at),
    uid: textOf(item['uid'], `${at}.uid`),
    addresses: textsOf(item['addresses'], `${at}.addresses`),
    workloadNode: word(item, 'node', at),
    protocol: word(item, 'protocol', at),
    status: word(item, 'status', at),
    serviceAccount: word(item, 'serviceAccount', at),
    workloadName: word(item, 'workloadName', at),
    workloadType: word(item, 'workloadType', at),
    canonicalName: word(item, 'canonicalName', at),
    canonicalRevision: word(item, 'canonicalRevision', at),
    clusterId: word(item, 'clusterId', at),
    trustDomain: textOf(item['trustDomain'], `${at}.trustDomain`) ?? 'cluster.local',
    network: word(item, 'network', at),
    locality: fieldsOf(item['locality'], `${at}.locality`),
    waypoint: waypointOf(item['waypoint'], at),
    services: texts('services'),
    authorizationPolicies: texts('authorizationPolicies'),
  }
}

function policy(item: Fields, at: string): PolicyConfig {
  return {
    ...named(item, at),
    scope: word(item, 'scope', at),
    action: word(item, 'action', at),
    rules: objectsOf(item['rules'], `${at}.rules`),
  }
}
