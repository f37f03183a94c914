// SPDX-License-Identifier: Apache-2.0
/** What the connect programs do with a destination, step by step as bpf/include/kmesh_select.h has it. Pure. */
import {addressBytes} from './codec.ts'
import {PRIORITIES} from './map-fields.ts'
import type {BackendValue, ServiceValue} from './maps.ts'

/** What the maps of one node hold for one destination; undefined: no such entry. */
export interface KernelTables {
  /** Value of km_frontend. */
  readonly upstreamId: number | undefined
  readonly service: ServiceValue | undefined
  /** Priority -> index from 1 -> backend uid: every entry of the service, also those beyond its counts. */
  readonly endpoints: ReadonlyMap<number, ReadonlyMap<number, number>>
  /** Those that the entries above lead to, and the one that has the frontend's id. */
  readonly backends: ReadonlyMap<number, BackendValue>
}

/** An address in its normal spelling (model/codec), and a port. */
export interface PathAddress {
  readonly address: string
  readonly port: number
}

/** Why a connect goes on as it came. */
export type LeftAlone =
  | 'NoFrontend'
  | 'FrontendLeadsNowhere'
  | 'NoEndpoints'
  | 'EndpointWithoutBackend'
  | 'PortUnknown'
  | 'OtherFamily'

/** One of the things that may happen; `weight` of all the weights together is how often. */
export interface Choice {
  readonly weight: number
  /** Null: left alone. */
  readonly target: PathAddress | null
  readonly viaWaypoint: boolean
  readonly backendUid: number | null
  readonly left: LeftAlone | null
}

/** Where endpoints begin, and what is tried again when an endpoint leads nowhere. */
const FIRST_INDEX = 1

/** @returns at least one; what is drawn by chance is one choice a backend */
export function connectChoices(tables: KernelTables, destination: PathAddress): readonly Choice[] {
  const {upstreamId, service} = tables
  if (upstreamId === undefined || isTakenForIpv4(destination.address)) return [left('NoFrontend')]
  const choices = service === undefined ? ofPod(tables, destination) : ofService(tables, service, destination)
  return choices.map((choice) => sameFamily(choice, destination.address))
}

/** Priority that endpoints are taken from; undefined: the service has none that counts. */
export function chosenPriority({endpointCount, lbPolicy}: ServiceValue): number | undefined {
  if (endpointCount[0] !== 0) return 0
  if (lbPolicy !== 'failover') return undefined
  const found = endpointCount.findIndex((count) => count !== 0)
  return found < 0 || found >= PRIORITIES ? undefined : found
}

/** Port of the endpoints; undefined where the service does not have the port. */
export function translatedPort({ports}: ServiceValue, port: number): number | undefined {
  return ports.find(({servicePort, targetPort}) => servicePort === port && targetPort !== 0)?.targetPort
}

/** The waypoint of a service or backend, where it has one. */
export function waypointOf(
  value: Pick<ServiceValue, 'waypointAddress' | 'waypointPort'> | undefined,
): PathAddress | undefined {
  if (value === undefined || value.waypointAddress === null || value.waypointPort === 0) return undefined
  return {address: value.waypointAddress, port: value.waypointPort}
}

function ofPod({upstreamId = 0, backends}: KernelTables, {port}: PathAddress): readonly Choice[] {
  const backend = backends.get(upstreamId)
  if (backend === undefined) return [left('FrontendLeadsNowhere')]
  return [toBackend(1, upstreamId, backend, port)]
}

function ofService(tables: KernelTables, service: ServiceValue, {port}: PathAddress): readonly Choice[] {
  const waypoint = waypointOf(service)
  if (waypoint !== undefined) return [{...NOTHING, target: waypoint, viaWaypoint: true}]
  const priority = chosenPriority(service)
  if (priority === undefined) return [left('NoEndpoints')]
  const target = translatedPort(service, port)
  return drawn(tables, service, priority).map(({weight, uid}) => {
    const backend = uid === undefined ? undefined : tables.backends.get(uid)
    if (uid === undefined || backend === undefined) return left('EndpointWithoutBackend', weight)
    return toBackend(weight, uid, backend, target)
  })
}

/** Every index of the count is as likely; those that lead nowhere become the first one, which may lead nowhere too. */
function drawn(
  {endpoints, backends}: KernelTables,
  service: ServiceValue,
  priority: number,
): readonly {readonly weight: number; readonly uid: number | undefined}[] {
  const count = service.endpointCount[priority] ?? 0
  const entries = endpoints.get(priority) ?? new Map<number, number>()
  const weights = new Map<number | undefined, number>()
  let rest = count
  for (const [index, uid] of entries) {
    if (index < FIRST_INDEX || index > count || !backends.has(uid)) continue
    weights.set(uid, (weights.get(uid) ?? 0) + 1)
    rest -= 1
  }
  if (rest > 0) {
    const first = entries.get(FIRST_INDEX)
    const uid = first !== undefined && backends.has(first) ? first : undefined
    weights.set(uid, (weights.get(uid) ?? 0) + rest)
  }
  return [...weights].map(([uid, weight]) => ({weight, uid}))
}

/** @param port - undefined: the service does not have it; a waypoint needs none */
function toBackend(weight: number, uid: number, backend: BackendValue, port: number | undefined): Choice {
  const waypoint = waypointOf(backend)
  const found = {weight, backendUid: uid, left: null}
  if (waypoint !== undefined) return {...found, target: waypoint, viaWaypoint: true}
  if (port === undefined) return left('PortUnknown', weight)
  if (backend.address === null) return left('OtherFamily', weight)
  return {...found, target: {address: backend.address, port}, viaWaypoint: false}
}

const NOTHING: Choice = {weight: 1, target: null, viaWaypoint: false, backendUid: null, left: null}

function left(why: LeftAlone, weight = 1): Choice {
  return {...NOTHING, weight, left: why}
}

/** A socket of one family cannot be sent to an address of the other. */
function sameFamily(choice: Choice, destination: string): Choice {
  if (choice.target === null) return choice
  const isSame = isIpv4(choice.target.address) === isIpv4(destination)
  return isSame ? choice : left('OtherFamily', choice.weight)
}

function isIpv4(address: string): boolean {
  return addressBytes(address).byteLength === 4
}

/** An IPv6 address whose last twelve bytes are zero is never looked up. */
function isTakenForIpv4(address: string): boolean {
  const bytes = addressBytes(address)
  return bytes.byteLength === 16 && bytes.subarray(4).every((byte) => byte === 0)
}
