// SPDX-License-Identifier: Apache-2.0
// Goal: deploy/*.yaml are what kmeshctl install applies, an API server takes them, and the agents get no more than they need.
// Method: files against the generator; the sandbox's API server by kubectl; expected fields by hand.
import assert from 'node:assert/strict'
import {execFile, spawnSync} from 'node:child_process'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {promisify} from 'node:util'
import {manifestFiles} from '../../bin/manifests.ts'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {manifestsOf} from '../../src/lib/model/manifests.ts'
import {
  defaultSettings,
  type InstallSettings,
  TEMPLATE_ANNOTATION,
} from '../../src/lib/model/manifests-settings.ts'
import {cleanUpPatch, type DaemonSet} from '../../src/lib/model/manifests-workload.ts'
import {type ApiFixture, startApi} from '../sandbox/api/api-fixture.ts'

const folder = join(import.meta.dirname, '../../deploy')
const BASE = defaultSettings('1.2.3')

function setOf(settings: Partial<InstallSettings> = {}): DaemonSet {
  const found = manifestsOf({...BASE, ...settings}).find(({object}) => object.kind === 'DaemonSet')
  return found?.object as DaemonSet
}

function podOf(set: DaemonSet) {
  // biome-ignore lint/suspicious/noExplicitAny: tests assert on what they read
  return set.spec?.template?.spec as any
}

test('the files are up to date: bin/with-node bin/manifests.ts writes them', () => {
  const files = manifestFiles()
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.yaml')),
    [...files.keys()],
  )
  for (const [name, text] of files) assert.equal(readFileSync(join(folder, name), 'utf8'), text, name)
})

test('an agent is no privileged container; its capabilities are these, and nothing else is writable than its paths', () => {
  const pod = podOf(setOf())
  const {securityContext, volumeMounts} = pod.containers[0]
  assert.deepEqual(securityContext, {
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsUser: 0,
    capabilities: {
      drop: ['ALL'],
      add: ['NET_ADMIN', 'NET_RAW', 'SYS_ADMIN', 'SYS_PTRACE'],
    },
  })
  assert.deepEqual(
    volumeMounts.map((mount: {mountPath: string; readOnly?: boolean}) =>
      mount.readOnly ? `${mount.mountPath} ro` : mount.mountPath,
    ),
    [
      '/sys/fs/bpf',
      '/host/cgroup ro',
      '/host/proc ro',
      '/var/lib/kmesh',
      '/var/run/kmesh',
      '/var/run/netns',
      '/run/xtables.lock',
      '/etc/cni/net.d',
      '/opt/cni/bin',
    ],
  )
  assert.deepEqual(pod.tolerations, [{operator: 'Exists'}])
})

test('settings become arguments and paths; without CNI its folders are not mounted', () => {
  const pod = podOf(
    setOf({
      cni: false,
      existingPods: 'untouched',
      sidecarPolicy: 'exclude',
      hostPaths: {...BASE.hostPaths, bpfFs: '/bpf'},
      agentOptions: {pods: 'node', 'take-over': null},
    }),
  )
  assert.deepEqual(pod.containers[0].args, [
    '--bpf-fs-path=/bpf',
    '--cgroup2-path=/host/cgroup',
    '--proc-path=/host/proc',
    '--state-dir=/var/lib/kmesh',
    '--run-dir=/var/run/kmesh',
    '--existing-pods=untouched',
    '--sidecar-policy=exclude',
    '--log-level=info',
    '--cni=off',
    '--pods=node',
    '--take-over',
  ])
  const paths = pod.volumes.map((volume: {hostPath: {path: string}}) => volume.hostPath.path)
  assert.deepEqual(paths, [
    '/bpf',
    '/sys/fs/cgroup',
    '/proc',
    '/var/lib/kmesh',
    '/var/run/kmesh',
    '/var/run/netns',
    '/run/xtables.lock',
  ])
})

test('another namespace: every object and reference follows', () => {
  const text = JSON.stringify(manifestsOf({...BASE, namespace: 'mesh'}))
  assert.ok(text.includes('"namespace":"mesh"'))
  assert.ok(!text.includes('kmesh-system'), 'kmesh-system is left somewhere')
})

test('pods of another template are told apart by their annotation; equal settings give equal ones', () => {
  const hash = (settings: Partial<InstallSettings>) =>
    setOf(settings).spec?.template?.metadata?.annotations?.[TEMPLATE_ANNOTATION]
  assert.equal(hash({}), hash({}))
  const others = [
    hash({}),
    hash({image: 'x'}),
    hash({logLevel: 'debug'}),
    hash({version: '9.9.9', image: 'x'}),
  ]
  assert.equal(new Set(others).size, 4)
})

test('uninstall keeps the options of the running agents and goes to all nodes at once', () => {
  const set = setOf({logLevel: 'debug'})
  // biome-ignore lint/suspicious/noExplicitAny: tests assert on what they read
  const patch = cleanUpPatch({...set, metadata: {...set.metadata, uid: 'u', resourceVersion: '7'}}) as any
  const [container] = patch.spec.template.spec.containers
  assert.deepEqual(container.args.slice(0, 3), ['uninstall', '--hold', '--bpf-fs-path=/sys/fs/bpf'])
  assert.equal(container.image, 'kmesh-daemon:v1.2.3')
  assert.equal(patch.metadata.resourceVersion, '7')
  assert.equal(patch.spec.updateStrategy.rollingUpdate.maxUnavailable, '100%')
  const before = set.spec?.template?.metadata?.annotations?.[TEMPLATE_ANNOTATION]
  assert.notEqual(patch.spec.template.metadata.annotations[TEMPLATE_ANNOTATION], before)
})

let fixture: ApiFixture
before(async () => {
  fixture = await startApi()
})
after(() => fixture.close())

const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0

test('kubectl apply -f deploy/ works in one go, and every field is one of Kubernetes', {
  skip: !hasKubectl && 'no kubectl',
}, async () => {
  const kubectl = (...args: string[]) =>
    promisify(execFile)('kubectl', ['--kubeconfig', fixture.kubeconfigFile, ...args])
  const {stdout, stderr} = await kubectl('apply', '-f', folder, '--validate=strict')
  assert.deepEqual(stdout.trim().split('\n'), [
    'namespace/kmesh-system created',
    'serviceaccount/kmesh created',
    'clusterrole.rbac.authorization.k8s.io/kmesh-daemon created',
    'clusterrolebinding.rbac.authorization.k8s.io/kmesh-daemon created',
    'role.rbac.authorization.k8s.io/kmeshctl-daemons created',
    'clusterrole.rbac.authorization.k8s.io/kmeshctl-view created',
    'clusterrole.rbac.authorization.k8s.io/kmeshctl-check created',
    'clusterrole.rbac.authorization.k8s.io/kmeshctl-enroll created',
    'daemonset.apps/kmesh created',
  ])
  assert.equal(stderr, '')
  const again = await kubectl('apply', '-f', folder, '--dry-run=server')
  assert.equal(again.stdout.match(/unchanged \(server dry run\)/g)?.length, 9)
  const path = {...RESOURCES.daemonsets, namespace: 'kmesh-system', name: 'kmesh'}
  const stored = await fixture.kube.get<DaemonSet>(path)
  assert.equal(podOf(stored).containers[0].livenessProbe.httpGet.path, '/healthz')
})
