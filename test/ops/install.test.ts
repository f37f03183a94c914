// SPDX-License-Identifier: Apache-2.0
// Goal: an install writes what its plan said or says why not; races, refusals and agents that fail are told apart.
// Method: a Kubernetes of one map, with a place for the other side of each race; a clock that jumps.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DeniedError, KubeStatusError, TimeoutError} from '../../src/lib/errors.ts'
import type {KubeObject} from '../../src/lib/model/kube.ts'
import {type ManifestObject, manifestsOf, pathOfObject} from '../../src/lib/model/manifests.ts'
import {defaultSettings} from '../../src/lib/model/manifests-settings.ts'
import {checkAccess} from '../../src/lib/ops/install-access.ts'
import {planObject, writeObject} from '../../src/lib/ops/install-objects.ts'
import {waitForAgents} from '../../src/lib/ops/install-rollout.ts'
import type {Kube, ResourcePath} from '../../src/lib/ports.ts'
import {FakeClock} from './enroll-fakes.ts'

const SETTINGS = defaultSettings('1.2.3')
const {signal} = new AbortController()
const OPTIONS = {install: 'kmesh-system', overwrite: false, isHomeless: false, signal}

function manifest(kind: string, settings = SETTINGS): ManifestObject {
  const found = manifestsOf(settings).find(({object}) => object.kind === kind)
  return found?.object ?? assert.fail(`no ${kind}`)
}

const keyOf = ({resource, namespace, name}: ResourcePath): string => `${resource}/${namespace ?? ''}/${name}`

/** Counts versions as a server does, and defaults nothing. */
class FakeKube {
  readonly objects = new Map<string, KubeObject>()
  readonly writes: string[] = []
  readonly lists = new Map<string, readonly KubeObject[]>()
  beforeUpdate: () => void = () => undefined

  get port(): Kube {
    return this as unknown as Kube
  }

  put(object: ManifestObject, change: (object: Json) => void = () => undefined): void {
    const key = keyOf(pathOfObject(object))
    const version = Number(this.objects.get(key)?.metadata.resourceVersion ?? 0) + 1
    const stored = structuredClone(object) as Json
    stored.metadata = {...stored.metadata, uid: key, resourceVersion: String(version)}
    change(stored)
    this.objects.set(key, stored)
  }

  async get(path: ResourcePath): Promise<KubeObject> {
    return this.objects.get(keyOf(path)) ?? missing()
  }

  async list(path: ResourcePath) {
    return {metadata: {}, items: this.lists.get(path.resource) ?? []}
  }

  async create(_path: ResourcePath, body: KubeObject, options: {dryRun?: boolean} = {}): Promise<KubeObject> {
    if (!options.dryRun) this.writes.push(`create ${body.kind}`)
    return body
  }

  async update(path: ResourcePath, body: KubeObject, options: {dryRun?: boolean} = {}): Promise<KubeObject> {
    if (options.dryRun) return body
    this.beforeUpdate()
    if ((await this.get(path)).metadata.resourceVersion !== body.metadata.resourceVersion) {
      throw new KubeStatusError(409, 'Conflict', 'the object has been modified')
    }
    this.writes.push(`update ${body.kind}`)
    this.put(body as ManifestObject)
    return body
  }
}

// biome-ignore lint/suspicious/noExplicitAny: tests change what they like
type Json = any

function missing(): never {
  throw new KubeStatusError(404, 'NotFound', 'not found')
}

const CHANGED = manifest('DaemonSet', {...SETTINGS, logLevel: 'debug'})

test('a status that a controller writes in between does not stop the write', async () => {
  const kube = new FakeKube()
  kube.put(manifest('DaemonSet'))
  const plan = await planObject(kube.port, CHANGED, OPTIONS)
  let races = 2
  kube.beforeUpdate = () => {
    races -= 1
    if (races >= 0) kube.put(manifest('DaemonSet'), (set) => (set.status = {numberReady: races}))
  }
  await writeObject(kube.port, plan, {...OPTIONS, clock: new FakeClock()})
  assert.deepEqual(kube.writes, ['update DaemonSet'])
})

test('another setting that somebody writes in between is a conflict, and theirs stays', async () => {
  const kube = new FakeKube()
  kube.put(manifest('DaemonSet'))
  const plan = await planObject(kube.port, CHANGED, OPTIONS)
  const theirs = manifest('DaemonSet', {...SETTINGS, image: 'theirs'})
  kube.beforeUpdate = () => {
    if (kube.objects.get('daemonsets/kmesh-system/kmesh')?.metadata.resourceVersion === '1') kube.put(theirs)
  }
  await assert.rejects(writeObject(kube.port, plan, {...OPTIONS, clock: new FakeClock()}), {
    code: 'Conflict',
    exitCode: 7,
    message: 'DaemonSet kmesh was changed by somebody else since the plan',
  })
  assert.deepEqual(kube.writes, [])
})

for (const [what, change, overwrite, expected] of [
  ['ours', () => undefined, false, 'unchanged null'],
  ['not ours', (o: Json) => delete o.metadata.labels, false, 'refuse it exists and was not made by kmeshctl'],
  ['not ours, taken over', (o: Json) => delete o.metadata.labels, true, 'update null'],
  [
    'of another install',
    (o: Json) => (o.metadata.labels['kmeshctl.kmesh.net/install'] = 'other'),
    false,
    'refuse it belongs to the install in namespace other',
  ],
  [
    'being deleted',
    (o: Json) => (o.metadata.deletionTimestamp = 'now'),
    true,
    'refuse it is being deleted; wait until it is gone',
  ],
] as const) {
  test(`plan: an object that is ${what}`, async () => {
    const kube = new FakeKube()
    kube.put(manifest('ClusterRole'), change)
    const plan = await planObject(kube.port, manifest('ClusterRole'), {...OPTIONS, overwrite})
    assert.equal(`${plan.action} ${plan.problem}`, expected)
  })
}

test('plan: a namespace that somebody else made is used as it is; one that is not there is made', async () => {
  const kube = new FakeKube()
  assert.equal((await planObject(kube.port, manifest('Namespace'), OPTIONS)).action, 'create')
  kube.put(manifest('Namespace'), (namespace) => delete namespace.metadata.labels)
  assert.equal((await planObject(kube.port, manifest('Namespace'), OPTIONS)).action, 'keep')
})

test('rights: all that are missing are named at once; a server that does not answer lets the writes tell', async () => {
  const needs = [
    {verbs: ['get', 'create'], group: 'apps', resource: 'daemonsets', namespace: 'm'},
    {verbs: ['list'], group: '', resource: 'nodes'},
  ]
  const answering = (answer: (attributes: Json) => boolean) =>
    ({
      create: async (_: unknown, body: Json) => ({status: {allowed: answer(body.spec.resourceAttributes)}}),
    }) as unknown as Kube
  await checkAccess(
    answering(() => true),
    needs,
    signal,
  )
  await assert.rejects(
    checkAccess(
      answering(({verb}) => verb === 'get'),
      needs,
      signal,
    ),
    (error: DeniedError) => {
      assert.equal(
        error.message,
        'not permitted: create daemonsets.apps in namespace m; list nodes in the whole cluster',
      )
      return error.exitCode === 6
    },
  )
  const silent = {
    create: async () => Promise.reject(new DeniedError(403, 'Forbidden', 'no')),
  } as unknown as Kube
  await checkAccess(silent, needs, signal)
  const slow = {create: async () => Promise.reject(new TimeoutError('late'))} as unknown as Kube
  await assert.rejects(checkAccess(slow, needs, signal), {code: 'Timeout'})
})

interface Agent {
  readonly node: string
  readonly ready?: boolean
  readonly old?: boolean
  readonly containerStatus?: object
}

function podOf({node, ready = false, old = false, containerStatus}: Agent): KubeObject {
  const template = manifest('DaemonSet') as Json
  return {
    metadata: {
      name: `kmesh-${node}`,
      annotations: old ? {} : template.spec.template.metadata.annotations,
      ownerReferences: [
        {apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'kmesh', uid: 'daemonsets/kmesh-system/kmesh'},
      ],
    },
    spec: {nodeName: node},
    status: {
      conditions: [{type: 'Ready', status: ready ? 'True' : 'False'}],
      ...(containerStatus ? {containerStatuses: [containerStatus]} : {}),
    },
  } as KubeObject
}

async function follow(agents: readonly Agent[], nodes: Readonly<Record<string, boolean>>): Promise<string[]> {
  const kube = new FakeKube()
  kube.put(manifest('DaemonSet'), (set) => {
    set.metadata.generation = 2
    set.status = {observedGeneration: 2, desiredNumberScheduled: Object.keys(nodes).length}
  })
  kube.lists.set('pods', agents.map(podOf))
  kube.lists.set(
    'nodes',
    Object.entries(nodes).map(([name, ready]) => ({
      metadata: {name},
      status: {conditions: [{type: 'Ready', status: ready ? 'True' : 'False'}]},
    })),
  )
  const request = {namespace: 'kmesh-system', timeoutMs: 1000, signal, onProgress: () => undefined}
  const found = await waitForAgents({...request, kube: kube.port, clock: new FakeClock()})
  return found.map(
    (node) => `${node.node} ${node.isReady ? 'ready' : node.hasFailed ? 'failed' : 'late'} ${node.reason}`,
  )
}

const BACK_OFF = {
  state: {waiting: {reason: 'CrashLoopBackOff', message: 'back-off 10s'}},
  lastState: {terminated: {exitCode: 1, message: 'line\nerror: pins of another data plane\n'}},
}
const NO_IMAGE = {state: {waiting: {reason: 'ImagePullBackOff', message: 'no such image'}}}

for (const [what, agents, nodes, expected] of [
  ['all ready', [{node: 'a', ready: true}], {a: true}, ['a ready ']],
  [
    'an old pod counts for nothing',
    [{node: 'a', ready: true, old: true}],
    {a: true},
    ['a late the old pod is there'],
  ],
  [
    'a node without a pod',
    [{node: 'a', ready: true}],
    {a: true, b: true},
    ['a ready ', 'b late it has no pod yet'],
  ],
  ['a node that is down', [{node: 'a'}], {a: false}, ['a late the node is not Ready']],
  [
    'a program that ends: its last words',
    [{node: 'a', containerStatus: BACK_OFF}],
    {a: true},
    ['a failed CrashLoopBackOff: back-off 10s: exit status 1: error: pins of another data plane'],
  ],
  [
    'an image that is nowhere',
    [{node: 'a', containerStatus: NO_IMAGE}],
    {a: true},
    ['a failed ImagePullBackOff: no such image'],
  ],
] as const) {
  test(`agents: ${what}`, async () => assert.deepEqual(await follow(agents, nodes), expected))
}

test('agents: one that was just started anew after it failed has failed', async () => {
  const kube = new FakeKube()
  kube.put(manifest('DaemonSet'))
  const states = [BACK_OFF, {state: {running: {}}}]
  kube.list = async ({resource}) => {
    if (resource === 'nodes') return {metadata: {}, items: []}
    const containerStatus = states.length > 1 ? states.shift() : states[0]
    return {metadata: {}, items: [podOf({node: 'a', ...(containerStatus ? {containerStatus} : {})})]}
  }
  const request = {namespace: 'kmesh-system', timeoutMs: 1000, signal, onProgress: () => undefined}
  const [found] = await waitForAgents({...request, kube: kube.port, clock: new FakeClock()})
  assert.deepEqual([found?.hasFailed, found?.reason.includes('exit status 1')], [true, true])
})
