// SPDX-License-Identifier: Apache-2.0
/** What the maps should hold, from Kubernetes objects. Pure; design section 4 "Ids and families", contracts section 8. */
import {addressBytes, normalAddress} from '../model/codec.ts'
import {secondaryName, serviceName, workloadName} from '../model/ids.ts'
import type {Endpoint, EndpointSlice, Pod, Service, ServicePort} from '../model/kube.ts'
import {objectKey} from '../model/kube.ts'
import type {PortPair} from '../model/map-fields.ts'
import {chooseTargets, isUsable} from './targets.ts'

export type Family = 4 | 6
/** Slots of the service value and of the backend value. */
export const MAX_PORTS = 10
export const MAX_SERVICES = 10

export interface DesiredEndpoint {
  /** Name under which the backend has its id. */
  readonly name: string
  readonly address: string
}

/** One service in one address family: one id, one km_service entry. */
export interface DesiredFamily {
  readonly name: string
  readonly family: Family
  /** Addresses that lead to it; none for headless services. */
  readonly vips: readonly string[]
  readonly ports: readonly PortPair[]
  /** Each backend once, in the order of the slices. */
  readonly endpoints: readonly DesiredEndpoint[]
}

export interface DesiredService {
  readonly families: readonly DesiredFamily[]
  /** What could not be done as asked; whole sentences without the service's name. */
  readonly warnings: readonly string[]
}

/** A pod's address as a backend. */
export interface DesiredBackend extends DesiredEndpoint {
  readonly family: Family
  /** Host-network pods share the node's address, so it leads to none of them. */
  readonly frontend: boolean
}

/** What a service needs to know of a pod. */
export interface KnownPod {
  readonly uid: string | undefined
  readonly backends: readonly DesiredBackend[]
}

export type PodLookup = (key: string) => KnownPod | undefined

export interface DesiredSettings {
  readonly clusterDomain: string
  /** Family of the plain name of a pod that is not watched. */
  readonly unknownPodFamily: Family
}

export function familyOf(address: string): Family {
  return addressBytes(address).byteLength === 4 ? 4 : 6
}

/** True where the pod's processes are over: its address may belong to somebody else by now. */
export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

/** One backend for each family of a pod that has addresses; the first address decides the primary family. */
export function desiredPod(pod: Pod): readonly DesiredBackend[] {
  if (isFinished(pod)) return []
  const name = workloadName(pod.metadata.namespace ?? '', pod.metadata.name ?? '')
  const backends = new Map<Family, DesiredBackend>()
  for (const text of podAddresses(pod)) {
    const family = familyOf(text)
    if (backends.has(family)) continue
    backends.set(family, {
      name: backends.size === 0 ? name : secondaryName(name, family),
      address: normalAddress(text),
      family,
      frontend: pod.spec?.hostNetwork !== true,
    })
  }
  return [...backends.values()]
}

/** Addresses in the order of the API; texts that are none are left out. */
export function podAddresses(pod: Pod): string[] {
  const listed = pod.status?.podIPs?.map((entry) => entry.ip) ?? []
  const all = listed.length > 0 || !pod.status?.podIP ? listed : [pod.status.podIP]
  return all.filter(isAddress)
}

export function isAddress(text: unknown): text is string {
  try {
    return typeof text === 'string' && addressBytes(text).byteLength > 0
  } catch {
    return false
  }
}

/**
 * @param slices - all slices that carry the service's name
 * @param podOf - a pod by `namespace/name`; undefined where it is not known
 */
export function desiredService(
  service: Service,
  slices: readonly EndpointSlice[],
  podOf: PodLookup,
  settings: DesiredSettings,
): DesiredService {
  if (service.spec?.type === 'ExternalName') return {families: [], warnings: []}
  const warnings: string[] = []
  const name = serviceName(
    service.metadata.namespace ?? '',
    service.metadata.name ?? '',
    settings.clusterDomain,
  )
  const ports = usedPorts(service, warnings)
  const families = serviceFamilies(service, slices).map(({family, vips}, position): DesiredFamily => {
    const ofFamily = slices.filter((slice) => slice.addressType === `IPv${family}`)
    const chosen = chooseTargets(ports, ofFamily, family, warnings)
    return {
      name: position === 0 ? name : secondaryName(name, family),
      family,
      vips,
      ports: chosen.pairs,
      endpoints: collectEndpoints(service, chosen.slices, family, podOf, settings),
    }
  })
  return {families, warnings}
}

/** Connect hooks redirect TCP; the value has ten slots. */
function usedPorts(service: Service, warnings: string[]): readonly ServicePort[] {
  const tcp = (service.spec?.ports ?? []).filter((port) => (port.protocol ?? 'TCP') === 'TCP')
  if (tcp.length > MAX_PORTS) {
    const dropped = tcp.slice(MAX_PORTS).map((port) => port.port)
    warnings.push(`has ${tcp.length} TCP ports, the first ${MAX_PORTS} are used, not ${dropped.join(', ')}`)
  }
  return tcp.slice(0, MAX_PORTS)
}

/** Primary family first. Headless services have families without addresses. */
function serviceFamilies(
  service: Service,
  slices: readonly EndpointSlice[],
): readonly {readonly family: Family; readonly vips: readonly string[]}[] {
  const spec = service.spec
  const listed = spec?.clusterIPs ?? (spec?.clusterIP === undefined ? [] : [spec.clusterIP])
  const vips = listed.filter(isAddress).map(normalAddress)
  const order = new Set<Family>((spec?.ipFamilies ?? []).map((family) => (family === 'IPv6' ? 6 : 4)))
  for (const vip of vips) order.add(familyOf(vip))
  if (order.size === 0) {
    for (const slice of slices)
      if (slice.addressType !== 'FQDN') order.add(slice.addressType === 'IPv6' ? 6 : 4)
  }
  if (order.size === 0) order.add(4)
  return [...order].map((family) => ({family, vips: vips.filter((vip) => familyOf(vip) === family)}))
}

function collectEndpoints(
  service: Service,
  slices: readonly EndpointSlice[],
  family: Family,
  podOf: PodLookup,
  settings: DesiredSettings,
): readonly DesiredEndpoint[] {
  const endpoints = new Map<string, DesiredEndpoint>()
  for (const slice of slices) {
    for (const endpoint of slice.endpoints ?? []) {
      if (!isUsable(endpoint)) continue
      const named = nameEndpoint(service, endpoint, family, podOf, settings)
      if (named !== undefined) endpoints.set(named.name, named)
    }
  }
  return [...endpoints.values()]
}

/** Undefined where the slice still speaks of a pod that another one of the same name has replaced. */
function nameEndpoint(
  service: Service,
  endpoint: Endpoint,
  family: Family,
  podOf: PodLookup,
  settings: DesiredSettings,
): DesiredEndpoint | undefined {
  const address = endpoint.addresses[0]
  if (address === undefined || address.includes(':') !== (family === 6)) return undefined
  const namespace = service.metadata.namespace ?? ''
  const reference = endpoint.targetRef
  if (reference?.kind !== 'Pod' || !reference.name) {
    if (!isAddress(address)) return undefined
    const normal = normalAddress(address)
    return {
      name: `Kubernetes/discovery.k8s.io/EndpointSlice/${objectKey(service)}/${normal}`,
      address: normal,
    }
  }
  const podNamespace = reference.namespace ?? namespace
  const pod = podOf(`${podNamespace}/${reference.name}`)
  if (pod !== undefined && reference.uid !== undefined && pod.uid !== reference.uid) return undefined
  const own = pod?.backends.find((backend) => backend.family === family)
  if (own !== undefined) return own
  if (!isAddress(address)) return undefined
  const name = workloadName(podNamespace, reference.name)
  const primary = family === settings.unknownPodFamily
  return {name: primary ? name : secondaryName(name, family), address: normalAddress(address)}
}

/** Keys `namespace/name` of the pods that a slice speaks of. */
export function podsOfSlice(slice: EndpointSlice): Set<string> {
  const keys = new Set<string>()
  for (const {targetRef} of slice.endpoints ?? []) {
    if (targetRef?.kind === 'Pod' && targetRef.name) {
      keys.add(`${targetRef.namespace ?? slice.metadata.namespace ?? ''}/${targetRef.name}`)
    }
  }
  return keys
}

export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'

/** Key of the service that a slice belongs to; undefined for a slice without one. */
export function serviceOfSlice(slice: EndpointSlice): string | undefined {
  const name = slice.metadata.labels?.[SERVICE_NAME_LABEL]
  return name ? `${slice.metadata.namespace ?? ''}/${name}` : undefined
}
