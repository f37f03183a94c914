// SPDX-License-Identifier: Apache-2.0
/** Objects of the changing cluster: as the test keeps them, and as the API gives them. */
import type {EndpointSlice, KubeObject, Pod} from '../../src/lib/model/kube.ts'
import type {Random} from './seed.ts'

export const NODE = 'n1'
export const CHOICES = {
  namespaces: ['shop', 'bank', 'farm'],
  nodes: [NODE, 'n2'],
  modes: [undefined, 'kmesh', 'Kmesh', 'none', 'ambient'],
  pods: Array.from({length: 12}, (_, index) => `p${index}`),
  services: ['web', 'api', 'db', 'old'],
} as const
const LABEL = 'istio.io/dataplane-mode'

export interface ModelPod {
  readonly key: string
  readonly uid: string
  readonly node: string
  readonly hostNetwork: boolean
  readonly sidecar: boolean
  mode: string | undefined
  phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed'
  ips: readonly string[]
  restarts: number
  ownsAddresses: boolean
  /** As the agent has patched it. */
  annotation: string | undefined
}

export interface ModelService {
  readonly key: string
  readonly type: string
  readonly ips: readonly string[]
  readonly families: readonly (4 | 6)[]
  ports: readonly {name: string; port: number; protocol: string; targetPort: number | string}[]
}

export interface ModelEndpoint {
  readonly pod: string
  readonly uid: string
  readonly address: string
  readonly isUsable: boolean
}

export interface ModelSlice {
  readonly key: string
  readonly service: string
  readonly family: 4 | 6
  endpoints: readonly ModelEndpoint[]
}

export function familyOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4
}

export function nodeObject(name: string): KubeObject {
  return {metadata: {name}, spec: {podCIDRs: ['10.0.0.0/16', 'fd00::/64']}} as KubeObject
}

export function podObject({
  key,
  uid,
  node,
  hostNetwork,
  sidecar,
  mode,
  phase,
  ips,
  restarts,
  annotation,
}: ModelPod): Pod {
  const [namespace = '', name = ''] = key.split('/')
  const annotations = {
    ...(sidecar ? {'sidecar.istio.io/status': '{}'} : {}),
    ...(annotation === undefined ? {} : {'kmesh.net/redirection': annotation}),
  }
  return {
    metadata: {namespace, name, uid, annotations, ...(mode === undefined ? {} : {labels: {[LABEL]: mode}})},
    spec: {nodeName: node, hostNetwork, containers: []},
    status: {
      phase,
      podIPs: ips.map((ip) => ({ip})),
      containerStatuses: [{name: 'c', ready: true, restartCount: restarts}],
    },
  }
}

export function serviceObject({key, type, ips, families, ports}: ModelService): KubeObject {
  const [namespace = '', name = ''] = key.split('/')
  const clusterIPs = type === 'Headless' ? ['None'] : ips
  const spec = {
    type: type === 'ExternalName' ? type : 'ClusterIP',
    clusterIPs,
    ipFamilies: families.map((family) => `IPv${family}`),
    ports,
  }
  return {metadata: {namespace, name}, spec} as KubeObject
}

export function sliceObject({key, service, family, endpoints}: ModelSlice): EndpointSlice {
  const [namespace = '', name = ''] = key.split('/')
  return {
    metadata: {namespace, name, labels: {'kubernetes.io/service-name': service.split('/')[1] ?? ''}},
    addressType: `IPv${family}`,
    ports: [0, 1, 2].map((index) => ({name: `port-${index}`, port: 8000 + index})),
    endpoints: endpoints.map(({pod, uid, address, isUsable}) => ({
      addresses: [address],
      conditions: {ready: isUsable},
      targetRef: {kind: 'Pod', namespace, name: pod.split('/')[1] ?? '', uid},
    })),
  }
}

export function namespaceObject(name: string, mode: string | undefined): KubeObject {
  return {metadata: {name, ...(mode === undefined ? {} : {labels: {[LABEL]: mode}})}}
}

export function randomPorts(random: Random): ModelService['ports'] {
  return Array.from({length: 1 + random.below(3)}, (_, index) => ({
    name: `port-${index}`,
    port: 80 + index,
    protocol: random.chance(0.9) ? 'TCP' : 'UDP',
    targetPort: random.chance(0.5) ? 9000 + index : `port-${index}`,
  }))
}

/** Of the pods that have an address of the family. */
export function randomEndpoints(pods: readonly ModelPod[], family: 4 | 6, random: Random): ModelEndpoint[] {
  return pods.flatMap(({key, uid, ips}) => {
    const address = ips.find((ip) => familyOf(ip) === family)
    return address === undefined ? [] : [{pod: key, uid, address, isUsable: random.chance(0.8)}]
  })
}

/** Addresses of pods and services; what is free again is often given first. */
export class Addresses {
  readonly #random: Random
  readonly #freed: Record<4 | 6, string[]> = {4: [], 6: []}
  #serial = 0

  constructor(random: Random) {
    this.#random = random
  }

  take(family: 4 | 6): string {
    const freed = this.#freed[family]
    const position = freed.length > 0 && this.#random.chance(0.7) ? this.#random.below(freed.length) : -1
    const [again] = position < 0 ? [] : freed.splice(position, 1)
    this.#serial += 1
    const fresh =
      family === 4 ? `10.0.${this.#serial >> 8}.${this.#serial & 255}` : `fd00::${this.#serial.toString(16)}`
    return again ?? fresh
  }

  free(address: string): void {
    this.#freed[familyOf(address)].push(address)
  }
}
