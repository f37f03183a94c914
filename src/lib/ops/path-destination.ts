// SPDX-License-Identifier: Apache-2.0
/** From what was typed to the addresses that are dialled, and what Kubernetes has there. */
import {EXIT, KmeshError, UsageError} from '../errors.ts'
import {type EndpointSlice, type Pod, RESOURCES, type Service} from '../model/kube.ts'
import type {PathAddress} from '../model/path-connect.ts'
import {addressFamily, clusterAddresses, readyAddresses, SERVICE_LABEL, tcpPorts} from '../model/path-kube.ts'
import type {PathSubject, ServiceSubject} from '../model/path-subject.ts'
import {isLive} from '../model/plan-build.ts'
import {POD_FIELDS} from '../model/pod-projection.ts'
import type {Kube} from '../ports.ts'

export interface DestinationRequest {
  readonly subject: PathSubject
  /** Undefined: the first family of the client that the service has. */
  readonly family: 4 | 6 | undefined
  /** Of the client, in their order. */
  readonly clientFamilies: readonly (4 | 6)[]
  readonly signal: AbortSignal
}

export interface Destination {
  /** More than one only for a headless service, whose name is the addresses of its pods. */
  readonly addresses: readonly PathAddress[]
  /** Who has the address, or whose name it is; null: no service. */
  readonly service: Service | null
  readonly slices: readonly EndpointSlice[]
  /** Pods that may answer. */
  readonly pods: readonly Pod[]
}

/** @throws KmeshError `NotFound`, `NoServiceAddress`; UsageError for a port or family that is not there; DeniedError */
export async function findDestination(kube: Kube, request: DestinationRequest): Promise<Destination> {
  const {subject, signal} = request
  if ('at' in subject) return destinationAt(kube, subject.at, signal)
  const {namespace, name} = subject.service
  const service = await kube.get<Service>({...RESOURCES.services, namespace, name}, {signal})
  const port = portOf(service, subject.service)
  const around = await aroundService(kube, service, signal)
  const addresses =
    service.spec?.clusterIP === 'None'
      ? headlessAddresses(service, around.slices, port, request)
      : [{address: clusterAddress(service, request), port}]
  return {addresses, service, ...around}
}

async function destinationAt(kube: Kube, at: PathAddress, signal: AbortSignal): Promise<Destination> {
  const {items} = await kube.list<Service>(RESOURCES.services, {signal})
  const service = items.find((one) => clusterAddresses(one).includes(at.address)) ?? null
  if (service !== null) return {addresses: [at], service, ...(await aroundService(kube, service, signal))}
  return {addresses: [at], service: null, slices: [], pods: await podsAt(kube, new Set([at.address]), signal)}
}

/** Of many pods; the rest of them is not even parsed. */
const FIELDS = {...POD_FIELDS, status: {...POD_FIELDS.status, podIPs: true}} as const

/** With more, one list of all pods is less work for the API server. */
const MAX_ASKED_ALONE = 3

/** Live pods with one of these addresses. The API server finds a pod by its first address only. */
export async function podsAt(
  kube: Kube,
  addresses: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<readonly Pod[]> {
  const found: Pod[] = []
  const missing = new Set(addresses)
  for (const address of addresses.size <= MAX_ASKED_ALONE ? addresses : []) {
    const {items} = await kube.list<Pod>(RESOURCES.pods, {fieldSelector: `status.podIP=${address}`, signal})
    const live = items.filter(isLive)
    if (live.length > 0) missing.delete(address)
    found.push(...live)
  }
  if (missing.size === 0) return found
  const all = await kube.list<Pod>(RESOURCES.pods, {signal, fields: FIELDS})
  const others = all.items.filter((pod) => isLive(pod) && pod.status?.podIPs?.some(({ip}) => missing.has(ip)))
  return [...found, ...others]
}

async function aroundService(
  kube: Kube,
  service: Service,
  signal: AbortSignal,
): Promise<Pick<Destination, 'slices' | 'pods'>> {
  const {namespace, name} = service.metadata
  const labelSelector = `${SERVICE_LABEL}=${name}`
  const [slices, pods] = await Promise.all([
    kube.list<EndpointSlice>({...RESOURCES.endpointslices, namespace}, {labelSelector, signal}),
    // All of them: an address that the kernel still has may be that of any other pod by now.
    kube.list<Pod>({...RESOURCES.pods, namespace}, {signal, fields: FIELDS}),
  ])
  return {slices: slices.items, pods: pods.items.filter(isLive)}
}

function portOf(service: Service, {namespace, name, port}: ServiceSubject): number {
  const ports = tcpPorts(service)
  const shown = ports.map((one) => (one.name ? `${one.port} (${one.name})` : String(one.port))).join(', ')
  const hints = [`its TCP ports: ${shown || 'none'}`]
  const problem = (why: string): UsageError =>
    new UsageError(`service ${namespace}/${name} ${why}`, {parameter: 'SERVICE', hints})
  if (typeof port === 'number') return port
  if (typeof port === 'string') {
    const found = ports.find((one) => one.name === port)
    if (found === undefined) throw problem(`has no TCP port '${port}'`)
    return found.port
  }
  const [only, other] = ports
  if (only === undefined) throw problem('has no TCP port')
  if (other !== undefined) throw problem('has several TCP ports: say which')
  return only.port
}

function clusterAddress(service: Service, request: DestinationRequest): string {
  const addresses = clusterAddresses(service)
  const place = `service ${service.metadata.namespace}/${service.metadata.name}`
  if (addresses.length === 0)
    throw new KmeshError(`${place} has no cluster address`, {code: 'NoServiceAddress'})
  for (const family of familiesOf(request)) {
    const found = addresses.find((address) => addressFamily(address) === family)
    if (found !== undefined) return found
  }
  throw noFamily(place, request)
}

/** What a DNS answer of the name is made of; the port is dialled as it is. */
function headlessAddresses(
  service: Service,
  slices: readonly EndpointSlice[],
  port: number,
  request: DestinationRequest,
): readonly PathAddress[] {
  const place = `headless service ${service.metadata.namespace}/${service.metadata.name}`
  const known = service.spec?.ipFamilies ?? []
  const families = familiesOf(request).filter((one) => known.length === 0 || known.includes(`IPv${one}`))
  if (families.length === 0) throw noFamily(place, request)
  for (const family of families) {
    const addresses = readyAddresses(slices, family)
    if (addresses.length > 0) return addresses.map((address) => ({address, port}))
  }
  throw new KmeshError(`${place} has no ready endpoint: its name has no address`, {
    code: 'NoReadyEndpoints',
    exitCode: EXIT.findings,
  })
}

function familiesOf({family, clientFamilies}: DestinationRequest): readonly (4 | 6)[] {
  return family === undefined ? clientFamilies : [family]
}

function noFamily(place: string, request: DestinationRequest): KmeshError {
  const families = familiesOf(request).map((family) => `IPv${family}`)
  return new UsageError(`${place} has no ${families.join(' or ') || 'usable'} address`, {
    parameter: '--family',
  })
}
