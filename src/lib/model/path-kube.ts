// SPDX-License-Identifier: Apache-2.0
/** What Kubernetes says of a destination: the service and its endpoints, or the pod. Pure. */
import type {CalledService} from './client-tls.ts'
import {addressBytes, normalAddress} from './codec.ts'
import type {CheckedPod} from './interop-check.ts'
import type {EndpointSlice, Pod, Service, ServicePort} from './kube.ts'
import type {PathAddress} from './path-connect.ts'

/** Asks for a waypoint; `none` asks for none. */
const WAYPOINT_LABEL = 'istio.io/use-waypoint'

/** On an EndpointSlice: the service that it belongs to. */
export const SERVICE_LABEL = 'kubernetes.io/service-name'

export interface PathEndpoint {
  readonly address: string
  readonly targetPort: number
  /** `namespace/name`; null: an address without a pod. */
  readonly pod: string | null
}

export interface PathService {
  readonly namespace: string
  readonly name: string
  readonly called: CalledService
  /** The port that was asked for is one of the service's TCP ports. */
  readonly hasPort: boolean
  /** Ready ones of that port and of the destination's family. */
  readonly endpoints: readonly PathEndpoint[]
  /** Ready ones of any port, of the destination's family: the kernel has endpoints by service, not by port. */
  readonly ready: ReadonlySet<string>
  /** Addresses that its slices have and that take no new connections. */
  readonly notReady: ReadonlySet<string>
  readonly waypoint: string | null
}

/** A running pod. */
export interface PathPod {
  readonly checked: CheckedPod
  readonly addresses: readonly string[]
  /** TCP ports that its containers declare. */
  readonly ports: readonly number[]
  readonly hostNetwork: boolean
}

export interface PathKube {
  /** Has the destination as a cluster address. */
  readonly service: PathService | null
  /** Headless: the destination is one of the addresses that its name stands for. */
  readonly headless: PathService | null
  /** Has the destination as its own address; not of the host's network. */
  readonly pod: PathPod | null
  /** Pods that may answer, by address. */
  readonly podsByAddress: ReadonlyMap<string, PathPod>
}

export function pathPod(pod: Pod, checked: CheckedPod): PathPod {
  const listed = pod.status?.podIPs?.map(({ip}) => ip) ?? []
  const addresses = listed.length > 0 || !pod.status?.podIP ? listed : [pod.status.podIP]
  const ports = (pod.spec?.containers ?? []).flatMap((container) => container.ports ?? [])
  return {
    checked,
    addresses: addresses.flatMap(addressOrNone),
    ports: ports.filter(({protocol = 'TCP'}) => protocol === 'TCP').map(({containerPort}) => containerPort),
    hostNetwork: pod.spec?.hostNetwork === true,
  }
}

/** By address; pods on the host's network share theirs and are left out. */
export function byAddress(pods: readonly PathPod[]): ReadonlyMap<string, PathPod> {
  const own = pods.filter(({hostNetwork}) => !hostNetwork)
  return new Map(own.flatMap((pod) => pod.addresses.map((address) => [address, pod] as const)))
}

/** @param slices - all that carry the service's name */
export function pathService(
  service: Service,
  slices: readonly EndpointSlice[],
  {address, port}: PathAddress,
  clusterDomain: string,
): PathService {
  const {namespace = '', name = '', labels} = service.metadata
  const own = tcpPorts(service).find((one) => one.port === port)
  const found = endpointsOf(slices, own, addressFamily(address))
  const waypoint = labels?.[WAYPOINT_LABEL] ?? null
  return {
    namespace,
    name,
    called: {
      namespace,
      host: `${name}.${namespace}.svc.${clusterDomain}`,
      port,
      isHeadless: service.spec?.clusterIP === 'None',
      isExternal: false,
    },
    hasPort: own !== undefined,
    ...found,
    waypoint: waypoint === 'none' ? null : waypoint,
  }
}

/** Connect hooks redirect TCP. */
export function tcpPorts(service: Service): readonly ServicePort[] {
  return (service.spec?.ports ?? []).filter(({protocol = 'TCP'}) => protocol === 'TCP')
}

/** Cluster addresses in their order; none of headless services and external names. */
export function clusterAddresses({spec}: Service): readonly string[] {
  const listed = spec?.clusterIPs ?? (spec?.clusterIP === undefined ? [] : [spec.clusterIP])
  return listed.flatMap(addressOrNone)
}

export function addressFamily(address: string): 4 | 6 {
  return addressBytes(address).byteLength === 4 ? 4 : 6
}

function addressOrNone(text: string): readonly string[] {
  try {
    return [normalAddress(text)]
  } catch {
    return []
  }
}

/** Of endpoints that take connections, each one once. */
export function readyAddresses(slices: readonly EndpointSlice[], family: 4 | 6): readonly string[] {
  const ready = slices.filter(({addressType}) => addressType === `IPv${family}`).flatMap(addressesOf)
  return [...new Set(ready.filter(({isUsable}) => isUsable).map(({address}) => address))]
}

/** @param port - undefined: the service does not have it, so nobody listens */
function endpointsOf(
  slices: readonly EndpointSlice[],
  port: ServicePort | undefined,
  family: 4 | 6,
): Pick<PathService, 'endpoints' | 'ready' | 'notReady'> {
  const endpoints = new Map<string, PathEndpoint>()
  const ready = new Set<string>()
  const notReady = new Set<string>()
  for (const slice of slices) {
    if (slice.addressType !== `IPv${family}`) continue
    const targetPort = port && slice.ports?.find(({name}) => (name ?? '') === (port.name ?? ''))?.port
    for (const {address, isUsable, pod} of addressesOf(slice)) {
      if (isUsable) ready.add(address)
      else notReady.add(address)
      if (isUsable && targetPort !== undefined) endpoints.set(address, {address, targetPort, pod})
    }
  }
  return {endpoints: [...endpoints.values()], ready, notReady}
}

interface SliceAddress {
  readonly address: string
  readonly isUsable: boolean
  readonly pod: string | null
}

/** Consumers look at the first address of an endpoint only. */
function addressesOf({endpoints, metadata}: EndpointSlice): readonly SliceAddress[] {
  return (endpoints ?? []).flatMap(({addresses, conditions, targetRef}) => {
    const isUsable = conditions?.ready !== false && conditions?.terminating !== true
    const pod = targetRef?.kind === 'Pod' ? `${metadata.namespace}/${targetRef.name}` : null
    return addresses
      .slice(0, 1)
      .flatMap(addressOrNone)
      .map((address) => ({address, isUsable, pod}))
  })
}
