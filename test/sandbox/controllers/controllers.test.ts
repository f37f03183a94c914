// SPDX-License-Identifier: Apache-2.0
// Goal: the controllers together keep a cluster: pods, their nodes, endpoints, clean-up.
// Method: real API server and client in this process, a fake kubelet that runs pods at once; waits for states.
import assert from 'node:assert/strict'
import {afterEach, beforeEach, test} from 'node:test'
import {
  type EndpointSlice,
  isPodReady,
  type KubeObject,
  type Pod,
  RESOURCES,
} from '../../../src/lib/model/kube.ts'
import type {Deployment} from '../../../src/lib/sandbox/controllers/apps.ts'
import {call} from '../../contracts/kube-api-client.ts'
import {type ApiFixture, addNodes, eventually, startApi, startFakeKubelet} from '../api/api-fixture.ts'

let fixture: ApiFixture
let stopKubelet = (): void => {}
const NAMESPACE = {namespace: 'shop'}

beforeEach(async () => {
  fixture = await startApi({controllers: true})
  await addNodes(fixture.kube, 'n1', 'n2')
  stopKubelet = startFakeKubelet(fixture, {startMs: 30, stopMs: 150})
  await fixture.kube.create(RESOURCES.namespaces, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {name: 'shop'},
  })
})
afterEach(async () => {
  stopKubelet()
  await fixture.close()
  assert.deepEqual(fixture.problems, [])
})

async function createDeployment(replicas: number, strategy?: object, more: object = {}): Promise<void> {
  const spec = {
    ...more,
    replicas,
    ...(strategy ? {strategy} : {}),
    selector: {matchLabels: {app: 'web'}},
    template: {
      metadata: {labels: {app: 'web'}},
      spec: {containers: [{name: 'web', image: 'one', ports: [{name: 'http', containerPort: 8080}]}]},
    },
  }
  const body = {apiVersion: 'apps/v1', kind: 'Deployment', metadata: {name: 'web'}, spec} as KubeObject
  await fixture.kube.create({...RESOURCES.deployments, ...NAMESPACE}, body)
}

async function createService(): Promise<void> {
  const spec = {
    ipFamilyPolicy: 'PreferDualStack',
    selector: {app: 'web'},
    ports: [{port: 80, targetPort: 'http'}],
  }
  const body = {apiVersion: 'v1', kind: 'Service', metadata: {name: 'web'}, spec} as KubeObject
  await fixture.kube.create({...RESOURCES.services, ...NAMESPACE}, body)
}

async function pods(): Promise<readonly Pod[]> {
  return (await fixture.kube.list<Pod>({...RESOURCES.pods, ...NAMESPACE})).items
}

async function readyPods(count: number): Promise<readonly Pod[]> {
  return eventually(async () => {
    const all = await pods()
    return all.length === count && all.every(isPodReady) ? all : undefined
  })
}

async function slices(): Promise<readonly EndpointSlice[]> {
  return (await fixture.kube.list<EndpointSlice>({...RESOURCES.endpointslices, ...NAMESPACE})).items
}

const scale = (replicas: number) =>
  fixture.kube.mergePatch({...RESOURCES.deployments, ...NAMESPACE, name: 'web'}, {spec: {replicas}})

test('a Deployment gets its pods through a ReplicaSet, on the nodes in turn', async () => {
  await createDeployment(4)
  const running = await readyPods(4)
  assert.deepEqual(running.map((pod) => pod.spec?.nodeName).sort(), ['n1', 'n1', 'n2', 'n2'])
  const [set] = (await fixture.kube.list({...RESOURCES.replicasets, ...NAMESPACE})).items
  assert.equal(set?.metadata.ownerReferences?.[0]?.kind, 'Deployment')
  assert.ok(running.every((pod) => pod.metadata.ownerReferences?.[0]?.uid === set?.metadata.uid))
  assert.ok(running.every((pod) => pod.metadata.labels?.['pod-template-hash']))
})

test('a pod that is deleted is replaced; scaling up and down makes no more and no fewer', async () => {
  await createDeployment(2)
  const [victim] = await readyPods(2)
  await fixture.kube.delete({...RESOURCES.pods, ...NAMESPACE, name: victim?.metadata.name ?? ''})
  await eventually(async () => {
    const names = (await pods()).map((pod) => pod.metadata.name)
    return names.length === 2 && !names.includes(victim?.metadata.name) ? true : undefined
  })
  for (const replicas of [10, 3, 0, 1]) {
    await scale(replicas)
    await readyPods(replicas)
  }
})

test('a node that is cordoned or not selected gets no pod; without any the pod says why and waits', async () => {
  await fixture.kube.mergePatch({...RESOURCES.nodes, name: 'n1'}, {spec: {unschedulable: true}})
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {name: 'picky'},
    spec: {nodeSelector: {disk: 'fast'}, containers: [{name: 'c', image: 'x'}]},
  }
  await createDeployment(2)
  assert.deepEqual(
    (await readyPods(2)).map((one) => one.spec?.nodeName),
    ['n2', 'n2'],
  )
  await fixture.kube.create({...RESOURCES.pods, ...NAMESPACE}, pod as Pod)
  const path = {...RESOURCES.pods, ...NAMESPACE, name: 'picky'}
  await eventually(
    async () =>
      (await fixture.kube.get<Pod>(path)).status?.conditions?.some(
        ({reason}) => reason === 'Unschedulable',
      ) || undefined,
  )
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {name: 'n3', labels: {disk: 'fast'}},
    status: {conditions: [{type: 'Ready', status: 'True'}]},
  }
  await fixture.kube.create(RESOURCES.nodes, node as KubeObject)
  await eventually(async () =>
    (await fixture.kube.get<Pod>(path)).spec?.nodeName === 'n3' ? true : undefined,
  )
})

test('endpoints of both families; a leaving pod is terminating, soon, before it is gone', async () => {
  await createService()
  await createDeployment(2)
  await readyPods(2)
  const both = await eventually(async () => {
    const found = await slices()
    return found.every((slice) => slice.endpoints?.length === 2) && found.length === 2 ? found : undefined
  })
  assert.deepEqual(both.map((slice) => slice.addressType).sort(), ['IPv4', 'IPv6'])
  const seen: string[] = []
  const watching = new AbortController()
  const watched = (async () => {
    const options = {signal: watching.signal, fieldSelector: `metadata.name=${both[0]?.metadata.name}`}
    for await (const {object} of fixture.kube.watch<EndpointSlice>(
      {...RESOURCES.endpointslices, ...NAMESPACE},
      options,
    )) {
      const states = (object.endpoints ?? []).map(
        ({conditions}) =>
          `${conditions?.ready ? 'ready' : 'no'}/${conditions?.terminating ? 'leaving' : 'stays'}`,
      )
      seen.push(states.sort().join(' '))
    }
  })().catch(() => {})
  await eventually(() => seen.length > 0 || undefined)
  const startMs = performance.now()
  await scale(1)
  await eventually(() => seen.includes('no/leaving ready/stays') || undefined)
  const tookMs = performance.now() - startMs
  await eventually(() => seen.includes('ready/stays') || undefined)
  watching.abort()
  await watched
  assert.deepEqual(seen, ['ready/stays ready/stays', 'no/leaving ready/stays', 'ready/stays'])
  assert.ok(tookMs < 1000, `took ${tookMs} ms`)
})

test('deleting the service deletes its slices, and leaves those of others', async () => {
  await createService()
  await eventually(async () => ((await slices()).length === 2 ? true : undefined))
  const own = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {name: 'own', labels: {'kubernetes.io/service-name': 'web'}},
    addressType: 'IPv4',
    endpoints: [],
  }
  await fixture.kube.create({...RESOURCES.endpointslices, ...NAMESPACE}, own as KubeObject)
  await fixture.kube.delete({...RESOURCES.services, ...NAMESPACE, name: 'web'})
  await eventually(async () =>
    (await slices()).map(({metadata}) => metadata.name).join() === 'own' ? true : undefined,
  )
})

test('a new template is rolled out; enough pods are ready all the time', async () => {
  await createDeployment(3, {type: 'RollingUpdate', rollingUpdate: {maxSurge: 1, maxUnavailable: 0}})
  await readyPods(3)
  let fewest = 3
  const informer = fixture.informers.start<Pod>(RESOURCES.pods, {
    handler: {
      onChange: () => count(),
      onDelete: () => count(),
    },
  })
  const count = (): void => {
    if (!informer.synced) return
    const available = [...informer.values()].filter(
      (pod) => isPodReady(pod) && !pod.metadata.deletionTimestamp,
    ).length
    fewest = Math.min(fewest, available)
  }
  await eventually(() => informer.synced || undefined)
  const template = {spec: {template: {spec: {containers: [{name: 'web', image: 'two'}]}}}}
  await fixture.kube.mergePatch({...RESOURCES.deployments, ...NAMESPACE, name: 'web'}, template)
  await eventually(async () => {
    const all = await pods()
    return all.length === 3 && all.every((pod) => pod.spec?.containers[0]?.image === 'two') ? true : undefined
  })
  informer.close()
  assert.equal(fewest, 3)
})

test('a deleted Deployment takes ReplicaSet and pods along; a deleted namespace everything', async () => {
  await createService()
  await createDeployment(2)
  await readyPods(2)
  await fixture.kube.delete({...RESOURCES.deployments, ...NAMESPACE, name: 'web'})
  await readyPods(0)
  assert.equal((await fixture.kube.list({...RESOURCES.replicasets, ...NAMESPACE})).items.length, 0)
  await createDeployment(2)
  await readyPods(2)
  await fixture.kube.delete({...RESOURCES.namespaces, name: 'shop'})
  await eventually(async () =>
    (await fixture.kube.list(RESOURCES.namespaces)).items.length === 0 ? true : undefined,
  )
  for (const resource of [
    RESOURCES.pods,
    RESOURCES.replicasets,
    RESOURCES.endpointslices,
    RESOURCES.services,
  ]) {
    assert.equal((await fixture.kube.list(resource)).items.length, 0, resource.resource)
  }
})

test('a pod that its ReplicaSet no longer selects is let go and replaced; a matching stray is taken in', async () => {
  await createDeployment(2)
  await eventually(async () => (await pods()).length === 2 || undefined)
  const [first] = await pods()
  const path = {...RESOURCES.pods, ...NAMESPACE, name: first?.metadata.name ?? ''}
  await fixture.kube.mergePatch(path, {metadata: {labels: {app: 'alone'}}})
  await eventually(
    async () =>
      (await pods()).filter((pod) => pod.metadata.labels?.['app'] === 'web').length === 2 || undefined,
  )
  assert.equal((await fixture.kube.get<Pod>(path)).metadata.ownerReferences, undefined)
  await fixture.kube.mergePatch(path, {metadata: {labels: {app: 'web'}}})
  await eventually(async () => {
    const alive = (await pods()).filter((pod) => pod.metadata.deletionTimestamp === undefined)
    return (
      (alive.length === 2 &&
        alive.every((pod) => pod.metadata.ownerReferences?.[0]?.kind === 'ReplicaSet')) ||
      undefined
    )
  })
})

test('minReadySeconds: a Ready pod counts as available only after that time', async () => {
  const path = {...RESOURCES.deployments, ...NAMESPACE, name: 'web'}
  await createDeployment(1, undefined, {minReadySeconds: 2})
  const [pod] = await readyPods(1)
  const readyMs = Date.parse(
    pod?.status?.conditions?.find(({type}) => type === 'Ready')?.lastTransitionTime ?? '',
  )
  const early = await eventually(async () => {
    const {status} = await fixture.kube.get<Deployment>(path)
    return status?.readyReplicas === 1 ? status : undefined
  })
  assert.equal(early.availableReplicas, 0)
  await eventually(
    async () => (await fixture.kube.get<Deployment>(path)).status?.availableReplicas || undefined,
  )
  assert.ok(Date.now() >= readyMs + 2000)
})

test('a Deployment that is deleted with Orphan leaves its ReplicaSet and pods, without their owner', async () => {
  await createDeployment(1)
  const [pod] = await readyPods(1)
  const access = {server: fixture.server, authorityPem: fixture.authority.certificatePem, ...fixture.admin}
  const url = '/apis/apps/v1/namespaces/shop/deployments/web?propagationPolicy=Orphan'
  assert.equal((await call(access, 'DELETE', url)).status, 200)
  await eventually(async () => {
    const {items} = await fixture.kube.list({...RESOURCES.deployments, ...NAMESPACE})
    return items.length === 0 || undefined
  })
  const [set] = (await fixture.kube.list({...RESOURCES.replicasets, ...NAMESPACE})).items
  assert.equal(set?.metadata.ownerReferences, undefined)
  assert.equal((await readyPods(1))[0]?.metadata.uid, pod?.metadata.uid)
})
