// SPDX-License-Identifier: Apache-2.0
// Goal: install and uninstall as scripts and people meet them: manifests, plans, refusals, questions, rights, time.
// Method: the built kmeshctl against the sandbox's API server with its controllers; a fake kubelet starts and ends pods.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {afterEach, beforeEach, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {parseAllDocuments} from 'yaml'
import {type KubeObject, type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import type {DaemonSet} from '../../src/lib/model/manifests-workload.ts'
import {
  type ApiFixture,
  addNodes,
  eventually,
  startApi,
  startFakeKubelet,
} from '../sandbox/api/api-fixture.ts'
import {checkDocument} from './document-schema.ts'
import {type Run, type RunOptions, runKmeshctl} from './mesh-fixture.ts'

const SET = {...RESOURCES.daemonsets, namespace: 'kmesh-system', name: 'kmesh'}
// biome-ignore lint/suspicious/noExplicitAny: tests assert on what they read
type Json = any

let fixture: ApiFixture
let stopKubelet = (): void => {}

beforeEach(async () => {
  fixture = await startApi({controllers: true})
  await addNodes(fixture.kube, 'n1', 'n2')
  for (const name of ['n1', 'n2']) {
    const labels = {'kubernetes.io/os': 'linux', zone: name}
    await fixture.kube.mergePatch({...RESOURCES.nodes, name}, {metadata: {labels}})
  }
  stopKubelet = startFakeKubelet(fixture, {startMs: 30, stopMs: 30})
})
afterEach(async () => {
  stopKubelet()
  await fixture.close()
})

function kmeshctl(args: string, options?: RunOptions): Promise<Run> {
  return runKmeshctl([...args.split(' '), '--kubeconfig', fixture.kubeconfigFile], options)
}

/** The document of `-o json`, checked against the schema. */
async function json(args: string, code = 0): Promise<Json> {
  const run = await kmeshctl(`${args} -o json`)
  assert.equal(run.code, code, `${args}: ${run.stdout}${run.stderr}`)
  return documentOf(run.stdout)
}

function documentOf(text: string): Json {
  const document = JSON.parse(text)
  checkDocument(document)
  return document
}

const states = (document: Json): string =>
  document.items.map(({kind, name, state}: Json) => `${kind}/${name}=${state}`).join(' ')

async function exists(path: Parameters<ApiFixture['kube']['get']>[0]): Promise<boolean> {
  return fixture.kube.get(path).then(
    () => true,
    () => false,
  )
}

async function create(path: Parameters<ApiFixture['kube']['create']>[0], object: object): Promise<void> {
  await fixture.kube.create(path, object as KubeObject)
}

const GO_SET = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: {name: 'kmesh', labels: {app: 'kmesh'}},
  spec: {
    selector: {matchLabels: {app: 'kmesh'}},
    template: {
      metadata: {labels: {app: 'kmesh'}},
      spec: {containers: [{name: 'kmesh', image: 'ghcr.io/kmesh-net/kmesh:v1.1.0'}], hostIPC: true},
    },
  },
}

async function addNamespace(name: string): Promise<void> {
  await create(RESOURCES.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata: {name}})
}

test('--dry-run=client asks no cluster and prints what deploy/ has; -o json is one List', async () => {
  const nowhere = ['--kubeconfig', '/nonexistent']
  const yaml = await runKmeshctl(['install', '--dry-run=client', ...nowhere])
  assert.equal(yaml.code, 0, yaml.stderr)
  const files = ['namespace.yaml', 'rbac.yaml', 'workload.yaml'].map((name) =>
    readFileSync(join(import.meta.dirname, '../../deploy', name), 'utf8'),
  )
  const objects = (text: string) => parseAllDocuments(text).map((document) => document.toJS())
  assert.deepEqual(objects(yaml.stdout), files.flatMap(objects))
  const list = JSON.parse(
    (await runKmeshctl(['install', '--dry-run=client', '-o', 'json', ...nowhere])).stdout,
  )
  assert.deepEqual([list.kind, list.items.length], ['List', 9])
})

for (const [args, message] of [
  ['--set log-level=debug', /sets --log-level of the agents by itself[\s\S]*use --log-level/],
  ['--set =x', /'=x' is neither NAME nor NAME=VALUE/],
  ['--node-selector zone', /'zone' is not KEY=VALUE/],
  ['--state-dir ../x', /--state-dir: '\.\.\/x' is not an absolute path/],
  ['--run-dir /a/../b', /--run-dir/],
  ['--image a;b', /--image: 'a;b' is not valid/],
  ['--namespace Kmesh', /--namespace: 'Kmesh' is not valid/],
] as const) {
  test(`install ${args}: exit 2`, async () => {
    const run = await runKmeshctl(['install', '--dry-run=client', ...args.split(' ')])
    assert.equal(run.code, 2, run.stderr)
    assert.match(run.stderr, message)
    assert.equal(run.stdout, '')
  })
}

test('without a terminal a question is exit 2, and the cluster is not asked', async () => {
  for (const command of ['install', 'uninstall']) {
    const run = await runKmeshctl([command, '--server', 'https://127.0.0.1:1'])
    assert.equal(run.code, 2, run.stderr)
    assert.match(run.stderr, /nobody can answer here\nhint: use --yes/)
  }
})

test('on a terminal: the plan, the question; no is exit 1 and writes nothing, yes installs', async () => {
  const question = /Install Kmesh into namespace kmesh-system\? 9 objects will be created\. \[y\/N\]/
  const no = await kmeshctl('install', {terminal: {waitFor: '[y/N]', type: 'n\n'}})
  assert.equal(no.code, 1, no.stdout)
  assert.match(no.stdout, question)
  assert.match(no.stdout, /DaemonSet +kmesh-system +kmesh +planned +Create/)
  assert.equal(await exists({...RESOURCES.namespaces, name: 'kmesh-system'}), false)
  const yes = await kmeshctl('install', {terminal: {waitFor: '[y/N]', type: 'y\n'}})
  assert.equal(yes.code, 0, yes.stdout)
  const gone = await kmeshctl('uninstall', {terminal: {waitFor: '[y/N]', type: 'y\n'}})
  assert.match(gone.stdout, /Uninstall Kmesh from namespace kmesh-system and 2 nodes\? \[y\/N\]/)
  assert.equal(gone.code, 0, gone.stdout)
})

test('--dry-run=server stores nothing; --yes installs and waits; again is unchanged', async () => {
  const planned = await json('install --dry-run=server')
  assert.equal(planned.summary.dryRun, 'server')
  assert.equal(await exists({...RESOURCES.namespaces, name: 'kmesh-system'}), false)
  const installed = await json('install --yes')
  assert.match(
    states(installed),
    /^Namespace\/kmesh-system=created .* DaemonSet\/kmesh=created Node\/n1=ready Node\/n2=ready$/,
  )
  assert.equal(installed.warnings[0].code, 'LocalImage')
  const before = await fixture.kube.get(SET)
  const again = await json('install --yes')
  assert.deepEqual([...new Set(again.items.map(({state}: Json) => state))], ['unchanged', 'ready'])
  assert.equal((await fixture.kube.get(SET)).metadata.generation, before.metadata.generation)
})

test('an upgrade changes only what differs, takes settings back that were left out, keeps what others noted', async () => {
  await json('install --yes --set pods=node --node-selector zone=n1')
  const note = {template: {metadata: {annotations: {'kubectl.kubernetes.io/restartedAt': 'now'}}}}
  await fixture.kube.mergePatch(SET, {metadata: {labels: {team: 'net'}}, spec: note})
  const changed = await json('install --yes --image registry.example/kmesh-daemon:v9')
  const set = changed.items.find(({kind}: Json) => kind === 'DaemonSet')
  assert.equal(set.state, 'changed')
  assert.deepEqual(
    set.changes.filter((text: string) => !text.includes('template:')),
    [
      'spec.template.spec.containers[kmesh].args: --pods=node -> <none>',
      'spec.template.spec.containers[kmesh].image: kmesh-daemon:v0.1.0 -> registry.example/kmesh-daemon:v9',
      'spec.template.spec.nodeSelector.zone: n1 -> <none>',
    ],
  )
  assert.equal(changed.items.filter(({state}: Json) => state === 'changed').length, 1)
  const stored = await fixture.kube.get<DaemonSet>(SET)
  assert.equal(stored.metadata.labels?.['team'], 'net')
  assert.equal(stored.spec?.template?.metadata?.annotations?.['kubectl.kubernetes.io/restartedAt'], 'now')
  assert.deepEqual(stored.spec?.template?.spec?.nodeSelector, {'kubernetes.io/os': 'linux'})
  const narrowed = await json('install --dry-run=server --node-selector zone=n1')
  const warning = narrowed.warnings.find(({code}: Json) => code === 'NodeLosesAgent')
  assert.equal(warning.node, 'n2')
})

test('objects of others: exit 7 and nothing is written; --overwrite takes them; another Kmesh is told', async () => {
  await addNamespace('kmesh-system')
  await create({...RESOURCES.daemonsets, namespace: 'kmesh-system'}, GO_SET)
  const refused = await json('install --yes', 7)
  assert.match(states(refused), /ServiceAccount\/kmesh=skipped .* DaemonSet\/kmesh=refused$/)
  assert.equal(refused.errors[0].code, 'Conflict')
  assert.match(refused.errors[0].message, /^DaemonSet kmesh: it exists and was not made by kmeshctl$/)
  assert.ok(refused.warnings.some(({code}: Json) => code === 'OtherKmesh'))
  assert.equal(await exists({...RESOURCES.clusterroles, name: 'kmesh-daemon'}), false)
  const taken = await json('install --yes --overwrite')
  assert.match(states(taken), /^Namespace\/kmesh-system=kept .* DaemonSet\/kmesh=changed/)
  const {spec} = await fixture.kube.get<DaemonSet & {spec: Json}>(SET)
  assert.equal(spec.template.spec.hostIPC, undefined, 'nothing of the other one is left')
  // Two installs would share the cluster's roles.
  const second = await json('install --yes --namespace other', 7)
  assert.match(
    second.errors[0].message,
    /^ClusterRole kmesh-daemon: it belongs to the install in namespace kmesh-system$/,
  )
})

test('missing rights: exit 6 before anything is written, every rule is named', async () => {
  await addNamespace('kmesh-system')
  const run = await kmeshctl('install --yes --as jane -o json')
  assert.equal(run.code, 6, run.stderr)
  const {errors} = documentOf(run.stdout)
  assert.match(errors[0].message, /^not permitted: get, create, update namespaces in the whole cluster; /)
  const hints = errors[0].hints.join()
  assert.match(
    hints,
    /- apiGroups: \["apps"\], resources: \["daemonsets"\], verbs: \["get", "create", "update"\] \(in namespace kmesh-system\)/,
  )
  assert.match(hints, /- apiGroups: \[""\], resources: \["nodes"\], verbs: \["list"\]/)
  assert.equal(await exists({...RESOURCES.clusterroles, name: 'kmesh-daemon'}), false)
  const other = await kmeshctl('uninstall --yes --as jane')
  assert.equal(other.code, 6)
  assert.match(other.stderr, /not permitted: get, list, delete daemonsets.apps in namespace kmesh-system/)
})

test('agents that do not come: exit 5, every node with its reason; --no-wait does not look', async () => {
  stopKubelet()
  const late = await json('install --yes --timeout 1s', 5)
  assert.deepEqual(
    late.errors.map(({node, code, message}: Json) => [node, code, message]),
    [
      ['n1', 'Timeout', 'node n1: the agent is not ready: starting'],
      ['n2', 'Timeout', 'node n2: the agent is not ready: starting'],
    ],
  )
  const hasty = await json('install --yes --no-wait')
  assert.equal(hasty.items.length, 9)
})

test('uninstall takes back what install made and nothing else: a namespace with more in it stays', async () => {
  await json('install --yes')
  await create(
    {...RESOURCES.configmaps, namespace: 'kmesh-system'},
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {name: 'mine'},
    },
  )
  const enrolled = {metadata: {name: 'web', annotations: {'kmesh.net/redirection': 'enabled'}}}
  await addNamespace('shop')
  await create(
    {...RESOURCES.pods, namespace: 'shop'},
    {
      apiVersion: 'v1',
      kind: 'Pod',
      ...enrolled,
      spec: {containers: [{name: 'c', image: 'x'}]},
    },
  )
  const planned = await json('uninstall --dry-run=client')
  assert.deepEqual([...new Set(planned.items.map(({state}: Json) => state))], ['planned'])
  const gone = await json('uninstall --yes')
  assert.equal(
    states(gone),
    'Node/n1=cleaned Node/n2=cleaned DaemonSet/kmesh=deleted ClusterRoleBinding/kmesh-daemon=deleted ClusterRole/kmesh-daemon=deleted ClusterRole/kmeshctl-check=deleted ClusterRole/kmeshctl-enroll=deleted ClusterRole/kmeshctl-view=deleted Role/kmeshctl-daemons=deleted ServiceAccount/kmesh=deleted Namespace/kmesh-system=kept',
  )
  assert.deepEqual(
    gone.warnings.map(({code}: Json) => code),
    ['PodsEnrolled', 'NamespaceKept'],
  )
  assert.match(gone.warnings[1].message, /it holds more: ConfigMap\/mine$/)
  assert.ok(await exists({...RESOURCES.configmaps, namespace: 'kmesh-system', name: 'mine'}))
  assert.ok(await exists({...RESOURCES.pods, namespace: 'shop', name: 'web'}))
  assert.equal(await exists({...RESOURCES.clusterroles, name: 'kmesh-daemon'}), false)
  await fixture.kube.delete({...RESOURCES.configmaps, namespace: 'kmesh-system', name: 'mine'})
  assert.equal(states(await json('uninstall --yes')), 'Namespace/kmesh-system=deleted')
  assert.equal((await json('uninstall --yes')).items.length, 0)
})

test('nodes that do not get clean: exit 5, objects stay; the pods that clean have the options of the agents', async () => {
  await json('install --yes --set pods=node')
  stopKubelet()
  const late = await json('uninstall --yes --timeout 1s', 5)
  assert.match(states(late), /^Node\/n1=pending Node\/n2=pending DaemonSet\/kmesh=skipped /)
  assert.deepEqual(
    late.errors.map(({node}: Json) => node),
    ['n1', 'n2'],
  )
  const set = await fixture.kube.get<DaemonSet>(SET)
  const args = set.spec?.template?.spec?.containers[0]?.args ?? []
  assert.deepEqual([...args.slice(0, 2), args.at(-1)], ['uninstall', '--hold', '--pods=node'])
  // Cut in between, and then wanted again: install puts the agents back.
  stopKubelet = startFakeKubelet(fixture, {startMs: 30, stopMs: 30})
  const back = await json('install --yes --set pods=node')
  assert.match(states(back), /DaemonSet\/kmesh=changed Node\/n1=ready Node\/n2=ready$/)
  const again = await fixture.kube.get<DaemonSet>(SET)
  assert.equal(again.metadata.annotations?.['kmeshctl.kmesh.net/phase'], undefined)
})

test('a run that is cut is finished by the next one', async () => {
  await json('install --yes')
  await kmeshctl('uninstall --yes', {
    signalAfter: {text: 'Kmesh is off', signal: 'SIGKILL', onSent: () => undefined},
  })
  await sleep(200)
  assert.ok(await exists({...RESOURCES.clusterroles, name: 'kmesh-daemon'}))
  const rest = await json('uninstall --yes')
  assert.match(states(rest), /Namespace\/kmesh-system=deleted$/)
  const pods = await eventually(async () => {
    const {items} = await fixture.kube.list<Pod>(RESOURCES.pods)
    return items.length === 0 ? items : undefined
  })
  assert.equal(pods.length, 0)
})
