// SPDX-License-Identifier: Apache-2.0
/** Listeners, clusters and routes of kernel-native mode, from the protojson of contracts 2.2 and 2.4. */
import {badAnswer, type Fields, fieldsOf, isFields, objectsOf, textOf, wholeOf, word32Of} from './hostile.ts'

export interface SocketAddress {
  readonly address: string
  /** Host order. */
  readonly port: number
}

export interface ListenerConfig {
  readonly name: string
  readonly apiStatus: string
  readonly address: string
  readonly port: number
  readonly filterChains: readonly Fields[]
}

export interface ClusterConfig {
  readonly name: string
  /** Null before v1.0. */
  readonly id: number | null
  readonly apiStatus: string
  readonly connectTimeoutSeconds: number
  readonly lbPolicy: string
  readonly endpoints: readonly (SocketAddress & {readonly weight: number; readonly priority: number})[]
  readonly circuitBreakers: Fields | null
}

export interface RouteConfig {
  readonly name: string
  readonly apiStatus: string
  readonly virtualHosts: readonly Fields[]
}

export interface KernelNativeDump {
  readonly listeners: readonly ListenerConfig[]
  readonly clusters: readonly ClusterConfig[]
  readonly routes: readonly RouteConfig[]
}

/** Values that protojson leaves out because they are zero come back; 0 of `lbPolicy` is ROUND_ROBIN. */
export function decodeKernelNative(dump: Fields, place: string): KernelNativeDump {
  // A daemon that knows nothing sends it empty; without it the answer was not made (contracts 1.9, A8).
  if (!isFields(dump['dynamicResources'])) {
    throw badAnswer(place, "an object with 'dynamicResources'")
  }
  const resources = fieldsOf(dump['dynamicResources'], `${place}: dynamicResources`)
  const part = <T>(name: string, read: (item: Fields, at: string) => T): T[] =>
    objectsOf(resources[name], `${place}: ${name}`).map((item, index) =>
      read(item, `${place}: ${name}[${index}]`),
    )
  return {
    listeners: part('listenerConfigs', listener),
    clusters: part('clusterConfigs', cluster),
    routes: part('routeConfigs', route),
  }
}

function listener(item: Fields, at: string): ListenerConfig {
  return {
    name: textOf(item['name'], `${at}.name`) ?? '',
    apiStatus: statusOf(item, at),
    ...socketAddress(item['address'], `${at}.address`),
    filterChains: objectsOf(item['filterChains'], `${at}.filterChains`),
  }
}

function cluster(item: Fields, at: string): ClusterConfig {
  const assignment = fieldsOf(item['loadAssignment'], `${at}.loadAssignment`)
  const {id, circuitBreakers} = item
  return {
    name: textOf(item['name'], `${at}.name`) ?? '',
    id: id === undefined || id === null ? null : word32Of(id, `${at}.id`),
    apiStatus: statusOf(item, at),
    connectTimeoutSeconds: wholeOf(item['connectTimeout'], `${at}.connectTimeout`),
    lbPolicy: textOf(item['lbPolicy'], `${at}.lbPolicy`) ?? 'ROUND_ROBIN',
    endpoints: objectsOf(assignment['endpoints'], `${at}.endpoints`).flatMap((group, index) =>
      endpointsOf(group, `${at}.endpoints[${index}]`),
    ),
    circuitBreakers:
      circuitBreakers === undefined ? null : fieldsOf(circuitBreakers, `${at}.circuitBreakers`),
  }
}

function endpointsOf(group: Fields, at: string): ClusterConfig['endpoints'] {
  const weight = wholeOf(group['loadBalancingWeight'], `${at}.loadBalancingWeight`)
  const priority = wholeOf(group['priority'], `${at}.priority`)
  return objectsOf(group['lbEndpoints'], `${at}.lbEndpoints`).map((endpoint, index) => ({
    ...socketAddress(endpoint['address'], `${at}.lbEndpoints[${index}].address`),
    weight,
    priority,
  }))
}

function route(item: Fields, at: string): RouteConfig {
  return {
    name: textOf(item['name'], `${at}.name`) ?? '',
    apiStatus: statusOf(item, at),
    virtualHosts: objectsOf(item['virtualHosts'], `${at}.virtualHosts`),
  }
}

function statusOf(item: Fields, at: string): string {
  return textOf(item['apiStatus'], `${at}.apiStatus`) ?? 'NONE'
}

/** u32 port whose low half is in network order; u32 address: the four network bytes read little-endian. */
function socketAddress(value: unknown, at: string): SocketAddress {
  const fields = fieldsOf(value, at)
  const port = word32Of(fields['port'], `${at}.port`)
  const ipv4 = word32Of(fields['ipv4'], `${at}.ipv4`)
  return {
    address: [ipv4 & 255, (ipv4 >>> 8) & 255, (ipv4 >>> 16) & 255, ipv4 >>> 24].join('.'),
    port: ((port & 255) << 8) | ((port >>> 8) & 255),
  }
}
