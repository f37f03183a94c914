// SPDX-License-Identifier: Apache-2.0
/** Pods, services and their endpoints as `interop check` judges them. Pure. */

import {bypassNow} from './bypass-now.ts'
import {isBypassAsked} from './bypass-wish.ts'
import {captureKey} from './check-port.ts'
import type {CheckSubject} from './check-subject.ts'
import {hasSidecar, type Labels} from './enrollment.ts'
import type {CheckedEndpoint, CheckedPod, CheckedPort} from './interop-check.ts'
import {slicesByService} from './interop-sums.ts'
import {type EndpointSlice, objectKey, type Pod, type Service, type ServicePort} from './kube.ts'
import type {PodCapture} from './pair-verdict.ts'
import {absentNode, type FactsByNode, type NodeFacts} from './plan-node.ts'
import {templateOwnerOf} from './plan-owner.ts'
import {captureNow} from './plan-pod.ts'
import {isAmbientCaptured} from './sidecar.ts'

export type LabelsByNamespace = ReadonlyMap<string, Labels>

/** By `namespace/name`; what many pods have alike is kept once. */
export function checkedPods(
  pods: readonly Pod[],
  facts: FactsByNode,
  namespaces: LabelsByNamespace,
): Map<string, CheckedPod> {
  const workloads = new Map<string, string>()
  const captures = new Map<string, PodCapture>()
  const kept = <T>(known: Map<string, T>, key: string, value: T): T => {
    if (!known.has(key)) known.set(key, value)
    return known.get(key) as T
  }
  return new Map(
    pods.map((pod) => {
      const checked = checkedPod(pod, facts, namespaces)
      const {workload, capture} = checked
      const shared = {
        ...checked,
        workload: kept(workloads, workload, workload),
        capture: kept(captures, captureKey(capture), capture),
      }
      return [objectKey(pod), shared]
    }),
  )
}

export function checkedPod(pod: Pod, facts: FactsByNode, namespaces: LabelsByNamespace): CheckedPod {
  const {namespace = '', name = '', labels = {}} = pod.metadata
  const owner = templateOwnerOf(pod.metadata)
  const nodeName = pod.spec?.nodeName
  const node = nodeName === undefined ? null : (facts.get(nodeName) ?? absentNode(nodeName))
  return {
    namespace,
    name,
    workload: owner === undefined ? `pod/${name}` : `${owner.kind.toLowerCase()}/${owner.name}`,
    labels,
    capture: captureOf(pod, node, namespaces.get(namespace)),
    asksBypass: isBypassAsked(labels, namespaces.get(namespace)),
  }
}

function captureOf(pod: Pod, node: NodeFacts | null, namespaceLabels: Labels): PodCapture {
  const {annotations} = pod.metadata
  const {kmesh} = captureNow(pod, node)
  const sidecar = hasSidecar(annotations)
  const bypass = bypassNow(pod, namespaceLabels, node, kmesh)
  const bypassed = sidecar && bypass?.active === true
  // Asked for by a label, and nobody tells whether it was done.
  const isUntold = sidecar && bypass?.active === null
  return {kmesh: isUntold ? null : kmesh, sidecar, bypassed, ambient: isAmbientCaptured(annotations)}
}

export interface ClusterServers {
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, CheckedPod>
  readonly services: readonly Service[]
  readonly slices: readonly EndpointSlice[]
  readonly clusterDomain: string
}

/** Every port of every service, those without endpoints too. */
export function portsOf({pods, services, slices, clusterDomain}: ClusterServers): CheckedPort[] {
  const byService = slicesByService(slices)
  return services.flatMap((service) => {
    const own = byService.get(objectKey(service)) ?? []
    const tcp = (service.spec?.ports ?? []).filter(({protocol = 'TCP'}) => protocol === 'TCP')
    return tcp.map((port) => checkedPort(service, port, own, pods, clusterDomain))
  })
}

function checkedPort(
  service: Service,
  port: ServicePort,
  slices: readonly EndpointSlice[],
  pods: ClusterServers['pods'],
  clusterDomain: string,
): CheckedPort {
  const {namespace = '', name = ''} = service.metadata
  const host = `${name}.${namespace}.svc.${clusterDomain}`
  const isHeadless = service.spec?.clusterIP === 'None'
  return {
    namespace,
    name,
    port: port.port,
    service: {namespace, host, port: port.port, isHeadless, isExternal: false},
    endpoints: endpointsOf(namespace, port, slices, pods),
    others: [],
  }
}

/** Ready ones, each pod once although its two families stand in two slices. */
function endpointsOf(
  namespace: string,
  port: ServicePort,
  slices: readonly EndpointSlice[],
  pods: ClusterServers['pods'],
): CheckedEndpoint[] {
  const found = new Map<string, CheckedEndpoint>()
  for (const slice of slices) {
    const targetPort = slice.ports?.find(({name}) => (name ?? '') === (port.name ?? ''))?.port
    if (targetPort === undefined) continue
    for (const {addresses, conditions, targetRef} of slice.endpoints ?? []) {
      const address = addresses[0]
      if (address === undefined || conditions?.ready === false) continue
      const pod = targetRef?.kind === 'Pod' ? pods.get(`${namespace}/${targetRef.name}`) : undefined
      found.set(pod?.name ?? address, {pod: pod ?? null, address, targetPort})
    }
  }
  return [...found.values()]
}

/** What of the cluster a subject means as a server; a pod can also be called by its own address. */
export function portsFor(
  subject: CheckSubject,
  ports: readonly CheckedPort[],
  pods: readonly Pod[],
  checked: ClusterServers['pods'],
): CheckedPort[] {
  const {kind, namespace, name} = subject
  if (kind === 'namespace') return ports.filter((port) => port.namespace === namespace)
  if (kind === 'service') return ports.filter((port) => port.namespace === namespace && port.name === name)
  const isMeant = ({pod}: CheckedEndpoint): boolean => pod !== null && isSubject(pod, subject)
  const served = ports.map((port) => ({
    ...port,
    endpoints: port.endpoints.filter(isMeant),
    others: port.endpoints.filter((endpoint) => !isMeant(endpoint)),
  }))
  const direct = kind === 'pod' ? pods.filter((pod) => objectKey(pod) === `${namespace}/${name}`) : []
  return [...served, ...direct.flatMap((pod) => directPorts(pod, checked))].filter(
    ({endpoints}) => endpoints.length > 0,
  )
}

export function isSubject(pod: CheckedPod, {kind, namespace, name}: CheckSubject): boolean {
  if (pod.namespace !== namespace) return false
  if (kind === 'namespace') return true
  return kind === 'pod' ? pod.name === name : kind === 'workload' && pod.workload === name
}

function directPorts(pod: Pod, checked: ClusterServers['pods']): CheckedPort[] {
  const {namespace = '', name = ''} = pod.metadata
  const found = checked.get(`${namespace}/${name}`)
  const address = pod.status?.podIP
  if (found === undefined || address === undefined) return []
  const ports = (pod.spec?.containers ?? []).flatMap((container) => container.ports ?? [])
  return ports
    .filter(({protocol = 'TCP'}) => protocol === 'TCP')
    .map(({containerPort}) => ({
      namespace,
      name,
      port: containerPort,
      service: null,
      endpoints: [{pod: found, address, targetPort: containerPort}],
      others: [],
    }))
}
