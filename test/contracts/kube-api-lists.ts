// SPDX-License-Identifier: Apache-2.0
/** A list in protobuf says what the same list says in JSON: our reader against the bytes of an API server. */
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {statusText} from '../../src/lib/adapters/kube-answers.ts'
import {listReader} from '../../src/lib/adapters/kube-protobuf.ts'
import {SERVICE_FIELDS, SLICE_FIELDS} from '../../src/lib/model/interop-fields.ts'
import {POD_FIELDS} from '../../src/lib/model/pod-projection.ts'
import type {FieldTree} from '../../src/lib/ports.ts'
import type {Target} from './kube-api.ts'
import {call, type Json} from './kube-api-client.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const LIMIT = 2
const TIME = '2026-01-02T03:04:05Z'

/** All that the table has of the messages of a pod, beside what interop looks at. */
const MUCH_OF_A_POD: FieldTree = {
  metadata: {...POD_FIELDS.metadata, creationTimestamp: true, annotations: true, finalizers: true},
  spec: {
    ...POD_FIELDS.spec,
    terminationGracePeriodSeconds: true,
    nodeSelector: true,
    serviceAccountName: true,
  },
  status: {...POD_FIELDS.status, hostIP: true, podIPs: {ip: true}, qosClass: true},
}

const pod = (name: string, spec: object = {}, metadata: object = {}): Json => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {name, labels: {app: 'web', empty: ''}, annotations: {text: 'ä\u{1f600}', none: ''}, ...metadata},
  spec: {
    nodeName: 'node-1',
    automountServiceAccountToken: false,
    containers: [
      {name: 'app', image: 'x', ports: [{containerPort: 8080}, {containerPort: 53, protocol: 'UDP'}]},
    ],
    ...spec,
  },
})
const labels = {'kubernetes.io/service-name': 'web', 'istio.io/dataplane-mode': 'kmesh'}

const PODS: readonly Json[] = [
  pod('plain'),
  pod('host', {hostNetwork: true, nodeSelector: {a: 'b', c: ''}, terminationGracePeriodSeconds: 0}),
  pod(
    'labelled',
    {},
    {
      labels,
      annotations: {'kmesh.net/redirection': 'enabled', 'sidecar.istio.io/status': '{"containers":["x"]}'},
      finalizers: ['example.com/a', 'example.com/b'],
      ownerReferences: [
        {apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'u-1', controller: true},
        {apiVersion: 'v1', kind: 'ConfigMap', name: 'other', uid: 'u-2'},
      ],
    },
  ),
]
const STATUS = {
  phase: 'Running',
  startTime: TIME,
  hostIP: '192.0.2.1',
  podIP: '10.0.0.7',
  podIPs: [{ip: '10.0.0.7'}, {ip: 'fd00::7'}],
  conditions: [
    {type: 'Ready', status: 'True', lastProbeTime: null, lastTransitionTime: TIME},
    {type: 'PodScheduled', status: 'False', lastProbeTime: null, lastTransitionTime: null},
  ],
}
const port = {name: 'http', port: 80, protocol: 'TCP', targetPort: 'web'}
const SERVICES: readonly Json[] = [
  {apiVersion: 'v1', kind: 'Service', metadata: {name: 'web'}, spec: {ports: [port]}},
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name: 'none'},
    spec: {clusterIP: 'None', selector: {a: 'b'}},
  },
]
const slice = {apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4'}
const SLICES: readonly Json[] = [
  {
    ...slice,
    metadata: {name: 'web-1', labels},
    ports: [
      {name: '', port: 8080, protocol: 'TCP'},
      {name: 'dns', port: 53, protocol: 'UDP'},
    ],
    endpoints: [
      {addresses: ['10.0.0.7'], conditions: {ready: true}, targetRef: {kind: 'Pod', name: 'labelled'}},
      {addresses: ['10.0.0.8'], conditions: {ready: false, serving: true}},
      {addresses: ['10.0.0.9']},
    ],
  },
  {...slice, metadata: {name: 'web-2', labels}, endpoints: []},
]

const CASES: readonly (readonly [group: string, resource: string, fields: FieldTree])[] = [
  ['', 'pods', POD_FIELDS],
  ['', 'pods', MUCH_OF_A_POD],
  ['', 'services', SERVICE_FIELDS],
  ['', 'services', {metadata: {name: true}, spec: {clusterIPs: true, selector: true, type: true}}],
  ['discovery.k8s.io', 'endpointslices', SLICE_FIELDS],
]

export function kubeListContract(name: string, start: () => Promise<Target>): void {
  suite(`Lists in protobuf: ${name}`, () => {
    const namespace = `lists-${process.pid}`
    const base = (group: string) => (group === '' ? '/api/v1' : `/apis/${group}/v1`)
    const at = (group: string, resource: string) => `${base(group)}/namespaces/${namespace}/${resource}`
    let target: Target

    const write = async (method: string, path: string, body: Json, status: number): Promise<void> => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      const answer = await call(target, method, path, body, {type})
      assert.equal(answer.status, status, answer.text)
    }

    before(async () => {
      target = await start()
      await write(
        'POST',
        '/api/v1/namespaces',
        {apiVersion: 'v1', kind: 'Namespace', metadata: {name: namespace}},
        201,
      )
      for (const one of PODS) await write('POST', at('', 'pods'), one, 201)
      await write('PATCH', `${at('', 'pods')}/labelled/status`, {status: STATUS}, 200)
      for (const one of SERVICES) await write('POST', at('', 'services'), one, 201)
      for (const one of SLICES) await write('POST', at('discovery.k8s.io', 'endpointslices'), one, 201)
    })
    after(async () => {
      await call(target, 'DELETE', `/api/v1/namespaces/${namespace}`)
      await target.close()
    })

    for (const [group, resource, fields] of CASES) {
      test(`${resource}: ${JSON.stringify(fields).slice(0, 60)}`, async () => {
        const path = at(group, resource)
        const inJson = (await call(target, 'GET', path)).body.items as Json[]
        const binary = await call(target, 'GET', path, undefined, {accept: `${PROTOBUF},application/json`})
        assert.equal(binary.contentType, PROTOBUF)
        const reader = listReader(group, resource, fields, (item) => item)
        const list = reader?.list(binary.bytes) as {items: Json[]}
        const expected = inJson.map((item) => reduced(item, fields))
        assert.ok(expected.length > 0)
        assert.deepEqual(list.items.map(said), expected.map(said))
      })
    }

    test('who may not list is told so in either format', async () => {
      const {server, authorityPem} = target
      const access = {server, authorityPem}
      const {status, contentType, bytes} = await call(access, 'GET', at('', 'pods'), undefined, {
        accept: `${PROTOBUF},application/json`,
      })
      const {reason} = JSON.parse(await statusText(bytes, contentType)) as {reason: string}
      assert.deepEqual([status, reason], status === 401 ? [401, 'Unauthorized'] : [403, 'Forbidden'])
    })

    test('a page tells where the list goes on, and so does its metadata', async () => {
      const path = `${at('', 'pods')}?limit=${LIMIT}`
      const {bytes} = await call(target, 'GET', path, undefined, {accept: PROTOBUF})
      const reader = listReader('', 'pods', POD_FIELDS, (item) => item)
      const list = reader?.list(bytes) as {
        metadata: {continue: string; resourceVersion: string}
        items: unknown[]
      }
      assert.equal(list.items.length, LIMIT)
      assert.ok(list.metadata.continue.length > 0 && Number(list.metadata.resourceVersion) > 0)
      assert.equal(reader?.continues(bytes), list.metadata.continue)
    })
  })
}

function reduced(value: Json, tree: FieldTree | true): Json {
  if (tree === true || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => reduced(item, tree))
  const kept = Object.entries(value).filter(([name]) => Object.hasOwn(tree, name))
  return Object.fromEntries(
    kept.map(([name, below]) => [name, reduced(below, tree[name] as FieldTree | true)]),
  )
}

/** Without what says nothing: null, and what stays empty for it; Go writes them in JSON, and not in protobuf. */
function said(value: Json): Json {
  if (Array.isArray(value)) return value.map(said)
  if (typeof value !== 'object' || value === null) return value ?? undefined
  const entries = Object.entries(value).map(([name, below]) => [name, said(below)] as const)
  return Object.fromEntries(entries.filter(([, below]) => below !== undefined && !isEmpty(below)))
}

function isEmpty(value: Json): boolean {
  return typeof value === 'object' && Object.keys(value).length === 0
}
