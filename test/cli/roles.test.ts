// SPDX-License-Identifier: Apache-2.0
// Goal: the roles of deploy/rbac.yaml are enough for the commands that their comments name, and a role less is denied.
// Method: the built kmeshctl, as somebody who is in the groups of the roles only, against the sandbox's API server.
import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {type KubeObject, RESOURCES} from '../../src/lib/model/kube.ts'
import {collectionOf} from '../../src/lib/sandbox/manifests.ts'
import {roleObjects} from '../../src/lib/sandbox/roles.ts'
import {type Mesh, startMesh} from './mesh-fixture.ts'

const KMESHCTL = join(import.meta.dirname, '../../bin/kmeshctl')
const RBAC = join(import.meta.dirname, '../../deploy/rbac.yaml')
const DENIED = 6
let mesh: Mesh

before(async () => {
  mesh = await startMesh({n1: {daemon: 'own'}})
  for (const object of roleObjects(readFileSync(RBAC, 'utf8'))) {
    if (object.kind !== 'Namespace') await mesh.kube.create(collectionOf(object), object)
  }
  await mesh.addNamespace('shop')
  await mesh.addPod('shop', 'web', 'n1')
  const metadata = {name: 'web', namespace: 'shop'}
  const service = {apiVersion: 'v1', kind: 'Service', metadata, spec: {ports: [{port: 80}]}}
  await mesh.kube.create({...RESOURCES.services, namespace: 'shop'}, service as KubeObject)
})
after(() => mesh.close())

const as = (roles: readonly string[]): string[] => [
  '--as',
  'jane',
  ...roles.flatMap((role) => ['--as-group', `kmeshctl-${role}`]),
]

const DAEMONS = ['daemons']
const VIEW = ['daemons', 'view']
const CHECK = ['daemons', 'view', 'check']
const ENROLL = ['daemons', 'view', 'check', 'enroll']

const ENOUGH: readonly (readonly [words: string, roles: readonly string[]])[] = [
  ['version', DAEMONS],
  ['log get', DAEMONS],
  ['status', VIEW],
  ['interop status -A', VIEW],
  ['interop status -n shop', VIEW],
  ['interop status -A --by service', CHECK],
  ['interop check --namespace shop', CHECK],
  ['enroll namespace shop --dry-run server', ENROLL],
  ['enroll pod web -n shop', ENROLL],
]
for (const [words, roles] of ENOUGH) {
  test(`${words}: ${roles.join(', ')}`, async () => {
    const {code, stderr} = await mesh.kmeshctl([...words.split(' '), ...as(roles)])
    assert.doesNotMatch(stderr, /forbidden|rule is missing/i)
    assert.equal(code, 0, stderr)
  })
}

for (const [words, roles] of [
  ['interop status -A -w --interval 300ms -o jsonl', VIEW],
  ['interop status -A --by service -w --interval 300ms -o jsonl', CHECK],
] as const) {
  test(`${words}: ${roles.join(', ')}`, {timeout: 60_000}, async () => {
    const kubeconfig = ['--kubeconfig', mesh.api.kubeconfigFile]
    const child = spawn(KMESHCTL, [...words.split(' '), ...as(roles), ...kubeconfig], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk
    })
    const [event] = await Promise.race([once(child.stdout, 'data'), once(child, 'close')])
    assert.match(String(event), /"type":"ADDED"/, stderr)
    // The watches are open by now, or denied.
    await new Promise((resolve) => setTimeout(resolve, 1000))
    child.kill('SIGINT')
    const [code] = await once(child, 'close')
    assert.doesNotMatch(stderr, /forbidden|watch of/i)
    assert.equal(code, 130)
  })
}

const TOO_LITTLE: readonly (readonly [words: string, roles: readonly string[], rule: RegExp])[] = [
  ['interop status -A', DAEMONS, /verbs: \["list"\]/],
  ['interop status -A --by service', VIEW, /resources: \["(services|endpointslices)"\]/],
  ['interop check --namespace shop', VIEW, /resources: \["(services|endpointslices)"\]/],
  ['enroll namespace shop --yes', VIEW, /verbs: \["patch"\]/],
]
for (const [words, roles, rule] of TOO_LITTLE) {
  test(`${words} is more than ${roles.join(', ')}`, async () => {
    const {code, stderr} = await mesh.kmeshctl([...words.split(' '), ...as(roles)])
    assert.equal(code, DENIED, stderr)
    assert.match(stderr, rule)
  })
}
