// SPDX-License-Identifier: Apache-2.0
// Goal: interop check -o html writes the page alone to stdout, with every pair, cluster and context, and fails as tables do.
// Method: spawned kmeshctl, the sandbox's API server, daemons that follow labels; expected pairs by hand.
import assert from 'node:assert/strict'
import {after, before, test} from 'node:test'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import type {PageData} from '../../src/lib/render/html/page-data.ts'
import {type Mesh, startMesh} from './mesh-fixture.ts'

let mesh: Mesh

before(async () => {
  mesh = await startMesh({n1: {daemon: 'own', delayMs: 0}, lost: {daemon: 'gone'}})
  for (const name of ['shop', 'front']) await mesh.addNamespace(name)
  await mesh.addPod('shop', 'cart', 'n1')
  await mesh.addPod('front', 'web', 'n1')
  const {kube} = mesh.api
  await kube.create({...RESOURCES.services, namespace: 'shop'}, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name: 'cart', namespace: 'shop'},
    spec: {ports: [{port: 80, targetPort: 8080}]},
  } as object as Parameters<typeof kube.create>[1])
  await kube.create({...RESOURCES.endpointslices, namespace: 'shop'}, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {name: 'cart-1', namespace: 'shop', labels: {'kubernetes.io/service-name': 'cart'}},
    addressType: 'IPv4',
    ports: [{port: 8080}],
    endpoints: [{addresses: ['10.0.0.9'], targetRef: {kind: 'Pod', name: 'cart', namespace: 'shop'}}],
  } as object as Parameters<typeof kube.create>[1])
})

after(() => mesh.close())

function dataOf(page: string): PageData {
  return JSON.parse(/id="data">(.*?)<\/script>/s.exec(page)?.[1] ?? '') as PageData
}

test('one page on stdout with pairs that work too, where and when; sums, warnings and errors also on stderr', async () => {
  const startMs = Date.now()
  const run = await mesh.kmeshctl(['interop', 'check', '-A', '-o', 'html'])
  assert.match(run.stdout, /^<!DOCTYPE html>\n.*<\/html>\n$/s)
  const data = dataOf(run.stdout)
  // The pods of the mesh's own namespace call too.
  assert.deepEqual(data.clients.map(({namespace, workloads}) => [namespace, ...workloads]).sort(), [
    ['front', 'pod/web'],
    ['kmesh-system', 'pod/kmesh-lost'],
    ['kmesh-system', 'pod/kmesh-n1'],
    ['shop', 'pod/cart'],
  ])
  assert.equal(data.pairs.length / 3, data.requested)
  assert.ok(data.verdicts.works > 0)
  assert.deepEqual(
    [data.place.server, data.place.asked],
    [mesh.kube.server, 'from every pod to every service'],
  )
  assert.ok(data.place.context && data.place.cluster)
  assert.ok(Date.parse(data.generatedAt) >= startMs && Date.parse(data.generatedAt) <= Date.now())
  assert.deepEqual(
    data.errors.map(({where}) => where.split(' ')[0]),
    ['lost'],
  )
  assert.match(run.stderr, /lost/)
  assert.match(run.stderr, /\d pairs: /)
  // What that daemon would have told makes verdicts unknown; `depends` is the least that --fail-on asks for.
  assert.equal(run.code, 0)
})

test('--show=findings leaves out what works', async () => {
  const run = await mesh.kmeshctl(['interop', 'check', '-n', 'front', '-o', 'html', '--show=findings'])
  const data = dataOf(run.stdout)
  assert.deepEqual([data.pairs.length, data.requested, data.verdicts.works], [0, 1, 1])
})

test('a failure of the whole: nothing on stdout, the error on stderr, the exit status of every format', async () => {
  const words = ['interop', 'check', 'nosuch', '-n', 'front']
  const [html, table] = [await mesh.kmeshctl([...words, '-o', 'html']), await mesh.kmeshctl(words)]
  assert.deepEqual([html.stdout, html.stderr, html.code], ['', table.stderr, table.code])
  assert.match(html.stderr, /nosuch/)
  const other = await mesh.kmeshctl(['status', '-o', 'html'])
  assert.equal(other.code, 2)
})
