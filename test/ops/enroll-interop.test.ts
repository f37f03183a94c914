// SPDX-License-Identifier: Apache-2.0
// Goal: a plan says which pairs of client and server it changes, and counts as broken what works now and fails then.
// Method: small clusters behind a fake API server and daemon; verdicts by hand from the table of who receives.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DeniedError, KubeStatusError} from '../../src/lib/errors.ts'
import type {KubeObject, Namespace, Pod} from '../../src/lib/model/kube.ts'
import type {PlanAction} from '../../src/lib/model/plan.ts'
import {planNamespaces} from '../../src/lib/model/plan-build.ts'
import {interopChange} from '../../src/lib/ops/enroll-interop.ts'
import type {Kube, ResourcePath} from '../../src/lib/ports.ts'
import {enrollQuestion, interopLines} from '../../src/lib/render/enroll.ts'
import {entryOf, factsOf, namespaceOf, ours, podOf, SIDECAR} from '../model/plan-fixtures.ts'
import {FakeClock, fakeDialer, OUR_VERSION} from './enroll-fakes.ts'

const ISTIO = {'security.istio.io/tlsMode': 'istio'}
const pod = (name: string, namespace: string, sidecar: boolean): Pod =>
  podOf(name, {
    namespace,
    annotations: sidecar ? SIDECAR : {},
    metadata: {labels: {app: name, ...(sidecar ? ISTIO : {})}},
  })
const serviceOf = (name: string, namespace: string): readonly [KubeObject, KubeObject] => [
  {
    metadata: {name, namespace},
    spec: {clusterIP: '10.96.0.1', ports: [{port: 80, targetPort: 8080}]},
  } as KubeObject,
  {
    metadata: {name, namespace, labels: {'kubernetes.io/service-name': name}},
    addressType: 'IPv4',
    ports: [{port: 8080}],
    endpoints: [{addresses: ['10.0.0.1'], conditions: {ready: true}, targetRef: {kind: 'Pod', name}}],
  } as KubeObject,
]

interface Situation {
  readonly action?: PlanAction
  /** Of shop, whose label is changed; `front` holds the client `web`. */
  readonly cartSidecar: boolean
  readonly webSidecar: boolean
  readonly captured?: readonly string[]
  readonly strict?: boolean
  readonly policy?: 'bypass' | 'exclude'
  readonly denied?: readonly string[]
  /** The daemon, when the whole cluster is read. */
  readonly fails?: boolean
}

async function change(situation: Situation) {
  const {
    action = 'enroll',
    cartSidecar,
    webSidecar,
    captured = [],
    policy = 'bypass',
    denied = [],
    fails = false,
  } = situation
  const pods = [pod('web', 'front', webSidecar), pod('cart', 'shop', cartSidecar)]
  const [service, slice] = serviceOf('cart', 'shop')
  const [front, frontSlice] = serviceOf('web', 'front')
  const strict = {
    metadata: {namespace: 'front', name: 'strict'},
    spec: {mtls: {mode: 'STRICT'}},
  } as KubeObject
  const objects: Readonly<Record<string, readonly KubeObject[]>> = {
    pods,
    services: [service, front],
    namespaces: [],
    endpointslices: [slice, frontSlice],
    peerauthentications: situation.strict ? [strict] : [],
  }
  const list = async (path: ResourcePath) => {
    if (denied.includes(path.resource))
      throw new DeniedError(403, 'Forbidden', `${path.resource} is forbidden`)
    const items = objects[path.resource]
    if (items === undefined) throw new KubeStatusError(404, 'NotFound', 'no such resource')
    return {metadata: {}, items}
  }
  const get = async () => {
    throw new KubeStatusError(404, 'NotFound', 'not found')
  }
  const entries = pods.map(({metadata: {name = ''}}) => entryOf(`uid-${name}`, captured.includes(name)))
  const {dialer, targets} = fakeDialer({
    n1: {version: {...OUR_VERSION, sidecarPolicy: policy}, entries: () => entries, fails},
  })
  const namespace: Namespace = namespaceOf('shop', action === 'enroll' ? undefined : 'kmesh')
  const facts = factsOf(
    ours('n1', {}, {sidecarPolicy: policy, enrollment: new Map(entries.map((entry) => [entry.uid, entry]))}),
  )
  const options = {action, overwrite: false, allowSystem: false, meshNamespace: 'kmesh-system'}
  const plan = planNamespaces(
    [{namespace, pods: pods.filter((item) => item.metadata.namespace === 'shop')}],
    facts,
    options,
  )
  const kube = {server: 'https://fake', list, get} as unknown as Kube
  const {signal} = new AbortController()
  const found = await interopChange({kube, dialer, clock: new FakeClock(), signal}, plan, {
    findDaemons: async () => targets,
    concurrency: 2,
  })
  const pairs = found.interop?.changes.map(({client, server, from, to, breaks, reason}) => [
    `${client.namespace}->${server.namespace}`,
    `${from}->${to}`,
    breaks,
    reason,
  ])
  return {...found, plan, pairs}
}

test('the problem: a server with a sidecar is enrolled, its client keeps its own', async () => {
  const {pairs, interop, plan} = await change({cartSidecar: true, webSidecar: true})
  assert.deepEqual(pairs, [['front->shop', 'works->fails', true, 'NobodyDecrypts']])
  assert.equal(interop?.breaks, 1)
  assert.match(
    interopLines(interop)[0] ?? '',
    /^interop: front\/pod\/web -> shop\/cart:80: works -> fails \(NobodyDecrypts\); enroll/,
  )
  assert.match(enrollQuestion(plan, 1), /1 of 1 pod will change\. 1 pair of client and server will break/)
})

test('both plain: nothing changes', async () => {
  const {pairs, interop} = await change({cartSidecar: false, webSidecar: false})
  assert.deepEqual(pairs, [])
  // cart as client of two services, web as client of cart.
  assert.equal(interop?.judged, 3)
})

test('a plain client towards a STRICT server failed before: nothing that worked breaks', async () => {
  const {pairs} = await change({cartSidecar: false, webSidecar: true, strict: true})
  assert.deepEqual(pairs, [])
})

test('a client with a sidecar towards a STRICT server loses its certificate', async () => {
  const {pairs, interop} = await change({cartSidecar: true, webSidecar: true, strict: true})
  assert.deepEqual(pairs, [
    ['front->shop', 'works->fails', true, 'NobodyDecrypts'],
    ['shop->front', 'works->fails', true, 'StrictRefusesPlainText'],
  ])
  assert.equal(interop?.breaks, 2)
})

test('a daemon that leaves sidecars alone changes nothing', async () => {
  const {pairs, interop} = await change({cartSidecar: true, webSidecar: true, policy: 'exclude'})
  assert.deepEqual([pairs, interop?.judged], [[], 0])
})

test('unenroll heals what enrolling broke', async () => {
  const {pairs, interop} = await change({
    action: 'unenroll',
    cartSidecar: true,
    webSidecar: true,
    captured: ['cart'],
  })
  assert.deepEqual(pairs, [['front->shop', 'fails->works', false, 'MutualTls']])
  assert.equal(interop?.breaks, 0)
})

test('policies that may not be read: nothing is claimed, nothing fails', async () => {
  const {interop, warnings} = await change({
    cartSidecar: true,
    webSidecar: true,
    denied: ['peerauthentications'],
  })
  assert.equal(interop?.breaks, 0)
  assert.deepEqual(
    warnings.map(({code}) => code),
    ['PolicyUnreadable'],
  )
})

test('services that may not be read: not known', async () => {
  const {interop, warnings} = await change({cartSidecar: true, webSidecar: true, denied: ['services']})
  assert.deepEqual([interop, warnings.map(({code}) => code)], [null, ['InteropUnknown']])
})

test('a daemon that does not answer is said: what it would have told counts as nothing broken', async () => {
  const {interop, warnings} = await change({cartSidecar: true, webSidecar: true, fails: true})
  assert.equal(interop?.breaks, 0)
  assert.deepEqual(
    warnings.map(({code}) => code),
    ['InteropPartial'],
  )
  assert.match(warnings[0]?.message ?? '', /^n1: .*not known$/)
})
