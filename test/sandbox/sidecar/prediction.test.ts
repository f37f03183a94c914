// SPDX-License-Identifier: Apache-2.0
// Goal: the rules of the stand-in sidecars and those of `interop check`, written apart, come to the same end.
// Method: the random policies and pairs that test/e2e/policies.test.ts puts into a sandbox, many more of them, from
// fixed seeds and without one: what the client's file says it sends, and what the server's file says it takes.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DEFAULT_MESH} from '../../../src/lib/model/istio-policy.ts'
import type {EndpointSlice, KubeObject, Pod, Service} from '../../../src/lib/model/kube.ts'
import {type PodCapture, pairVerdict} from '../../../src/lib/model/pair-verdict.ts'
import {configPart, type MeshView} from '../../../src/lib/sandbox/sidecar/make-config.ts'
import {
  CLIENTS,
  CONTAINER_PORT,
  expectedUnknown,
  INJECTED,
  kindOf,
  LABELS,
  type Pair,
  type Policy,
  SERVERS,
  type Target,
  targetsOf,
  textOf,
} from '../../e2e/policies-pairs.ts'
import {Generator} from '../../e2e/policies-random.ts'
import {SeededRandom} from '../../model/random.ts'

const SEEDS = 20
const ROUNDS = 10
const PAIRS = 40

const pods = new Map(
  [...CLIENTS, ...SERVERS].map(({namespace, name}): [string, Pod] => {
    const labels = {
      app: name,
      ...(name.startsWith('to-') ? {kind: 'server'} : {}),
      ...LABELS[kindOf(name)],
      ...(INJECTED.includes(kindOf(name)) ? {'security.istio.io/tlsMode': 'istio'} : {}),
    }
    return [`${namespace}/${name}`, {metadata: {namespace, name, labels}}]
  }),
)
const targets = SERVERS.flatMap(targetsOf)
const services = Map.groupBy(targets, ({server, service}) => `${server.namespace}/${service}`)

function serviceOf([first, ...more]: readonly Target[]): Service {
  assert.ok(first)
  return {
    metadata: {namespace: first.server.namespace, name: first.service},
    spec: {
      clusterIP: first.headless ? 'None' : '192.0.2.1',
      ports: [first, ...more].map(({port}) => ({name: `on-${port}`, port})),
    },
  }
}

function sliceOf([first, ...more]: readonly Target[]): EndpointSlice {
  assert.ok(first)
  const {namespace, name} = first.server
  return {
    metadata: {namespace, name, labels: {'kubernetes.io/service-name': first.service}},
    addressType: 'IPv4',
    ports: [first, ...more].map(({port}) => ({name: `on-${port}`, port: CONTAINER_PORT})),
    endpoints: [{addresses: ['192.0.2.2'], targetRef: {kind: 'Pod', namespace, name}}],
  }
}

const world = {
  services: [...services.values()].map(serviceOf),
  slices: [...services.values()].map(sliceOf),
  pods,
}

function captureOf(place: string): PodCapture {
  const bypassed = place.includes('bypass')
  return {
    kmesh: place.startsWith('kmesh'),
    sidecar: place === 'sidecar' || bypassed,
    bypassed,
    ambient: false,
  }
}

function podOf({namespace, name}: {readonly namespace: string; readonly name: string}): Pod {
  const pod = pods.get(`${namespace}/${name}`)
  assert.ok(pod)
  return pod
}

type FileOf = (pod: {readonly namespace: string; readonly name: string}) => ReturnType<typeof configPart>

/** Each file is made once. */
function files(view: MeshView): FileOf {
  const made = new Map<string, ReturnType<typeof configPart>>()
  return (place) => {
    const key = `${place.namespace}/${place.name}`
    const file = made.get(key) ?? configPart(podOf(place), view)
    made.set(key, file)
    return file
  }
}

/** As the sidecars' files say; captured and short-circuited ones are not asked. */
function happens({client, target}: Pair, fileOf: FileOf): 'works' | 'fails' {
  const {server, service, port} = target
  const known = fileOf(client).services.find(
    (one) => one.namespace === server.namespace && one.name === service && one.port === port,
  )
  const send = client.row === 'sidecar' ? known?.endpoints[0]?.send : 'none'
  if (server.column !== 'sidecar') return send === 'none' ? 'works' : 'fails'
  const {mode, ports} = fileOf(server).receive
  const accepts = ports[CONTAINER_PORT] ?? mode
  if (send === 'none') return accepts === 'STRICT' ? 'fails' : 'works'
  return send === 'mtls' && accepts !== 'DISABLE' ? 'works' : 'fails'
}

function predicted({client, target}: Pair, view: MeshView, autoMtls: boolean) {
  const {server, service, port, headless} = target
  const {namespace} = server
  const labels = podOf(server).metadata.labels
  const endpoint = {namespace, labels, targetPort: CONTAINER_PORT, capture: captureOf(server.column)}
  return pairVerdict(
    {
      mesh: {...DEFAULT_MESH, autoMtls},
      peerAuthentications: view.peerPolicies,
      destinationRules: view.destinationPolicies,
    },
    {
      namespace: client.namespace,
      labels: podOf(client).metadata.labels,
      capture: captureOf(client.row),
    },
    {
      namespace,
      host: `${service}.${namespace}.svc.cluster.local`,
      port,
      isHeadless: headless,
      isExternal: false,
    },
    endpoint,
    [endpoint],
  )
}

/** One second older for each round that it has seen. */
class Ages {
  readonly #born = new Map<Policy, number>()

  objects(policies: readonly Policy[], round: number, kind: Policy['kind']): KubeObject[] {
    return policies
      .filter((policy) => policy.kind === kind)
      .map((policy) => {
        const born = this.#born.get(policy) ?? round
        this.#born.set(policy, born)
        const {namespace, name, spec} = policy
        const creationTimestamp = `2026-01-01T00:00:${String(born).padStart(2, '0')}Z`
        return {metadata: {namespace, name, creationTimestamp}, spec}
      })
  }
}

test(`${SEEDS * ROUNDS * PAIRS} random pairs`, () => {
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const generator = new Generator(new SeededRandom(seed), CLIENTS, SERVERS)
    const ages = new Ages()
    let policies: readonly Policy[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      policies = generator.policies(policies, round)
      const autoMtls = round % 4 !== 3
      const view: MeshView = {
        ...world,
        peerPolicies: ages.objects(policies, round, 'PeerAuthentication'),
        destinationPolicies: ages.objects(policies, round, 'DestinationRule'),
        meshConfig: {metadata: {name: 'istio'}, data: {mesh: `enableAutoMtls: ${autoMtls}`}},
      }
      const fileOf = files(view)
      for (const pair of generator.pairs(PAIRS, policies, PAIRS)) {
        const {result, reason, ...found} = predicted(pair, view, autoMtls)
        if (result === 'unknown' && expectedUnknown(pair, policies).includes(reason)) continue
        const what = `seed ${seed}, round ${round}: ${textOf(pair)}: ${reason} ${JSON.stringify(found)}`
        assert.equal(result, happens(pair, fileOf), what)
      }
    }
  }
})
