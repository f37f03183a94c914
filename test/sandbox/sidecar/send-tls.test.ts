// SPDX-License-Identifier: Apache-2.0
// Goal: what a client's sidecar sends to endpoints A (sidecar), B (none) and C (label `disabled`), row by row as Istio
// does, through the configuration that the control plane makes. Method: objects by hand; one letter an endpoint.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {EndpointSlice, Pod, Service} from '../../../src/lib/model/kube.ts'
import {configPart} from '../../../src/lib/sandbox/sidecar/make-config.ts'
import type {
  DestinationPolicy,
  PeerPolicy,
  TrafficPolicy,
} from '../../../src/lib/sandbox/sidecar/policy-objects.ts'

const CLIENT: Pod = {metadata: {name: 'client', namespace: 'front', labels: {app: 'client'}}}
const MODES: Readonly<Record<string, string | undefined>> = {A: 'istio', B: undefined, C: 'disabled'}
const LETTER = {none: '-', mtls: 'M', simple: 'S', mutual: 'T'} as const

function server(letter: string): Pod {
  const mode = MODES[letter]
  return {
    metadata: {
      name: letter,
      namespace: 'back',
      labels: {app: 'server', ...(mode === undefined ? {} : {'security.istio.io/tlsMode': mode})},
    },
    spec: {containers: [], serviceAccountName: 'server'},
  }
}

interface Case {
  readonly peers?: readonly PeerPolicy[]
  readonly rules?: readonly DestinationPolicy[]
  readonly endpoints?: string
  readonly headless?: boolean
  /** Text of the mesh configuration. */
  readonly mesh?: string
}

function sent({peers = [], rules = [], endpoints = 'ABC', headless = false, mesh}: Case): string {
  const letters = [...endpoints]
  const service: Service = {
    metadata: {name: 'server', namespace: 'back'},
    spec: {
      clusterIP: headless ? 'None' : '10.0.0.1',
      clusterIPs: [headless ? 'None' : '10.0.0.1'],
      ports: [{name: 'http', port: 80, targetPort: 8080}],
    },
  }
  const slice: EndpointSlice = {
    metadata: {name: 'server-1', namespace: 'back', labels: {'kubernetes.io/service-name': 'server'}},
    addressType: 'IPv4',
    ports: [{name: 'http', port: 8080}],
    endpoints: letters.map((letter, index) => ({
      addresses: [`10.1.0.${index}`],
      targetRef: {kind: 'Pod', name: letter, namespace: 'back'},
    })),
  }
  const pods = new Map(letters.map((letter) => [`back/${letter}`, server(letter)]))
  const part = configPart(CLIENT, {
    services: [service],
    slices: [slice],
    pods,
    peerPolicies: peers,
    destinationPolicies: rules,
    meshConfig: mesh === undefined ? undefined : {metadata: {name: 'istio'}, data: {mesh}},
  })
  return (part.services[0]?.endpoints ?? []).map(({send}) => LETTER[send]).join('')
}

function peer(namespace: string, mode: string, selects = false, port?: number): PeerPolicy {
  const spec = {mtls: {mode}, ...(selects ? {selector: {matchLabels: {app: 'server'}}} : {})}
  const ports = port === undefined ? spec : {...spec, mtls: {mode: 'STRICT'}, portLevelMtls: {[port]: {mode}}}
  return {metadata: {name: selects ? 'workload' : 'all', namespace}, spec: ports}
}

const FULL = 'server.back.svc.cluster.local'

interface RuleExtra {
  readonly namespace?: string
  readonly host?: string
  readonly name?: string
  readonly second?: number
  readonly exportTo?: readonly string[]
  readonly selector?: Readonly<Record<string, string>>
}

function rule(trafficPolicy: TrafficPolicy | undefined, extra: RuleExtra = {}): DestinationPolicy {
  const {namespace = 'front', host = FULL, name = 'a', second = 0, exportTo, selector} = extra
  return {
    metadata: {name, namespace, creationTimestamp: `2026-01-01T00:00:0${second}Z`},
    spec: {
      host,
      ...(trafficPolicy === undefined ? {} : {trafficPolicy}),
      ...(exportTo === undefined ? {} : {exportTo}),
      ...(selector === undefined ? {} : {workloadSelector: {matchLabels: selector}}),
    },
  }
}

const tls = (mode: string): TrafficPolicy => ({tls: {mode}})
const atPort = (number: number, mode: string | undefined, top?: string): TrafficPolicy => ({
  ...(top === undefined ? {} : tls(top)),
  portLevelSettings: [{port: {number}, ...(mode === undefined ? {} : {tls: {mode}})}],
})
const SIMPLE = tls('SIMPLE')
const OFF = tls('DISABLE')

const ROWS: readonly (readonly [string, Case, string])[] = [
  ['nothing written', {}, 'M--'],
  ['server STRICT', {peers: [peer('back', 'STRICT')]}, 'M--'],
  ['server PERMISSIVE', {peers: [peer('back', 'PERMISSIVE')]}, 'M--'],
  ["server's namespace DISABLE", {peers: [peer('back', 'DISABLE')]}, '---'],
  ['mesh DISABLE', {peers: [peer('istio-system', 'DISABLE')]}, '---'],
  [
    'namespace DISABLE, workload STRICT',
    {peers: [peer('back', 'DISABLE'), peer('back', 'STRICT', true)]},
    '---',
  ],
  ['workload DISABLE', {peers: [peer('back', 'DISABLE', true)]}, '---'],
  ['target port DISABLE', {peers: [peer('back', 'DISABLE', true, 8080)]}, '---'],
  ['service port DISABLE has no effect', {peers: [peer('back', 'DISABLE', true, 80)]}, 'M--'],
  ["a policy in the client's namespace", {peers: [peer('front', 'DISABLE')]}, 'M--'],
  ['automatic mTLS off', {mesh: 'enableAutoMtls: false'}, '---'],
  [
    'automatic mTLS off, rule ISTIO_MUTUAL',
    {mesh: 'enableAutoMtls: false', rules: [rule(tls('ISTIO_MUTUAL'))]},
    'MMM',
  ],
  ['another mesh configuration', {mesh: 'rootNamespace: istio-system'}, 'M--'],
  ['rule DISABLE', {rules: [rule(OFF)]}, '---'],
  ['rule SIMPLE', {rules: [rule(SIMPLE)]}, 'SSS'],
  ['rule MUTUAL', {rules: [rule(tls('MUTUAL'))]}, 'TTT'],
  ['rule ISTIO_MUTUAL', {rules: [rule(tls('ISTIO_MUTUAL'))]}, 'MMM'],
  [
    'rule ISTIO_MUTUAL over server DISABLE',
    {rules: [rule(tls('ISTIO_MUTUAL'))], peers: [peer('back', 'DISABLE')]},
    'MMM',
  ],
  ['rule without tls', {rules: [rule({})]}, 'M--'],
  ['its service port', {rules: [rule(atPort(80, 'SIMPLE', 'DISABLE'))]}, 'SSS'],
  ['its target port has no effect', {rules: [rule(atPort(8080, 'SIMPLE', 'DISABLE'))]}, '---'],
  ['top SIMPLE, port without tls', {rules: [rule(atPort(80, undefined, 'SIMPLE'))]}, '---'],
  ['top DISABLE, port without tls', {rules: [rule(atPort(80, undefined, 'DISABLE'))]}, '---'],
  ['top MUTUAL, port without tls', {rules: [rule(atPort(80, undefined, 'MUTUAL'))]}, '---'],
  [
    'headless, top DISABLE, port without tls',
    {headless: true, endpoints: 'AA', rules: [rule(atPort(80, undefined, 'DISABLE'))]},
    'MM',
  ],
  [
    'top ISTIO_MUTUAL, port without tls, workload DISABLE',
    {rules: [rule(atPort(80, undefined, 'ISTIO_MUTUAL'))], peers: [peer('back', 'DISABLE', true)]},
    'M--',
  ],
  [
    "the client's namespace before the service's",
    {rules: [rule(SIMPLE), rule(OFF, {namespace: 'back'})]},
    'SSS',
  ],
  [
    "the service's before the root",
    {rules: [rule(SIMPLE, {namespace: 'istio-system'}), rule(OFF, {namespace: 'back'})]},
    '---',
  ],
  ['the root alone', {rules: [rule(SIMPLE, {namespace: 'istio-system'})]}, 'SSS'],
  ['no merge across namespaces', {rules: [rule({}), rule(SIMPLE, {namespace: 'back'})]}, 'M--'],
  [
    "a wildcard of the client's beats an exact one of the service's",
    {rules: [rule(SIMPLE, {host: '*.back.svc.cluster.local'}), rule(OFF, {namespace: 'back'})]},
    'SSS',
  ],
  ['not exported', {rules: [rule(OFF, {namespace: 'back', exportTo: ['.']})]}, 'M--'],
  ['exported to the client', {rules: [rule(OFF, {namespace: 'back', exportTo: ['front']})]}, '---'],
  ['exported to others only, in its own namespace', {rules: [rule(OFF, {exportTo: ['back']})]}, 'M--'],
  [
    'a selector makes exportTo void',
    {rules: [rule(OFF, {exportTo: ['back'], selector: {app: 'client'}})]},
    '---',
  ],
  [
    'the closest host decides, also when it is exported to others',
    {
      rules: [
        rule(OFF, {namespace: 'back', host: '*.back.svc.cluster.local'}),
        rule(OFF, {namespace: 'back', name: 'b', exportTo: ['other']}),
      ],
    },
    'M--',
  ],
  [
    'the closest host that nobody else sees hides nothing',
    {
      rules: [
        rule(OFF, {namespace: 'back', host: '*.back.svc.cluster.local'}),
        rule({}, {namespace: 'back', name: 'b', exportTo: ['.']}),
      ],
    },
    '---',
  ],
  ['exact over wildcard', {rules: [rule(OFF, {host: '*'}), rule(SIMPLE, {name: 'b'})]}, 'SSS'],
  [
    'longer wildcard over shorter',
    {rules: [rule(OFF, {host: '*.local'}), rule(SIMPLE, {name: 'b', host: '*.cluster.local'})]},
    'SSS',
  ],
  ['two for a host: the oldest', {rules: [rule(OFF, {second: 1}), rule(SIMPLE, {name: 'z'})]}, 'SSS'],
  [
    'two for a host: the oldest that says something',
    {rules: [rule(OFF, {second: 1}), rule(undefined, {name: 'z'})]},
    '---',
  ],
  ["a short name is one of the rule's namespace", {rules: [rule(OFF, {host: 'server'})]}, 'M--'],
  ['a short name there', {rules: [rule(OFF, {namespace: 'back', host: 'server'})]}, '---'],
  ['name.namespace matches nothing', {rules: [rule(OFF, {host: 'server.back'})]}, 'M--'],
  ['a selector that selects', {rules: [rule(OFF, {selector: {app: 'client'}})]}, '---'],
  [
    'a selector that does not, and still hides',
    {rules: [rule(OFF, {selector: {app: 'x'}}), rule(SIMPLE, {namespace: 'back'})]},
    'M--',
  ],
  ['a selector elsewhere', {rules: [rule(OFF, {namespace: 'back', selector: {app: 'client'}})]}, 'M--'],
  [
    'a selector elsewhere hides nothing of the root',
    {
      rules: [
        rule(OFF, {namespace: 'istio-system'}),
        rule(SIMPLE, {namespace: 'back', selector: {app: 'client'}}),
      ],
    },
    '---',
  ],
  ['headless, all with sidecars', {headless: true, endpoints: 'AA'}, 'MM'],
  ['headless, one disabled', {headless: true, endpoints: 'AC'}, '--'],
  ['headless, none', {headless: true, endpoints: 'BB'}, '--'],
  [
    'headless, workload DISABLE is not honoured',
    {headless: true, endpoints: 'AA', peers: [peer('back', 'DISABLE', true)]},
    'MM',
  ],
  ['headless, namespace DISABLE', {headless: true, endpoints: 'AA', peers: [peer('back', 'DISABLE')]}, '--'],
]

for (const [what, given, expected] of ROWS) {
  test(what, () => assert.equal(sent(given), expected))
}
