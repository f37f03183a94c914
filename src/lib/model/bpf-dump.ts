// SPDX-License-Identifier: Apache-2.0
/** Values of the BPF maps as Go daemons dump them, raw or pretty (contracts 2.3), in the fields of our own maps. */
import type {UnreachableError} from '../errors.ts'
import {decode, ip16} from './codec.ts'
import {badAnswer, type Fields, isFields, listOf, textOf, textsOf, underAny, word32Of} from './hostile.ts'
import {LB_POLICIES, PRIORITIES} from './map-fields.ts'

/** Map -> its key in the answer; raw dumps have it in upper case. */
export const DUAL_ENGINE_MAPS = {
  km_frontend: 'frontends',
  km_service: 'services',
  km_endpoint: 'endpoints',
  km_backend: 'backends',
  km_wlpolicy: 'workloadPolicies',
} as const satisfies Readonly<Record<string, string>>
export type DualEngineMap = keyof typeof DUAL_ENGINE_MAPS

/**
 * Values of one map, in the daemon's order. An id that the daemon could not name is null (pretty), never left out.
 *
 * @throws UnreachableError `decode`, naming the map
 */
export function decodeBpfMap(dump: Fields, map: DualEngineMap, shape: 'raw' | 'pretty'): readonly Fields[] {
  const [key, other] = bpfMapKeys(map)
  const list = underAny(dump, key, other)
  if (list === undefined) throw noList(map)
  return listOf(list, `map ${map}`).map((item, index) => decodeBpfEntry(item, index, map, shape))
}

/** Names of a map's list in the dump, in both shapes. */
export function bpfMapKeys(map: DualEngineMap): readonly [string, string] {
  const key = DUAL_ENGINE_MAPS[map]
  return [key, `${key[0]?.toUpperCase()}${key.slice(1)}`]
}

/** The dump does not have the map's list. */
export function noList(map: DualEngineMap): UnreachableError {
  return badAnswer(`map ${map}`, `a list '${DUAL_ENGINE_MAPS[map]}' in the dump`)
}

/** One element of a map's list. @throws UnreachableError `decode`, naming the map */
export function decodeBpfEntry(
  item: unknown,
  index: number,
  map: DualEngineMap,
  shape: 'raw' | 'pretty',
): Fields {
  if (!isFields(item)) throw badAnswer(`map ${map}[${index}]`, 'an object')
  return (shape === 'raw' ? RAW : PRETTY)[map](item, `map ${map}: entry ${index}`)
}

type Read = (item: Fields, at: string) => Fields

const RAW: Readonly<Record<DualEngineMap, Read>> = {
  km_frontend: (item, at) => ({upstreamId: word32Of(item['UpstreamId'], `${at}: UpstreamId`)}),
  km_endpoint: (item, at) => ({backendUid: word32Of(item['BackendUid'], `${at}: BackendUid`)}),
  km_wlpolicy: (item, at) => ({
    policyIds: words(item['PolicyIds'], `${at}: PolicyIds`).filter((id) => id !== 0),
  }),
  km_backend: (item, at) => ({
    address: rawAddress(item['Ip'], `${at}: Ip`),
    services: words(item['Services'], `${at}: Services`).slice(
      0,
      word32Of(item['ServiceCount'], `${at}: ServiceCount`),
    ),
    ...rawWaypoint(item, at),
  }),
  km_service: (item, at) => {
    const count = item['EndpointCount']
    const ports = words(item['ServicePort'], `${at}: ServicePort`).map(swap16)
    const targets = words(item['TargetPort'], `${at}: TargetPort`).map(swap16)
    const pairs = ports.map((servicePort, slot) => ({servicePort, targetPort: targets[slot] ?? 0}))
    return {
      // One number up to v0.5, one a priority since.
      endpointCount: Array.isArray(count)
        ? words(count, `${at}: EndpointCount`)
        : [word32Of(count, `${at}: EndpointCount`), ...Array(PRIORITIES - 1).fill(0)],
      lbPolicy: policyName(word32Of(item['LbPolicy'], `${at}: LbPolicy`)),
      ports: pairs.filter(({servicePort, targetPort}) => servicePort !== 0 || targetPort !== 0),
      ...rawWaypoint(item, at),
    }
  },
}

const PRETTY: Readonly<Record<DualEngineMap, Read>> = {
  km_frontend: (item, at) => ({upstreamId: textOf(item['upstreamId'], `${at}: upstreamId`)}),
  km_endpoint: (item, at) => ({backendUid: textOf(item['backendUid'], `${at}: backendUid`)}),
  km_wlpolicy: (item, at) => ({
    policyIds: textsOf(item['policyIds'], `${at}: policyIds`).filter((id) => id !== ''),
  }),
  km_backend: (item, at) => {
    const services = textsOf(item['services'], `${at}: services`)
    const unnamed = word32Of(item['serviceCount'], `${at}: serviceCount`) - services.length
    return {
      address: textOf(item['ip'], `${at}: ip`),
      services: [...services, ...Array(Math.min(Math.max(unnamed, 0), 10)).fill(null)],
      ...prettyWaypoint(item, at),
    }
  },
  km_service: (item, at) => ({
    endpointCount: joined(item['endpointCount'], `${at}: endpointCount`),
    lbPolicy: prettyPolicy(textOf(item['lbPolicy'], `${at}: lbPolicy`)),
    ports: pairPorts(
      joined(item['servicePort'], `${at}: servicePort`),
      joined(item['targetPort'], `${at}: targetPort`),
    ),
    ...prettyWaypoint(item, at),
  }),
}

function words(value: unknown, at: string): number[] {
  return listOf(value, at).map((item) => word32Of(item, at))
}

/** u32 whose low half is the port in network order. */
function swap16(port: number): number {
  return ((port & 255) << 8) | ((port >>> 8) & 255)
}

function rawAddress(value: unknown, at: string): string | null {
  const bytes = words(value, at)
  if (bytes.length !== ip16.bytes || bytes.some((byte) => byte > 255)) throw badAnswer(at, '16 bytes')
  return decode(ip16, Uint8Array.from(bytes))
}

function rawWaypoint(item: Fields, at: string): Fields {
  return {
    waypointAddress: rawAddress(item['WaypointAddr'], `${at}: WaypointAddr`),
    waypointPort: swap16(word32Of(item['WaypointPort'], `${at}: WaypointPort`)),
  }
}

function prettyWaypoint(item: Fields, at: string): Fields {
  return {
    waypointAddress: textOf(item['waypointAddr'], `${at}: waypointAddr`),
    waypointPort: word32Of(item['waypointPort'], `${at}: waypointPort`),
  }
}

function policyName(number: number): string {
  return LB_POLICIES[number] ?? `unknown(${number})`
}

/** The daemon prints a number that it does not know as an empty text. */
function prettyPolicy(text: string | null): string {
  if (text === 'UNSPECIFIED_MODE') return 'random'
  const name = text?.toLowerCase() ?? 'unknown'
  return (LB_POLICIES as readonly string[]).includes(name)
    ? name
    : `unknown(${name})`.replace('(unknown)', '')
}

/** `80, 443` */
function joined(value: unknown, at: string): number[] {
  const text = textOf(value, at)
  if (text === null) return []
  return text.split(',').map((part) => {
    if (!/^\d{1,10}$/.test(part.trim())) throw badAnswer(at, 'numbers with commas')
    return word32Of(Number(part.trim()), at)
  })
}

/** Daemons leave zeros out of either list: lists of different length do not pair, and no pair is made up. */
function pairPorts(ports: readonly number[], targets: readonly number[]): readonly Fields[] {
  if (ports.length === targets.length) {
    return ports.map((servicePort, slot) => ({servicePort, targetPort: targets[slot]}))
  }
  return [
    ...ports.map((servicePort) => ({servicePort, targetPort: null})),
    ...targets.map((targetPort) => ({servicePort: null, targetPort})),
  ]
}
