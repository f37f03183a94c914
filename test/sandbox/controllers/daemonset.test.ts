// SPDX-License-Identifier: Apache-2.0
// Goal: a DaemonSet has one pod on each of its nodes, through new nodes, lost pods and changed templates.
// Method: plans by hand; then API server, controllers and a fake kubelet in this process, and kubectl where it is there.
import assert from 'node:assert/strict'
import {execFile, spawnSync} from 'node:child_process'
import {after, before, test} from 'node:test'
import {promisify} from 'node:util'
import {
  isPodReady,
  type KubeObject,
  type NodeObject,
  type Pod,
  RESOURCES,
} from '../../../src/lib/model/kube.ts'
import type {DaemonSet} from '../../../src/lib/sandbox/controllers/apps.ts'
import {isWanted, planDaemons} from '../../../src/lib/sandbox/controllers/daemonset-plan.ts'
import {type ApiFixture, addNodes, eventually, startApi, startFakeKubelet} from '../api/api-fixture.ts'

const SET: DaemonSet = {metadata: {name: 'agent'}, spec: {updateStrategy: {type: 'RollingUpdate'}}}

/** `n1:old:ready`: on n1, of an older template, Ready. */
function podOf(text: string): Pod {
  const [node = '', revision = '', ...states] = text.split(':')
  const deletion = states.includes('going') ? {deletionTimestamp: '2026-01-01T00:00:00Z'} : {}
  return {
    metadata: {name: text, labels: {'controller-revision-hash': revision}, ...deletion},
    spec: {nodeName: node, containers: []},
    status: {phase: states.includes('failed') ? 'Failed' : 'Running'},
  }
}

function planOf(nodes: string, pods: string, maxUnavailable: number | string = 1) {
  const set = {...SET, spec: {updateStrategy: {type: 'RollingUpdate', rollingUpdate: {maxUnavailable}}}}
  const plan = planDaemons({
    set,
    revision: 'new',
    nodes: new Set(nodes.split(' ')),
    pods: pods === '' ? [] : pods.split(' ').map(podOf),
    isAvailable: (pod) => pod.metadata.name?.includes('ready') ?? false,
  })
  return `+${plan.create.join(',')} -${plan.delete.map((pod) => pod.metadata.name).join(',')}`
}

for (const [what, nodes, pods, maxUnavailable, expected] of [
  ['every node gets one', 'n1 n2', '', 1, '+n1,n2 -'],
  ['a node that has one keeps it', 'n1 n2', 'n1:new:ready', 1, '+n2 -'],
  ['one on its way out still takes its node', 'n1', 'n1:old:going', 1, '+ -'],
  ['a node that is not wanted any more', 'n1', 'n1:new:ready n2:new:ready', 1, '+ -n2:new:ready'],
  ['a failed one goes', 'n1', 'n1:new:failed', 1, '+ -n1:new:failed'],
  ['an update takes one at a time', 'n1 n2', 'n1:old:ready n2:old:ready', 1, '+ -n1:old:ready'],
  ['and waits for it', 'n1 n2', 'n1:new n2:old:ready', 1, '+ -'],
  ['an old one that does not work goes at once', 'n1 n2', 'n1:old n2:old:ready', 1, '+ -n1:old'],
  ['all at the same time', 'n1 n2', 'n1:old:ready n2:old:ready', '100%', '+ -n1:old:ready,n2:old:ready'],
] as const) {
  test(`plan: ${what}`, () => assert.equal(planOf(nodes, pods, maxUnavailable), expected))
}

test('plan: strategy OnDelete leaves old pods alone', () => {
  const set = {...SET, spec: {updateStrategy: {type: 'OnDelete'}}}
  const state = {
    set,
    revision: 'new',
    nodes: new Set(['n1']),
    pods: [podOf('n1:old')],
    isAvailable: () => true,
  }
  assert.deepEqual(planDaemons(state), {create: [], delete: []})
})

for (const [what, spec, node, expected] of [
  ['a selected node', {nodeSelector: {disk: 'fast'}}, {labels: {disk: 'fast'}}, true],
  ['a node that is not selected', {nodeSelector: {disk: 'fast'}}, {labels: {disk: 'slow'}}, false],
  ['a tainted node', {}, {taints: [{key: 'gpu', effect: 'NoSchedule'}]}, false],
  ['a taint for preferences only', {}, {taints: [{key: 'gpu', effect: 'PreferNoSchedule'}]}, true],
  ['a cordoned node', {}, {taints: [{key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule'}]}, true],
  [
    'a taint that everything is tolerated of',
    {tolerations: [{operator: 'Exists'}]},
    {taints: [{key: 'gpu', effect: 'NoExecute'}]},
    true,
  ],
  [
    'a toleration of another value',
    {tolerations: [{key: 'gpu', value: 'a'}]},
    {taints: [{key: 'gpu', value: 'b', effect: 'NoSchedule'}]},
    false,
  ],
] as const) {
  test(`nodes: ${what}: ${expected ? 'yes' : 'no'}`, () => {
    const set = {metadata: {}, spec: {template: {spec: {containers: [], ...spec}}}} as DaemonSet
    const {labels, taints = []} = node as {labels?: Record<string, string>; taints?: readonly object[]}
    const object = {
      metadata: {name: 'n1', ...(labels ? {labels} : {})},
      spec: {taints},
    } as unknown as NodeObject
    assert.equal(isWanted(set, object), expected)
  })
}

let fixture: ApiFixture
let stopKubelet = (): void => {}
const NAMESPACE = {namespace: 'shop'}
const PATH = {...RESOURCES.daemonsets, ...NAMESPACE, name: 'agent'}

before(async () => {
  fixture = await startApi({controllers: true})
  await addNodes(fixture.kube, 'n1', 'n2')
  stopKubelet = startFakeKubelet(fixture, {startMs: 30, stopMs: 100})
  const shop = {apiVersion: 'v1', kind: 'Namespace', metadata: {name: 'shop'}}
  await fixture.kube.create(RESOURCES.namespaces, shop)
})
after(async () => {
  stopKubelet()
  await fixture.close()
  assert.deepEqual(fixture.problems, [])
})

async function readyPods(...nodes: string[]): Promise<readonly Pod[]> {
  return eventually(async () => {
    const {items} = await fixture.kube.list<Pod>({...RESOURCES.pods, ...NAMESPACE})
    const places = items.map((pod) => pod.spec?.nodeName).sort()
    return items.every(isPodReady) && places.join() === nodes.join() ? items : undefined
  })
}

async function kubectl(...args: string[]): Promise<string> {
  const all = ['--kubeconfig', fixture.kubeconfigFile, '-n', 'shop', ...args]
  return (await promisify(execFile)('kubectl', all)).stdout
}

const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0

test('one pod a node, owned by the set; a new node gets one, a lost pod is replaced', async () => {
  const spec = {
    selector: {matchLabels: {app: 'agent'}},
    template: {metadata: {labels: {app: 'agent'}}, spec: {containers: [{name: 'agent', image: 'one'}]}},
  }
  const body = {apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: {name: 'agent'}, spec} as KubeObject
  await fixture.kube.create({...RESOURCES.daemonsets, ...NAMESPACE}, body)
  const [first] = await readyPods('n1', 'n2')
  const owner = first?.metadata.ownerReferences?.[0]
  assert.deepEqual([owner?.kind, owner?.name, owner?.controller], ['DaemonSet', 'agent', true])
  await addNodes(fixture.kube, 'n3')
  await readyPods('n1', 'n2', 'n3')
  await fixture.kube.delete({...RESOURCES.pods, ...NAMESPACE, name: first?.metadata.name ?? ''})
  await eventually(async () => {
    const names = (await readyPods('n1', 'n2', 'n3')).map(({metadata}) => metadata.name)
    return names.includes(first?.metadata.name) ? undefined : true
  })
})

test('a new template replaces them one by one, and status says when it is done', async () => {
  const before = await readyPods('n1', 'n2', 'n3')
  let fewest = 3
  const informer = fixture.informers.start<Pod>(
    {...RESOURCES.pods, ...NAMESPACE},
    {
      handler: {
        onChange: () => {
          if (!informer.synced) return
          const serving = [...informer.values()].filter(
            (pod) => isPodReady(pod) && pod.metadata.deletionTimestamp === undefined,
          )
          fewest = Math.min(fewest, serving.length)
        },
        onDelete: () => undefined,
      },
    },
  )
  const containers = [{name: 'agent', image: 'two'}]
  await fixture.kube.mergePatch(PATH, {spec: {template: {spec: {containers}}}})
  if (hasKubectl) {
    assert.match(await kubectl('rollout', 'status', 'ds/agent', '--timeout=20s'), /successfully rolled out/)
    assert.match(
      await kubectl('get', 'ds'),
      /^NAME +DESIRED +CURRENT +READY +UP-TO-DATE +AVAILABLE +NODE SELECTOR +AGE\s+agent +3 +3 +3 +3 +3 +<none> /,
    )
  }
  await eventually(async () => {
    const {metadata, status} = await fixture.kube.get<DaemonSet>(PATH)
    const isDone =
      status?.['observedGeneration'] === metadata.generation &&
      status?.['updatedNumberScheduled'] === 3 &&
      status?.['numberAvailable'] === 3
    return isDone || undefined
  })
  informer.close()
  const now = await readyPods('n1', 'n2', 'n3')
  assert.ok(now.every((pod) => pod.spec?.containers[0]?.image === 'two'))
  assert.ok(now.every(({metadata}) => before.every((old) => old.metadata.uid !== metadata.uid)))
  assert.equal(fewest, 2)
})

test('what Kubernetes refuses is refused: another selector, no unavailable pod at all', async () => {
  await assert.rejects(
    fixture.kube.mergePatch(PATH, {spec: {selector: {matchLabels: {app: 'agent', more: 'x'}}}}),
    /immutable/,
  )
  const none = {updateStrategy: {rollingUpdate: {maxUnavailable: 0}}}
  await assert.rejects(fixture.kube.mergePatch(PATH, {spec: none}), /maxUnavailable.*cannot be 0/)
})

test('its pods go with it', async () => {
  await fixture.kube.delete(PATH)
  await readyPods()
})
