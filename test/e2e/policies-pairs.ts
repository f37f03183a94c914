// SPDX-License-Identifier: Apache-2.0
/** Clients and servers of every kind of capture, and the pairs of them that are compared under policies of Istio. */
import type {ClientRow, PairReason, ServerColumn} from '../../src/lib/model/pair-verdict.ts'

export const ROOT = 'istio-system'
/** Namespace whose own policies tell when a sidecar has all that came before them. */
export const MARK = 'mark'

export interface Client {
  readonly namespace: string
  readonly name: string
  readonly row: ClientRow
}

export interface Server {
  readonly namespace: string
  readonly name: string
  readonly column: ServerColumn
}

/** Of each server: one with a cluster address and two ports, and a headless one. */
export interface Target {
  readonly server: Server
  /** Name of the service. */
  readonly service: string
  readonly port: number
  readonly headless: boolean
}

export interface Pair {
  readonly client: Client
  readonly target: Target
  readonly family: 4 | 6
}

export interface Policy {
  readonly kind: 'PeerAuthentication' | 'DestinationRule'
  readonly namespace: string
  readonly name: string
  readonly spec: Readonly<Record<string, unknown>>
}

/** Container port of every server, and the ports of its service that lead there. */
export const CONTAINER_PORT = 8080
export const SERVICE_PORTS = [80, 90] as const

/** Of a pair, where a DestinationRule asks for TLS that the applications do not speak. */
export const FOREIGN = ['SIMPLE', 'MUTUAL']
const FOREIGN_REASONS: readonly PairReason[] = ['TlsReachesApplication', 'ForeignCertificates']

export function targetsOf(server: Server): Target[] {
  const {name} = server
  return [
    ...SERVICE_PORTS.map((port) => ({server, service: name, port, headless: false})),
    {server, service: `${name}-pods`, port: CONTAINER_PORT, headless: true},
  ]
}

/** `both` has clients and servers; `front` has only clients, `back` only servers. */
export const CLIENTS: readonly Client[] = [
  {namespace: 'front', name: 'from-one', row: 'sidecar'},
  {namespace: 'front', name: 'from-two', row: 'sidecar'},
  {namespace: 'front', name: 'from-kmesh', row: 'kmesh'},
  {namespace: 'front', name: 'from-bypassed', row: 'bypassed'},
  {namespace: 'both', name: 'from-one', row: 'sidecar'},
  {namespace: 'both', name: 'from-two', row: 'sidecar'},
  {namespace: 'both', name: 'from-plain', row: 'plain'},
  {namespace: 'both', name: 'from-skipped', row: 'kmesh-bypass'},
]
export const SERVERS: readonly Server[] = [
  {namespace: 'both', name: 'to-plain', column: 'plain'},
  {namespace: 'both', name: 'to-envoy', column: 'sidecar'},
  {namespace: 'both', name: 'to-skipped', column: 'bypassed'},
  {namespace: 'back', name: 'to-kmesh', column: 'kmesh'},
  {namespace: 'back', name: 'to-envoy', column: 'sidecar'},
  {namespace: 'back', name: 'to-other', column: 'sidecar'},
  {namespace: 'back', name: 'to-bypassed', column: 'bypassed'},
]

/** By the end of its name; others have no label of their own. */
export const LABELS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  one: {tier: 'one'},
  two: {tier: 'two'},
  kmesh: {'istio.io/dataplane-mode': 'kmesh'},
  skipped: {'istio.io/dataplane-mode': 'kmesh'},
  bypassed: {'kmesh.net/bypass': 'enabled'},
}
export const INJECTED = ['one', 'two', 'skipped', 'bypassed', 'envoy', 'other']

export const kindOf = (name: string): string => name.split('-')[1] ?? ''

/** Reasons for which no prediction can be made; empty where there must be one. */
export function expectedUnknown({client, target}: Pair, policies: readonly Policy[]): readonly PairReason[] {
  if (client.row !== 'sidecar' || target.server.column !== 'sidecar') return []
  const {service, server} = target
  const isForeign = policies.some(({namespace, spec}) => {
    const names = [`${service}.${server.namespace}.svc.cluster.local`]
    if (namespace === server.namespace) names.push(service)
    const asked = JSON.stringify(spec['trafficPolicy'] ?? {})
    return names.includes(String(spec['host'])) && FOREIGN.some((mode) => asked.includes(`"${mode}"`))
  })
  return isForeign ? FOREIGN_REASONS : []
}

export function textOf({client, target, family}: Pair): string {
  const {server, service, port} = target
  return `${client.namespace}/${client.name} to ${server.namespace}/${service}:${port} IPv${family}`
}
