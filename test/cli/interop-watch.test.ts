// SPDX-License-Identifier: Apache-2.0
// Goal: interop status -w as a script meets it: events as lines, those of labels and of the kernel, Ctrl-C is 130.
// Method: the built kmeshctl against the sandbox's API server and a daemon that follows the labels.
import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {after, before, test} from 'node:test'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {type Mesh, startMesh} from './mesh-fixture.ts'

const KMESHCTL = join(import.meta.dirname, '../../bin/kmeshctl')
let mesh: Mesh

before(async () => {
  mesh = await startMesh({n1: {daemon: 'own'}})
  await mesh.addNamespace('shop')
  await mesh.addPod('shop', 'web', 'n1')
})
after(() => mesh.close())

test('added, changed by its label, captured, removed; SIGINT ends it', {timeout: 60_000}, async () => {
  const words = ['interop', 'status', '-n', 'shop', '-w', '--interval', '300ms', '-o', 'jsonl']
  const child = spawn(KMESHCTL, [...words, '--kubeconfig', mesh.api.kubeconfigFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]()
  const until = async (wanted: (event: {type: string; object: Record<string, unknown>}) => boolean) => {
    for (;;) {
      const {value, done} = await lines.next()
      assert.ok(!done, 'the stream ended')
      const event = JSON.parse(value)
      if (event.object.kind === 'Pod' && wanted(event)) return event
    }
  }
  try {
    const added = await until(({type}) => type === 'ADDED')
    assert.deepEqual([added.object.name, added.object.intent, added.object.capture], ['web', 'none', 'none'])
    const labels = {'istio.io/dataplane-mode': 'kmesh'}
    await mesh.kube.mergePatch({...RESOURCES.pods, namespace: 'shop', name: 'web'}, {metadata: {labels}})
    const asked = await until(({type}) => type === 'MODIFIED')
    assert.deepEqual([asked.object.intent, asked.object.capture], ['kmesh', 'none'])
    const captured = await until(({object}) => object['capture'] === 'kmesh')
    assert.deepEqual([captured.type, captured.object.source], ['MODIFIED', 'kernel'])
    await mesh.kube.delete({...RESOURCES.pods, namespace: 'shop', name: 'web'}, {gracePeriodSeconds: 0})
    await until(({type}) => type === 'DELETED')
  } finally {
    child.kill('SIGINT')
  }
  const [code] = await once(child, 'close')
  assert.equal(code, 130)
})

test('a format that needs an end is refused', async () => {
  const run = await mesh.kmeshctl(['interop', 'status', '-w', '-o', 'json'])
  assert.equal(run.code, 2)
})
