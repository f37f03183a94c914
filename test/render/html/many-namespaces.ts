// SPDX-License-Identifier: Apache-2.0
/** A cluster of many namespaces, drawn with a seed and judged by the real rules. */
import {
  type CheckedPod,
  type CheckedPort,
  type CheckItem,
  checkPairs,
} from '../../../src/lib/model/interop-check.ts'
import {
  DEFAULT_MESH,
  type DestinationRule,
  type PeerAuthentication,
} from '../../../src/lib/model/istio-policy.ts'
import type {PodCapture} from '../../../src/lib/model/pair-verdict.ts'
import type {Report} from '../../../src/lib/model/report.ts'
import type {PagePlace} from '../../../src/lib/render/html/page-data.ts'

const NAMES =
  'accounts ads analytics auth billing cache cart catalog chat checkout cms coupons crm delivery discovery docs events exports feeds fraud gateway geo images imports inventory invoices jobs ledger loyalty mail maps media metrics notify orders payments pricing profiles ratings reports returns reviews risk search sessions shipping stock support tax wishlist'.split(
    ' ',
  )
const SERVICES = ['api', 'web', 'worker', 'store', 'admin', 'sync', 'grpc', 'events']
const PORTS = [80, 8080, 9090]

const PLAIN: PodCapture = {kmesh: false, sidecar: false, bypassed: false, ambient: false}
const KMESH: PodCapture = {...PLAIN, kmesh: true}
const SIDECAR: PodCapture = {...PLAIN, sidecar: true}
const BYPASSED: PodCapture = {...SIDECAR, kmesh: true, bypassed: true}
const LOST: PodCapture = {...PLAIN, kmesh: null}

/** mulberry32: numbers from 0 to below 1. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Drawn {
  readonly pods: CheckedPod[]
  readonly ports: CheckedPort[]
  readonly peerAuthentications: PeerAuthentication[]
  readonly destinationRules: DestinationRule[]
}

/** Most namespaces are Kmesh's or plain, every sixth has sidecars, some of those half moved. */
function capturesOf(index: number, random: () => number): () => PodCapture {
  if (index % 6 !== 2)
    return () => (index % 17 === 5 && random() < 0.2 ? LOST : index % 3 === 0 ? PLAIN : KMESH)
  return () => (index % 12 === 8 && random() < 0.5 ? BYPASSED : SIDECAR)
}

function drawNamespace(drawn: Drawn, index: number, random: () => number): void {
  const namespace = NAMES[index % NAMES.length] ?? ''
  const capture = capturesOf(index, random)
  const services = 4 + Math.floor(random() * 4)
  for (const service of SERVICES.slice(0, services)) {
    const replicas = 1 + Math.floor(random() * 4)
    const pods = Array.from({length: replicas}, (_, number): CheckedPod => {
      const has = capture()
      const labels = {app: service, ...(has.sidecar ? {'security.istio.io/tlsMode': 'istio'} : {})}
      const name = `${service}-${index}-${number}`
      return {namespace, name, workload: `deployment/${service}`, labels, capture: has, asksBypass: false}
    })
    drawn.pods.push(...pods)
    const port = PORTS[Math.floor(random() * PORTS.length)] ?? 80
    drawn.ports.push({
      namespace,
      name: service,
      port,
      service: {
        namespace,
        host: `${service}.${namespace}.svc.cluster.local`,
        port,
        isHeadless: service === 'store' && random() < 0.3,
        isExternal: false,
      },
      endpoints: pods.map((pod, number) => ({pod, address: `10.1.${index}.${number}`, targetPort: port})),
      others: [],
    })
  }
  if (index % 18 === 14) drawn.peerAuthentications.push(strict(namespace))
  if (index % 25 === 2) drawn.destinationRules.push(forced(namespace))
}

function strict(namespace: string): PeerAuthentication {
  return {metadata: {namespace, name: 'default'}, spec: {mtls: {mode: 'STRICT'}}}
}

function forced(namespace: string): DestinationRule {
  return {
    metadata: {namespace, name: 'api-tls'},
    spec: {host: `api.${namespace}.svc.cluster.local`, trafficPolicy: {tls: {mode: 'ISTIO_MUTUAL'}}},
  }
}

/** @param more - changes what was drawn before it is judged */
export function manyNamespaces(
  seed: number,
  count: number,
  more: (drawn: Drawn) => void = () => undefined,
): Report<CheckItem> {
  const random = seeded(seed)
  const drawn: Drawn = {pods: [], ports: [], peerAuthentications: [], destinationRules: []}
  for (let index = 0; index < count; index += 1) drawNamespace(drawn, index, random)
  more(drawn)
  const {pods, ports, peerAuthentications, destinationRules} = drawn
  const policies = {mesh: DEFAULT_MESH, peerAuthentications, destinationRules}
  const {items, verdicts} = checkPairs(pods, ports, policies, () => true)
  return {
    kind: 'InteropCheck',
    summary: {
      requested: items.length,
      ok: items.length,
      failed: 0,
      skipped: 1,
      verdicts,
      listed: items.length,
    },
    items,
    errors: [],
    warnings: [{code: 'NoEndpoints', message: 'no ready endpoint, not judged: docs/preview:80'}],
  }
}

export const place: PagePlace = {
  context: 'prod-eu',
  cluster: 'prod-eu-1',
  server: 'https://10.0.0.1:6443',
  asked: 'from every pod to every service',
}

export const HOSTILE_NAMES = [
  '</script><img src=x onerror=alert(1)>',
  '<!--<script>window.pwned=1//',
  '"\'`$(window.pwned=1)',
  'a\u001b[2J\u001b]0;title\u0007b',
  '\u202eevil\u2066\u200b',
  '__proto__',
]

/** Names no API server lets through, in every place that the page shows. */
export function hostileNames({pods, ports, peerAuthentications}: Drawn): void {
  for (const [index, name] of HOSTILE_NAMES.entries()) {
    const pod: CheckedPod = {
      namespace: name,
      name,
      workload: `pod/${name}`,
      labels: {},
      capture: PLAIN,
      asksBypass: false,
    }
    const server: CheckedPod = {
      ...pod,
      labels: {'security.istio.io/tlsMode': 'istio'},
      capture: index % 2 === 0 ? SIDECAR : PLAIN,
    }
    pods.push(pod)
    ports.push({
      namespace: name,
      name,
      port: 80,
      service: {namespace: name, host: name, port: 80, isHeadless: false, isExternal: false},
      endpoints: [{pod: server, address: '10.0.0.1', targetPort: 80}],
      others: [],
    })
    peerAuthentications.push({metadata: {namespace: name, name}, spec: {mtls: {mode: 'STRICT'}}})
  }
}
