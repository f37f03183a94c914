// SPDX-License-Identifier: Apache-2.0
/** Dump contents, composed by us; list order and protojson blanks vary by seed, as those of real daemons do. */
import {SeededRandom} from '../../model/random.ts'
import type {GoMode, Traits} from './dialects.ts'

const CART = 'shop/cart.shop.svc.cluster.local'
const POD = 'Kubernetes//Pod/shop/cart-1'
/** Of the daemon itself: with the DNS proxy on, backend 0 (contracts 2.3, defect b). */
export const DAEMON_ADDRESS = '10.244.0.5'
const ZEROS = Array(16).fill(0)
const HEAD_ONLY = [32, 1, 13, 184, 1, ...Array(11).fill(0)]

export function configDump(traits: Traits, mode: GoMode, seed: number): string {
  const random = new SeededRandom(seed)
  if (mode === 'kernel-native') return protojson(kernelNative(traits), random)
  const workloads = shuffled(random, traits.age < 4, [
    workload(traits, 'cart-1', ['10.244.1.17', 'fd00:10:244:1::11']),
    workload(traits, 'cart-2', ['2001:db8:100::']),
  ])
  const services = shuffled(random, traits.age < 4, [
    {
      name: 'cart',
      namespace: 'shop',
      hostname: 'cart.shop.svc.cluster.local',
      vips: ['/10.96.14.3', '/fd00:10:96::e03'],
      ports: [{service_port: 80, target_port: 8080}, {service_port: 9090}],
      loadBalancer: {mode: 'FAILOVER', routingPreferences: []},
      waypoint: {destination: '/10.96.77.5'},
    },
    {
      name: 'none',
      namespace: 'shop',
      hostname: 'none',
      vips: [],
      ports: null,
      loadBalancer: null,
      waypoint: {destination: ''},
    },
  ])
  const policy = {name: 'allow', namespace: 'shop', scope: 'NAMESPACE', action: 'ALLOW', rules: null}
  const policies = traits.age < 3 ? null : [policy]
  const body =
    traits.age < 3
      ? {Workloads: workloads, Services: services, Policies: policies}
      : {workloads, services, policies}
  return goJson(body)
}

function workload(traits: Traits, name: string, addresses: readonly string[]): object {
  return {
    uid: `Kubernetes//Pod/shop/${name}`,
    addresses,
    ...(traits.age === 0 ? {waypoint: {destination: ''}} : {}),
    protocol: 'NONE',
    name,
    namespace: 'shop',
    serviceAccount: 'cart',
    workloadName: 'cart',
    workloadType: 'DEPLOYMENT',
    canonicalName: 'cart',
    canonicalRevision: 'v1',
    clusterId: 'Kubernetes',
    locality: {},
    node: 'worker-1',
    status: 'HEALTHY',
    applicationTunnel: {protocol: ''},
    ...(traits.age === 0 ? {} : {services: [CART]}),
  }
}

export function bpfDump(traits: Traits, mode: GoMode, seed: number): string {
  const random = new SeededRandom(seed)
  if (mode === 'kernel-native') return protojson(kernelNative(traits), random)
  return goJson(traits.age < 3 ? rawDump(traits, random) : prettyDump(traits, random))
}

function rawDump(traits: Traits, random: SeededRandom): object {
  const backend = (Ip: readonly number[], count: number) => ({
    Ip,
    ServiceCount: count,
    Services: [count > 0 ? 391707715 : 0, ...Array(9).fill(0)],
    WaypointAddr: ZEROS,
    WaypointPort: 0,
  })
  return {
    WorkloadPolicies: traits.age === 1 ? null : [{PolicyIds: [77, 0, 0, 0]}],
    Backends: shuffled(random, true, [
      backend([10, 244, 1, 17, ...Array(12).fill(0)], 1),
      backend(HEAD_ONLY, 0),
    ]),
    Endpoints: [{BackendUid: 882874296}],
    Frontends: [{UpstreamId: 391707715}],
    Services: [
      {
        EndpointCount: traits.age === 1 ? 2 : [2, 0, 0, 0, 0, 0, 0],
        LbPolicy: 2,
        ServicePort: [20480, ...Array(9).fill(0)],
        TargetPort: [36895, ...Array(9).fill(0)],
        WaypointAddr: [10, 96, 77, 5, ...Array(12).fill(0)],
        WaypointPort: 43834,
      },
    ],
  }
}

/** With the defects of contracts 2.3: a cut address, an id that nobody can name, ports that do not pair. */
function prettyDump(traits: Traits, random: SeededRandom): object {
  return {
    workloadPolicies: [{policyIds: ['shop/allow', '', '', '']}],
    backends: shuffled(random, true, [
      {ip: '10.244.1.17', serviceCount: 2, services: [CART]},
      {ip: '32.1.13.184', serviceCount: 0, services: []},
      ...(traits.age < 4 ? [] : [{ip: DAEMON_ADDRESS, serviceCount: 0, services: []}]),
    ]),
    endpoints: shuffled(random, true, [{backendUid: POD}, {}]),
    frontends: shuffled(random, true, [{upstreamId: CART}, {upstreamId: POD}]),
    services: [
      {
        endpointCount: '2, 0, 0, 0, 0, 0, 0',
        lbPolicy: 'FAILOVER',
        servicePort: '80, 9090',
        targetPort: '8080',
        waypointAddr: '10.96.77.5',
        waypointPort: 15019,
      },
    ],
  }
}

function kernelNative(traits: Traits): object {
  const name = 'outbound|80||cart.shop.svc.cluster.local'
  const tcpProxy = {statPrefix: name, cluster: name}
  return {
    dynamicResources: {
      listenerConfigs: [
        {
          apiStatus: 'UPDATE',
          name: '10.96.14.3_80',
          address: {port: 20480, ipv4: 51273738},
          filterChains: [{name: 'default', filters: [{name: 'envoy.filters.network.tcp_proxy', tcpProxy}]}],
        },
      ],
      clusterConfigs: [
        {
          apiStatus: 'UPDATE',
          name,
          ...(traits.age >= 2 ? {id: 3735928559} : {}),
          connectTimeout: 10,
          lbPolicy: 'LEAST_REQUEST',
          loadAssignment: {
            clusterName: name,
            endpoints: [{lbEndpoints: [{address: {port: 36895, ipv4: 285340682}}], loadBalancingWeight: 1}],
          },
        },
      ],
    },
  }
}

function shuffled<T>(random: SeededRandom, mixes: boolean, items: readonly T[]): readonly T[] {
  return mixes && random.below(2) === 1 ? [...items].reverse() : items
}

/** Go's MarshalIndent: four blanks, `<`, `>` and `&` escaped, no line break at the end. */
export function goJson(value: unknown, indent = 4): string {
  const escaped = (char: string): string => `\\u00${char.charCodeAt(0).toString(16)}`
  return JSON.stringify(value, null, indent).replace(/[<>&]/g, escaped)
}

/** One or two blanks after each colon, by build. */
function protojson(value: object, random: SeededRandom): string {
  const blank = random.below(2) === 0 ? ' ' : '  '
  return `${JSON.stringify(value, null, 2).replace(/^( *"[^"]*":) /gm, `$1${blank}`)}\n`
}
