// SPDX-License-Identifier: Apache-2.0
/** Which EndpointSlices a service should have; pure. */
import {fnv1a32} from '../../model/ids.ts'
import {type Endpoint, type EndpointSlice, isPodReady, type Pod, type Service} from '../../model/kube.ts'
import {controllerReference} from './apps.ts'

export const SERVICE_LABEL = 'kubernetes.io/service-name'
export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by'
export const MANAGED_BY = 'endpointslice-controller.k8s.io'
/** What Kubernetes allows in one slice. */
const ENDPOINTS_MAX = 1000

type Family = 'IPv4' | 'IPv6'
interface SlicePort {
  readonly name: string
  readonly port: number
  readonly protocol: string
}

/**
 * The slices of a service, one for each family and each set of port numbers: a named target port may be another
 * number in another pod. A family without endpoints has one empty slice.
 * @param pods those of the service's namespace that its selector picks
 */
export function planSlices(service: Service, pods: readonly Pod[]): EndpointSlice[] {
  return (service.spec?.ipFamilies ?? ['IPv4']).flatMap((family) => {
    const groups = new Map<string, {ports: readonly SlicePort[]; endpoints: Endpoint[]}>()
    const fixed = slicePorts(service, undefined)
    for (const pod of sortedByName(pods)) {
      const address = addressOf(pod, family)
      if (address === undefined || isFinished(pod)) continue
      const ports = slicePorts(service, pod)
      const key = JSON.stringify(ports)
      const group = groups.get(key) ?? {ports, endpoints: []}
      group.endpoints.push(endpointOf(service, pod, address))
      groups.set(key, group)
    }
    if (groups.size === 0) groups.set('', {ports: fixed, endpoints: []})
    return [...groups.values()].flatMap((group) => slicesOf(service, family, group.ports, group.endpoints))
  })
}

function slicesOf(
  service: Service,
  family: Family,
  ports: readonly SlicePort[],
  endpoints: readonly Endpoint[],
): EndpointSlice[] {
  const {name = '', namespace = ''} = service.metadata
  const hash = fnv1a32(`${service.metadata.uid}/${JSON.stringify(ports)}`).toString(36)
  const count = Math.max(1, Math.ceil(endpoints.length / ENDPOINTS_MAX))
  return Array.from({length: count}, (_, index) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-${family.toLowerCase()}-${hash}${index === 0 ? '' : `-${index}`}`,
      namespace,
      labels: {
        [SERVICE_LABEL]: name,
        [MANAGED_BY_LABEL]: MANAGED_BY,
        ...(service.spec?.clusterIP === 'None' ? {'service.kubernetes.io/headless': ''} : {}),
      },
      ownerReferences: [controllerReference(service, 'v1', 'Service')],
    },
    addressType: family,
    ports,
    endpoints: endpoints.slice(index * ENDPOINTS_MAX, (index + 1) * ENDPOINTS_MAX),
  }))
}

function sortedByName(pods: readonly Pod[]): Pod[] {
  return [...pods].sort((left, right) => ((left.metadata.name ?? '') < (right.metadata.name ?? '') ? -1 : 1))
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

function addressOf(pod: Pod, family: Family): string | undefined {
  const listed = pod.status?.podIPs?.map(({ip}) => ip) ?? []
  const all = listed.length > 0 ? listed : [pod.status?.podIP ?? '']
  return all.find((ip) => ip !== '' && ip.includes(':') === (family === 'IPv6'))
}

/** Ports as numbers; those whose name the pod does not have are left out. Without a pod: those that need none. */
function slicePorts(service: Service, pod: Pod | undefined): SlicePort[] {
  return (service.spec?.ports ?? []).flatMap((port) => {
    const protocol = port.protocol ?? 'TCP'
    const target = port.targetPort ?? port.port
    const number = typeof target === 'number' ? target : namedPort(pod, target, protocol)
    return number === undefined ? [] : [{name: port.name ?? '', port: number, protocol}]
  })
}

function namedPort(pod: Pod | undefined, name: string, protocol: string): number | undefined {
  const ports = pod?.spec?.containers.flatMap((container) => container.ports ?? []) ?? []
  return ports.find((port) => port.name === name && (port.protocol ?? 'TCP') === protocol)?.containerPort
}

function endpointOf(service: Service, pod: Pod, address: string): Endpoint {
  const serving = isPodReady(pod)
  const terminating = pod.metadata.deletionTimestamp !== undefined
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating)
  const {name = '', namespace = '', uid = ''} = pod.metadata
  return {
    addresses: [address],
    conditions: {ready, serving, terminating},
    ...(pod.spec?.nodeName ? {nodeName: pod.spec.nodeName} : {}),
    targetRef: {kind: 'Pod', namespace, name, uid},
  }
}
