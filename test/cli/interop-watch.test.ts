// SPDX-License-Identifier: Apache-2.0
// Goal: interop status -w as a script meets it: events as lines, those of labels and of the kernel, Ctrl-C is 130.
// Method: the built kmeshctl against the sandbox's API server and a daemon that follows the labels.
import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {after, before, test} from 'node:test'
import {type KubeObject, RESOURCES} from '../../src/lib/model/kube.ts'
import {type Mesh, startMesh} from './mesh-fixture.ts'

const KMESHCTL = join(import.meta.dirname, '../../bin/kmeshctl')
let mesh: Mesh

before(async () => {
  mesh = await startMesh({n1: {daemon: 'own'}})
  await mesh.addNamespace('shop')
  await mesh.addPod('shop', 'web', 'n1')
})
after(() => mesh.close())

interface Event {
  readonly type: string
  readonly object: Readonly<Record<string, unknown>>
}

/** Runs `interop status -w` while `steps` wait for events of one kind; then Ctrl-C, which is 130. */
async function following(
  more: readonly string[],
  kind: string,
  steps: (until: (wanted: (event: Event) => boolean) => Promise<Event>) => Promise<void>,
): Promise<void> {
  const words = ['interop', 'status', '-n', 'shop', '-w', '--interval', '300ms', '-o', 'jsonl', ...more]
  const child = spawn(KMESHCTL, [...words, '--kubeconfig', mesh.api.kubeconfigFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]()
  try {
    await steps(async (wanted) => {
      for (;;) {
        const {value, done} = await lines.next()
        assert.ok(!done, 'the stream ended')
        const event = JSON.parse(value) as Event
        if (event.object['kind'] === kind && wanted(event)) return event
      }
    })
  } finally {
    child.kill('SIGINT')
  }
  const [code] = await once(child, 'close')
  assert.equal(code, 130)
}

const label = (name: string): Promise<unknown> =>
  mesh.kube.mergePatch(
    {...RESOURCES.pods, namespace: 'shop', name},
    {metadata: {labels: {'istio.io/dataplane-mode': 'kmesh'}}},
  )

test('added, changed by its label, captured, removed; SIGINT ends it', {timeout: 60_000}, () =>
  following([], 'Pod', async (until) => {
    const added = await until(({type}) => type === 'ADDED')
    assert.deepEqual(
      [added.object['name'], added.object['intent'], added.object['capture']],
      ['web', 'none', 'none'],
    )
    await label('web')
    const asked = await until(({type}) => type === 'MODIFIED')
    assert.deepEqual([asked.object['intent'], asked.object['capture']], ['kmesh', 'none'])
    const captured = await until(({object}) => object['capture'] === 'kmesh')
    assert.deepEqual([captured.type, captured.object['source']], ['MODIFIED', 'kernel'])
    await mesh.kube.delete({...RESOURCES.pods, namespace: 'shop', name: 'web'}, {gracePeriodSeconds: 0})
    await until(({type}) => type === 'DELETED')
  }),
)

test('by service: its endpoints, and who receives for them', {timeout: 60_000}, async () => {
  await mesh.addPod('shop', 'db', 'n1')
  const metadata = {name: 'db', namespace: 'shop'}
  await mesh.kube.create({...RESOURCES.services, namespace: 'shop'}, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {ports: [{port: 80}]},
  } as KubeObject)
  await following(['--by', 'service'], 'Service', async (until) => {
    const added = await until(({object}) => object['name'] === 'db')
    assert.deepEqual(
      [added.type, added.object['intents']],
      ['ADDED', {kmesh: 0, sidecar: 0, ambient: 0, none: 0}],
    )
    await mesh.kube.create({...RESOURCES.endpointslices, namespace: 'shop'}, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {...metadata, labels: {'kubernetes.io/service-name': 'db'}},
      addressType: 'IPv4',
      endpoints: [{addresses: ['10.0.0.9'], targetRef: {kind: 'Pod', name: 'db', namespace: 'shop'}}],
    } as KubeObject)
    await until(({object}) => (object['endpoints'] as {none: number}).none === 1)
    await label('db')
    const captured = await until(({object}) => (object['endpoints'] as {kmesh: number}).kmesh === 1)
    assert.equal(captured.type, 'MODIFIED')
    await mesh.kube.delete({...RESOURCES.services, ...metadata})
    await until(({type}) => type === 'DELETED')
  })
})

test('a format that needs an end is refused', async () => {
  const run = await mesh.kmeshctl(['interop', 'status', '-w', '-o', 'json'])
  assert.equal(run.code, 2)
})
