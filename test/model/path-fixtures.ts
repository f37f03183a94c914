// SPDX-License-Identifier: Apache-2.0
/** A captured client and a service of two pods, as the kernel and as Kubernetes have them when all is well. */
import type {CheckedPod} from '../../src/lib/model/interop-check.ts'
import {DEFAULT_MESH} from '../../src/lib/model/istio-policy.ts'
import type {EndpointSlice, Pod, Service} from '../../src/lib/model/kube.ts'
import type {BackendValue, ServiceValue} from '../../src/lib/model/maps.ts'
import type {PodCapture} from '../../src/lib/model/pair-verdict.ts'
import {type ManagedFacts, type PathInput, type PathItem, pathOf} from '../../src/lib/model/path.ts'
import type {KernelTables} from '../../src/lib/model/path-connect.ts'
import {byAddress, pathPod, pathService} from '../../src/lib/model/path-kube.ts'

export const VIP = '10.96.0.10'
export const CART = 7
export const [POD_1, POD_2] = ['10.0.0.1', '10.0.0.2'] as const
export const NAMES = {
  7: 'shop/cart.shop.svc.cluster.local',
  8: 'shop/other.shop.svc.cluster.local',
  11: 'Kubernetes//Pod/shop/cart-1',
  12: 'Kubernetes//Pod/shop/cart-2',
}

const PLAIN: PodCapture = {kmesh: false, sidecar: false, bypassed: false, ambient: false}
export const KMESH: PodCapture = {...PLAIN, kmesh: true}
export const ENVOY: PodCapture = {...PLAIN, sidecar: true}

export function checked(name: string, capture = PLAIN): CheckedPod {
  return {namespace: 'shop', name, workload: `pod/${name}`, labels: {app: 'cart'}, capture, asksBypass: false}
}

export function service(value: Partial<ServiceValue> = {}): ServiceValue {
  return {
    endpointCount: [2, 0, 0, 0, 0, 0, 0],
    lbPolicy: 'random',
    ports: [{servicePort: 80, targetPort: 8080}],
    waypointAddress: null,
    waypointPort: 0,
    ...value,
  }
}

export function backend(address: string | null, more: Partial<BackendValue> = {}): BackendValue {
  return {address, services: [CART], waypointAddress: null, waypointPort: 0, ...more}
}

export const ENDPOINTS = new Map([
  [
    0,
    new Map([
      [1, 11],
      [2, 12],
    ]),
  ],
])

export function tables(more: Partial<KernelTables> = {}): KernelTables {
  const backends = new Map([
    [11, backend(POD_1)],
    [12, backend(POD_2)],
  ])
  return {upstreamId: CART, service: service(), endpoints: ENDPOINTS, backends, ...more}
}

export const cart: Service = {
  metadata: {namespace: 'shop', name: 'cart'},
  spec: {clusterIP: VIP, clusterIPs: [VIP], ports: [{port: 80, targetPort: 8080}]},
}

function podOf(name: string, ip: string): Pod {
  const ports = [{containerPort: 8080}]
  return {
    metadata: {namespace: 'shop', name},
    spec: {containers: [{name: 'c', image: 'i', ports}]},
    status: {phase: 'Running', podIPs: [{ip}]},
  } as Pod
}

export const PODS = [podOf('cart-1', POD_1), podOf('cart-2', POD_2)]

export function slice(
  ready: readonly string[],
  notReady: readonly string[] = [],
  port = 8080,
): EndpointSlice {
  return {
    metadata: {namespace: 'shop', name: 'cart-1', labels: {'kubernetes.io/service-name': 'cart'}},
    addressType: 'IPv4',
    ports: [{port}],
    endpoints: [
      ...ready.map((address) => ({addresses: [address], conditions: {ready: true}})),
      ...notReady.map((address) => ({addresses: [address], conditions: {ready: false}})),
    ],
  }
}

export const CAPTURED: ManagedFacts = {
  captured: true,
  kernel: 'cookie 5 in km_manage',
  intent: true,
  rule: 'NamespaceLabel',
  note: null,
}

export interface Case extends Partial<Omit<PathInput, 'kube' | 'tables'>> {
  readonly tables?: KernelTables | undefined
  /** Absent: both pods are ready. */
  readonly slices?: readonly EndpointSlice[]
  /** Null: nobody's address. */
  readonly called?: 'service' | 'pod' | null
  readonly service?: Service
  /** Of the servers. */
  readonly servers?: PodCapture
}

/** @param more - what differs from a path that is in order */
export function pathWith(more: Case = {}): PathItem {
  const {
    called = 'service',
    slices = [slice([POD_1, POD_2])],
    servers,
    service: object = cart,
    ...rest
  } = more
  const address = called === 'pod' ? POD_1 : called === null ? '10.0.0.99' : VIP
  const destination = more.destination ?? {address, port: called === 'pod' ? 8080 : 80}
  const pods = PODS.map((pod) => pathPod(pod, checked(pod.metadata.name ?? '', servers)))
  const podsByAddress = byAddress(pods)
  return pathOf({
    client: checked('web-1', KMESH),
    node: 'n1',
    managed: CAPTURED,
    destination,
    unreadable: null,
    names: NAMES,
    policies: {mesh: DEFAULT_MESH, peerAuthentications: [], destinationRules: []},
    kube: {
      service: called === 'service' ? pathService(object, slices, destination, 'cluster.local') : null,
      headless: null,
      pod: called === 'pod' ? (podsByAddress.get(destination.address) ?? null) : null,
      podsByAddress,
    },
    ...rest,
    tables: 'tables' in more ? more.tables : tables(),
  })
}
