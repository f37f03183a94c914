// SPDX-License-Identifier: Apache-2.0
/** The configuration of one sidecar from the objects of the API; pure. */
import {parse} from 'yaml'
import type {EndpointSlice, KubeObject, Pod, Service, ServicePort} from '../../model/kube.ts'
import {type SidecarConfig, type SidecarService, spiffeName} from './config.ts'
import {fullName, tlsOfPort, trafficPolicyFor} from './destination-choice.ts'
import type {DestinationPolicy, PeerPolicy} from './policy-objects.ts'
import {namespaceMode, type ReceiveModes, receiveModes} from './receive-mode.ts'
import {type EndpointFacts, sendTo} from './send-tls.ts'

/** Everything that the control plane has seen. */
export interface MeshView {
  readonly services: readonly Service[]
  readonly slices: readonly EndpointSlice[]
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, Pod>
  readonly peerPolicies: readonly PeerPolicy[]
  readonly destinationPolicies: readonly DestinationPolicy[]
  /** ConfigMap `istio` of the root namespace, if there is one. */
  readonly meshConfig?: ConfigMap | undefined
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
}

type Part = Pick<SidecarConfig, 'identity' | 'receive' | 'services'>

export function identityOf(pod: Pod): string {
  return spiffeName(pod.metadata.namespace ?? '', pod.spec?.serviceAccountName || 'default')
}

export function configPart(pod: Pod, view: MeshView): Part {
  return {
    identity: identityOf(pod),
    receive: modesOf(pod, view),
    services: view.services.flatMap((service) =>
      (service.spec?.ports ?? [])
        .filter(({protocol}) => (protocol ?? 'TCP') === 'TCP')
        .map((port) => servicePart(pod, service, port, view)),
    ),
  }
}

function modesOf(pod: Pod, view: MeshView): ReceiveModes {
  const {namespace = '', labels = {}} = pod.metadata
  return receiveModes({namespace, labels}, view.peerPolicies)
}

interface Backend extends EndpointFacts {
  readonly address: string
  readonly identity: string | undefined
}

function servicePart(client: Pod, service: Service, port: ServicePort, view: MeshView): SidecarService {
  const {namespace = '', name = ''} = service.metadata
  const backends = backendsOf(service, port, view)
  const headless = service.spec?.clusterIP === 'None'
  const policy = trafficPolicyFor(
    {namespace: client.metadata.namespace ?? '', labels: client.metadata.labels ?? {}},
    {namespace, name},
    view.destinationPolicies,
  )
  const tls = tlsOfPort(policy, port.port)
  const facts = {
    headless,
    namespaceMode: namespaceMode(namespace, view.peerPolicies),
    autoMtls: isAutoMtls(view.meshConfig),
  }
  const sends = sendTo(facts, tls, backends)
  const peers = [...new Set(backends.flatMap(({identity}) => identity ?? []))]
  return {
    name,
    namespace,
    port: port.port,
    addresses: headless ? [] : (service.spec?.clusterIPs ?? []),
    headless,
    sni: tls.settings?.sni ?? (sends.includes('mtls') ? sniOf(namespace, name, port.port) : undefined),
    insecureSkipVerify: tls.settings?.insecureSkipVerify === true,
    endpoints: backends.map((backend, index) => ({
      address: backend.address,
      port: backend.port,
      send: sends[index] ?? 'none',
      peers: sends[index] === 'mtls' ? peers : [],
    })),
  }
}

/** On unless the mesh says otherwise; what cannot be read says nothing. */
function isAutoMtls(map: ConfigMap | undefined): boolean {
  try {
    const mesh = parse(map?.data?.['mesh'] ?? '') as {enableAutoMtls?: unknown} | null
    return mesh?.enableAutoMtls !== false
  } catch {
    return true
  }
}

function sniOf(namespace: string, name: string, port: number): string {
  return `outbound_.${port}_._.${fullName({namespace, name})}`
}

function backendsOf(service: Service, port: ServicePort, view: MeshView): Backend[] {
  const {namespace, name} = service.metadata
  const ofService = view.slices.filter(
    ({metadata}) =>
      metadata.namespace === namespace && metadata.labels?.['kubernetes.io/service-name'] === name,
  )
  return ofService.flatMap((slice) => {
    const target = slice.ports?.find((entry) => (entry.name ?? '') === (port.name ?? ''))?.port
    if (target === undefined) return []
    return (slice.endpoints ?? [])
      .filter(({conditions}) => conditions?.ready !== false)
      .flatMap(({addresses, targetRef}) => {
        const pod = view.pods.get(`${targetRef?.namespace ?? namespace}/${targetRef?.name}`)
        return addresses.map((address) => ({
          address,
          port: target,
          tlsMode: pod?.metadata.labels?.['security.istio.io/tlsMode'],
          identity: pod === undefined ? undefined : identityOf(pod),
          modes: pod === undefined ? ANY : modesOf(pod, view),
        }))
      })
  })
}

const ANY: ReceiveModes = {mode: 'PERMISSIVE', ports: {}}
