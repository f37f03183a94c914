// SPDX-License-Identifier: Apache-2.0
// Goal: enroll shows what it changes for connections and asks before it breaks one, pods too; nobody there means exit 2, --yes goes on.
// Method: the built kmeshctl against the sandbox's API server; a client and a server with sidecars, a daemon that bypasses them.
import assert from 'node:assert/strict'
import {after, before, test} from 'node:test'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {checkDocument} from './document-schema.ts'
import {type Mesh, startMesh} from './mesh-fixture.ts'

const SIDECAR = {
  labels: {'security.istio.io/tlsMode': 'istio'},
  annotations: {'sidecar.istio.io/status': '{}'},
}
const LINE = 'interop: front/pod/web -> shop/cart:80: works -> fails (NobodyDecrypts)'
let mesh: Mesh

before(async () => {
  mesh = await startMesh({n1: {daemon: 'own', sidecarPolicy: 'bypass'}})
  for (const name of ['front', 'shop']) await mesh.addNamespace(name)
  await mesh.addPod('front', 'web', 'n1', SIDECAR)
  await mesh.addPod('shop', 'cart', 'n1', SIDECAR)
  const metadata = {name: 'cart', namespace: 'shop'}
  await mesh.kube.create({...RESOURCES.services, namespace: 'shop'}, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {clusterIP: '10.96.0.20', ports: [{port: 80}]},
  } as never)
  await mesh.kube.create({...RESOURCES.endpointslices, namespace: 'shop'}, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {...metadata, labels: {'kubernetes.io/service-name': 'cart'}},
    addressType: 'IPv4',
    ports: [{port: 80}],
    endpoints: [{addresses: ['10.0.0.9'], conditions: {ready: true}, targetRef: {kind: 'Pod', name: 'cart'}}],
  } as never)
})
after(() => mesh.close())

test('a dry run shows it and asks nothing', async () => {
  const run = await mesh.kmeshctl(['enroll', 'namespace', 'shop', '--dry-run=client'])
  assert.equal(run.code, 0, run.stderr)
  assert.ok(run.stderr.includes(LINE), run.stderr)
})

test('as a document', async () => {
  const run = await mesh.kmeshctl(['enroll', 'pod', 'cart', '-n', 'shop', '--dry-run=client', '-o', 'json'])
  const document = JSON.parse(run.stdout)
  const {judged, breaks, changes} = document.summary.interop
  // The daemon's pod, web, and cart itself call cart.
  assert.deepEqual([judged, breaks, changes[0].from, changes[0].to], [3, 1, 'works', 'fails'])
  checkDocument(document)
})

test('a pod that would break a connection is not enrolled where nobody can answer', async () => {
  const run = await mesh.kmeshctl(['enroll', 'pod', 'cart', '-n', 'shop'])
  assert.equal(run.code, 2)
  assert.match(run.stderr, /1 pair of client and server will break.*Nobody can answer here/)
  assert.equal(await mesh.label('pods', 'cart', 'shop'), undefined)
})

test('--yes goes on', async () => {
  const run = await mesh.kmeshctl(['enroll', 'pod', 'cart', '-n', 'shop', '--yes', '--no-wait'])
  assert.equal(run.code, 0, run.stderr)
  assert.equal(await mesh.label('pods', 'cart', 'shop'), 'kmesh')
})
