// SPDX-License-Identifier: Apache-2.0
/** What the maps hold for a cluster, in the plainest words: names instead of ids, sorted lines. */
import {fnv1a32} from '../../src/lib/model/ids.ts'
import {BACKEND, ENDPOINT, FRONTEND, MANAGE, type MapRow, SERVICE} from '../../src/lib/model/maps.ts'
import type {BpfMap} from '../../src/lib/ports.ts'
import type {FakeNode} from './fakes.ts'
import type {Cluster} from './property-cluster.ts'
import {familyOf, type ModelEndpoint, type ModelPod, type ModelService, NODE} from './property-objects.ts'

interface Backend {
  /** Several where the pod is gone and stale slices still give what it had under one uid or another: any will do. */
  readonly addresses: Set<string>
  readonly services: string[]
}

export interface Expected {
  /** Of each map. */
  readonly lines: Readonly<Record<string, readonly string[]>>
  /** Of all ids, sorted. */
  readonly names: readonly string[]
  /** Addresses that will do, by name of the backend. */
  readonly addresses: ReadonlyMap<string, ReadonlySet<string>>
}

export function expected(cluster: Cluster, machine: FakeNode): Expected {
  const backends = new Map<string, Backend>()
  const frontends = new Map<string, string>()
  const services: string[] = []
  const endpoints: string[] = []
  const names: string[] = []
  for (const pod of cluster.pods.values()) {
    for (const {name, address} of backendsOf(pod)) {
      backends.set(name, {addresses: new Set([address]), services: []})
      if (!pod.hostNetwork) frontends.set(address, name)
    }
  }
  for (const service of cluster.services.values()) {
    if (service.type === 'ExternalName') continue
    service.families.forEach((family, position) => {
      const name = serviceName(service, position === 0 ? undefined : family)
      const found = endpointsOf(cluster, service, family)
      names.push(name)
      for (const ip of service.ips) if (familyOf(ip) === family) frontends.set(ip, name)
      services.push(`${name} ${found.length} ${portsOf(cluster, service, family)}`)
      found.forEach(([backend, given], index) => {
        endpoints.push(`${name} ${index + 1}`, `${name} -> ${backend}`)
        const known = backends.get(backend) ?? {addresses: new Set<string>(), services: []}
        known.services.push(name)
        if (!isKnown(cluster, backend, family)) for (const address of given) known.addresses.add(address)
        backends.set(backend, known)
      })
    })
  }
  names.push(...backends.keys())
  const addresses = new Map([...backends].map(([name, backend]) => [name, backend.addresses]))
  const backendLines = [...backends].map(
    ([name, {services: of}]) => `${name} ${textOf(addresses.get(name))} ${of.sort().join()}`,
  )
  return {
    lines: {
      km_frontend: [...frontends].map(([address, name]) => `${address} ${name}`).sort(),
      km_service: services.sort(),
      km_endpoint: endpoints.sort(),
      km_backend: backendLines.sort(),
      km_manage: enrolledCookies(cluster, machine),
    },
    names: names.sort(),
    addresses,
  }
}

function textOf(addresses: ReadonlySet<string> | undefined): string {
  return [...(addresses ?? [])].sort().join(' or ')
}

/** A pod that runs decides its address itself. */
function isKnown(cluster: Cluster, backend: string, family: 4 | 6): boolean {
  const [key = ''] = backend.replace('Kubernetes//Pod/', '').split('#')
  const pod = cluster.pods.get(key)
  return (
    pod !== undefined &&
    backendsOf(pod).some(({name, address}) => name === backend && familyOf(address) === family)
  )
}

/** By label, on this node, with processes. */
export function isEnrolled(cluster: Cluster, pod: ModelPod): boolean {
  const own = pod.mode?.toLowerCase()
  const ofNamespace = cluster.namespaces.get(pod.key.split('/')[0] ?? '')?.toLowerCase()
  const isWanted = own === 'kmesh' || (own !== 'none' && ofNamespace === 'kmesh')
  return isWanted && !pod.hostNetwork && pod.phase === 'Running' && pod.node === NODE
}

function enrolledCookies(cluster: Cluster, machine: FakeNode): string[] {
  const enrolled = [...cluster.pods.values()].filter((pod) => isEnrolled(cluster, pod))
  return enrolled.map(({uid}) => String(machine.pods.get(uid)?.cookie)).sort()
}

/** The first address has the plain name, one of the other family its own. */
function backendsOf(pod: ModelPod): {name: string; address: string}[] {
  if (pod.phase !== 'Running') return []
  return pod.ips.map((address, position) => ({
    name: `Kubernetes//Pod/${pod.key}${position === 0 ? '' : `#ipv${familyOf(address)}`}`,
    address,
  }))
}

/** Names of backends, each once, with the addresses that the slices give. */
function endpointsOf(cluster: Cluster, service: ModelService, family: 4 | 6): [string, string[]][] {
  const found = new Map<string, string[]>()
  for (const slice of cluster.slices.values()) {
    if (slice.service !== service.key || slice.family !== family) continue
    for (const endpoint of slice.endpoints) {
      const name = endpoint.isUsable ? endpointName(cluster, endpoint, family) : undefined
      if (name !== undefined) found.set(name, [...(found.get(name) ?? []), endpoint.address])
    }
  }
  return [...found]
}

/** Undefined for a pod that another one of the same name has replaced. */
function endpointName(cluster: Cluster, {pod: key, uid}: ModelEndpoint, family: 4 | 6): string | undefined {
  const pod = cluster.pods.get(key)
  if (pod !== undefined && pod.uid !== uid) return undefined
  const own =
    pod === undefined ? undefined : backendsOf(pod).find(({address}) => familyOf(address) === family)
  return own?.name ?? `Kubernetes//Pod/${key}${family === 4 ? '' : '#ipv6'}`
}

function portsOf(cluster: Cluster, service: ModelService, family: 4 | 6): string {
  const hasUsable = [...cluster.slices.values()].some(
    (slice) =>
      slice.service === service.key &&
      slice.family === family &&
      slice.endpoints.some(({isUsable}) => isUsable),
  )
  const tcp = service.ports.filter(({protocol}) => protocol === 'TCP')
  const targetOf = ({port, targetPort}: (typeof tcp)[number]) => {
    if (hasUsable) return 8000 + port - 80
    return typeof targetPort === 'number' ? targetPort : port
  }
  return tcp.map((port) => `${port.port}:${targetOf(port)}`).join()
}

function serviceName({key}: ModelService, family: 4 | 6 | undefined): string {
  const [namespace = '', name = ''] = key.split('/')
  return `${namespace}/${name}.${namespace}.svc.cluster.local${family === undefined ? '' : `#ipv${family}`}`
}

/** The maps in the same words. */
export function actual(
  open: (name: string) => BpfMap,
  {names, addresses}: Expected,
): Readonly<Record<string, string[]>> {
  const addressText = (name: string, address: string) =>
    addresses.get(name)?.has(address) === true ? textOf(addresses.get(name)) : address
  const byId = new Map(names.map((name) => [fnv1a32(name), name]))
  const nameOf = (id: number) => byId.get(id) ?? `id ${id} of nothing`
  const lines = {
    km_frontend: entries(open, FRONTEND, ({address}, {upstreamId}) => [`${address} ${nameOf(upstreamId)}`]),
    km_service: entries(open, SERVICE, ({serviceId}, {endpointCount, ports}) => [
      `${nameOf(serviceId)} ${endpointCount.filter((count, at) => at === 0 || count > 0).join()} ${ports
        .map(({servicePort, targetPort}) => `${servicePort}:${targetPort}`)
        .join()}`,
    ]),
    km_endpoint: entries(open, ENDPOINT, ({serviceId, priority, index}, {backendUid}) => [
      `${nameOf(serviceId)} ${priority > 0 ? `priority ${priority}` : index}`,
      `${nameOf(serviceId)} -> ${nameOf(backendUid)}`,
    ]),
    km_backend: entries(open, BACKEND, ({backendUid}, {address, services}) => [
      `${nameOf(backendUid)} ${addressText(nameOf(backendUid), address ?? '')} ${services.map(nameOf).sort().join()}`,
    ]),
    km_manage: entries(open, MANAGE, ({cookie, address}) => [`${cookie ?? address}`]),
  }
  return lines
}

function entries<K, V>(
  open: (name: string) => BpfMap,
  row: MapRow<K, V>,
  linesOf: (key: K, value: V) => string[],
): string[] {
  const lines: string[] = []
  using map = open(row.name)
  for (const {count, keys, values} of map.read()) {
    const [keyView, valueView] = [keys, values].map(
      (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    ) as [DataView, DataView]
    for (let at = 0; at < count; at += 1) {
      const key = row.key?.read(keyView, at * row.keyBytes) as K
      lines.push(...linesOf(key, row.value?.read(valueView, at * row.valueBytes) as V))
    }
  }
  return lines.sort()
}
