// SPDX-License-Identifier: Apache-2.0
// Goal: what `unenroll` really writes for daemons of each version: v0.4 takes the annotation for an intent, so it goes
// with the label and that is said; others write their annotation themselves, and it is left to them.
// Method: the built program against the sandbox's API server, with a daemon of each version on a node of its own.
import assert from 'node:assert/strict'
import {after, before, test} from 'node:test'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {GO_VERSIONS, type GoVersion} from '../fakes/go-daemon/dialects.ts'
import {type Mesh, startMesh} from './mesh-fixture.ts'

const MODE = 'istio.io/dataplane-mode'
const REDIRECTION = 'kmesh.net/redirection'
const nodeOf = (version: GoVersion): string => version.replaceAll('.', '-')

let mesh: Mesh
before(async () => {
  const nodes = GO_VERSIONS.map((version) => [nodeOf(version), {daemon: version}] as const)
  mesh = await startMesh(Object.fromEntries(nodes))
  await mesh.addNamespace('plain')
  await mesh.addNamespace('shop', 'kmesh')
  for (const version of GO_VERSIONS) {
    const annotations = {[REDIRECTION]: 'enabled', other: 'stays'}
    await mesh.addPod('plain', nodeOf(version), nodeOf(version), {labels: {[MODE]: 'kmesh'}, annotations})
    await mesh.addPod('shop', nodeOf(version), nodeOf(version), {annotations})
  }
})
after(() => mesh.close())

async function stateOf(namespace: string, name: string) {
  const {metadata} = await mesh.kube.get({...RESOURCES.pods, namespace, name})
  return {label: metadata.labels?.[MODE], annotations: metadata.annotations}
}

const BOTH = {[REDIRECTION]: 'enabled', other: 'stays'}
const REMOVED = (namespace: string): string =>
  `annotation ${REDIRECTION} of pod ${namespace}/v0-4-0 is removed too: for its daemon (Kmesh v0.4) it enrolls by itself (AnnotationRemoved)`

test('a server dry run says it and writes nothing', async () => {
  const {code, stderr} = await mesh.kmeshctl(['unenroll', 'pod', 'v0-4-0', '-n', 'plain', '--dry-run=server'])
  assert.equal(code, 0, stderr)
  assert.ok(stderr.includes(`warning: ${REMOVED('plain')}\n`), stderr)
  assert.deepEqual(await stateOf('plain', 'v0-4-0'), {label: 'kmesh', annotations: BOTH})
})

for (const version of GO_VERSIONS) {
  test(`unenroll pod, ${version}`, async () => {
    const name = nodeOf(version)
    const words = ['unenroll', 'pod', name, '-n', 'plain', '--no-wait']
    const {code, stderr} = await mesh.kmeshctl(words)
    assert.equal(code, 0, stderr)
    const isOld = version === 'v0.4.0'
    assert.equal(stderr.includes('AnnotationRemoved'), isOld)
    assert.deepEqual(await stateOf('plain', name), {
      label: undefined,
      annotations: isOld ? {other: 'stays'} : BOTH,
    })
  })
}

test('unenroll namespace: the annotation goes only where the daemon of the node is v0.4', async () => {
  const {code, stderr} = await mesh.kmeshctl(['unenroll', 'namespace', 'shop', '-y', '--no-wait'])
  assert.equal(code, 0, stderr)
  assert.deepEqual(
    stderr.split('\n').filter((line) => line.includes('AnnotationRemoved')),
    [`warning: ${REMOVED('shop')}`],
  )
  assert.equal(await mesh.label('namespaces', 'shop'), undefined)
  for (const version of GO_VERSIONS) {
    const {annotations} = await stateOf('shop', nodeOf(version))
    assert.deepEqual(annotations, version === 'v0.4.0' ? {other: 'stays'} : BOTH, version)
  }
})
