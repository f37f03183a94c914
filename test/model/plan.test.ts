// SPDX-License-Identifier: Apache-2.0
// Goal: the planner writes the right label or none, and says for each pod what becomes of it and why.
// Method: tables of single pods and namespaces against hand-written expectations.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {Namespace} from '../../src/lib/model/kube.ts'
import type {PlanAction, PlanOptions} from '../../src/lib/model/plan.ts'
import {planNamespaces, planPods} from '../../src/lib/model/plan-build.ts'
import {namespaceChange, podChange} from '../../src/lib/model/plan-label.ts'
import {absentNode, type NodeFacts, unreachableNode} from '../../src/lib/model/plan-node.ts'
import {templateOwnerOf, templatePatchCommand} from '../../src/lib/model/plan-owner.ts'
import {
  CAPTURED,
  factsOf,
  goDaemon,
  MODE,
  namespaceOf,
  ours,
  type PodOptions,
  podOf,
  SIDECAR,
} from './plan-fixtures.ts'

const enroll: PlanOptions = {
  action: 'enroll',
  overwrite: false,
  allowSystem: false,
  meshNamespace: 'kmesh-system',
}
const unenroll: PlanOptions = {...enroll, action: 'unenroll'}

/** action, own value, namespace's value (pods), overwrite -> `write before>after`, or `keep|refuse code`. */
const POD_LABELS: readonly (readonly [
  PlanAction,
  string | undefined,
  string | undefined,
  boolean,
  string,
])[] = [
  ['enroll', undefined, undefined, false, 'write null>kmesh'],
  ['enroll', 'kmesh', undefined, false, 'keep AlreadyEnrolled'],
  ['enroll', 'Kmesh', undefined, false, 'keep AlreadyEnrolled'],
  ['enroll', undefined, 'KMESH', false, 'keep AlreadyEnrolled'],
  ['enroll', 'None', 'kmesh', false, 'keep AlreadyEnrolled'],
  ['enroll', 'none', 'kmesh', false, 'refuse OverwriteNeeded'],
  ['enroll', 'none', 'kmesh', true, 'write none>kmesh'],
  ['enroll', 'ambient', undefined, false, 'refuse OverwriteNeeded'],
  ['enroll', '', undefined, false, 'refuse OverwriteNeeded'],
  ['enroll', 'ambient', undefined, true, 'write ambient>kmesh'],
  ['unenroll', 'kmesh', undefined, false, 'write kmesh>null'],
  ['unenroll', 'Kmesh', undefined, false, 'write Kmesh>null'],
  ['unenroll', 'kmesh', 'kmesh', false, 'write kmesh>none'],
  ['unenroll', undefined, 'kmesh', false, 'write null>none'],
  ['unenroll', 'ambient', 'kmesh', false, 'refuse OverwriteNeeded'],
  ['unenroll', 'NONE', 'kmesh', false, 'refuse OverwriteNeeded'],
  ['unenroll', 'NONE', 'kmesh', true, 'write NONE>none'],
  ['unenroll', 'none', 'kmesh', false, 'keep NotEnrolled'],
  ['unenroll', undefined, undefined, false, 'keep NotEnrolled'],
  ['unenroll', 'ambient', undefined, false, 'keep NotEnrolled'],
]

for (const [action, own, around, overwrite, expected] of POD_LABELS) {
  test(`${action} pod labelled ${own} in namespace labelled ${around}${overwrite ? ', overwrite' : ''}`, () => {
    const change = podChange('shop', labels(own), labels(around), {...enroll, action, overwrite})
    assert.equal(textOf(change), expected)
  })
}

const NAMESPACE_LABELS: readonly (readonly [PlanAction, string, string | undefined, boolean, string])[] = [
  ['enroll', 'shop', undefined, false, 'write null>kmesh'],
  ['enroll', 'shop', 'Kmesh', false, 'keep AlreadyEnrolled'],
  ['enroll', 'shop', 'none', false, 'refuse OverwriteNeeded'],
  ['enroll', 'shop', 'none', true, 'write none>kmesh'],
  ['enroll', 'kube-system', undefined, false, 'refuse SystemNamespace'],
  ['enroll', 'kube-whatever', undefined, false, 'refuse SystemNamespace'],
  ['enroll', 'istio-system', undefined, false, 'refuse SystemNamespace'],
  ['enroll', 'kmesh-system', undefined, true, 'refuse SystemNamespace'],
  ['unenroll', 'kube-system', 'kmesh', false, 'refuse SystemNamespace'],
  ['unenroll', 'shop', 'kmesh', false, 'write kmesh>null'],
  ['unenroll', 'shop', 'ambient', false, 'keep NotEnrolled'],
  ['unenroll', 'shop', undefined, false, 'keep NotEnrolled'],
]

for (const [action, name, value, overwrite, expected] of NAMESPACE_LABELS) {
  test(`${action} namespace ${name} labelled ${value}${overwrite ? ', overwrite' : ''}`, () => {
    assert.equal(textOf(namespaceChange(name, labels(value), {...enroll, action, overwrite})), expected)
  })
}

test('--allow-system lets a system namespace through', () => {
  const change = namespaceChange('kube-system', undefined, {...enroll, allowSystem: true})
  assert.deepEqual(change, {kind: 'write', before: null, after: 'kmesh'})
})

interface PodCase {
  readonly title: string
  readonly action?: PlanAction
  readonly namespaceMode?: string
  readonly pod?: PodOptions
  readonly node?: NodeFacts
  /** now capture, source | after capture | reason | obstacle | follow */
  readonly expected: readonly [string | null, string, string | null, string | null, string | null, boolean]
}

const mine = (captured: boolean, more: Partial<NodeFacts> = {}) => ours('n1', {'uid-web': captured}, more)

/** Each one: the namespace of the pod `web` is enrolled (or released). */
const PODS: readonly PodCase[] = [
  {title: 'plain pod', expected: ['none', 'kernel', 'kmesh', 'NamespaceLabel', null, true]},
  {
    title: 'captured by the kernel already',
    node: mine(true),
    expected: ['kmesh', 'kernel', 'kmesh', 'NamespaceLabel', null, false],
  },
  {
    title: 'annotation without kernel: the kernel is believed',
    pod: {annotations: CAPTURED},
    expected: ['none', 'kernel', 'kmesh', 'NamespaceLabel', null, true],
  },
  {
    title: 'Go daemon: the annotation is all there is',
    pod: {annotations: CAPTURED},
    node: goDaemon('n1'),
    expected: ['kmesh', 'annotation', 'kmesh', 'NamespaceLabel', null, false],
  },
  {
    title: 'host network',
    pod: {hostNetwork: true},
    expected: ['none', 'kernel', 'none', 'HostNetwork', null, false],
  },
  {
    title: 'managed gateway',
    pod: {metadata: {labels: {'gateway.istio.io/managed': 'istio.io-mesh-controller'}}},
    expected: ['none', 'kernel', 'none', 'ManagedGateway', null, false],
  },
  {
    title: 'sidecar, policy exclude',
    pod: {annotations: SIDECAR},
    expected: ['sidecar', 'kernel', 'sidecar', 'SidecarPresent', null, false],
  },
  {
    title: 'sidecar, policy bypass',
    pod: {annotations: SIDECAR},
    node: mine(false, {sidecarPolicy: 'bypass'}),
    expected: ['sidecar', 'kernel', 'kmesh', 'NamespaceLabel', null, true],
  },
  {
    title: 'sidecar, policy not known',
    pod: {annotations: SIDECAR},
    node: unreachableNode('n1'),
    expected: ['sidecar', 'none', 'sidecar', null, 'DaemonNotReady', false],
  },
  {
    title: 'opted out',
    pod: {mode: 'none'},
    expected: ['none', 'kernel', 'none', 'PodLabelNone', null, false],
  },
  {
    title: 'case trap: falls through',
    pod: {mode: 'None'},
    expected: ['none', 'kernel', 'kmesh', 'NamespaceLabel', null, true],
  },
  {
    title: 'own label',
    pod: {mode: 'kmesh'},
    expected: ['none', 'kernel', 'kmesh', 'PodLabelKmesh', null, true],
  },
  {
    title: 'no daemon on its node',
    node: absentNode('n1'),
    expected: ['none', 'annotation', 'none', 'NamespaceLabel', 'NoDaemonOnNode', false],
  },
  {
    title: 'daemon not ready',
    node: mine(false, {daemon: 'notReady'}),
    expected: ['none', 'kernel', 'none', 'NamespaceLabel', 'DaemonNotReady', false],
  },
  {
    title: 'daemon does not answer: nothing is known',
    node: unreachableNode('n1'),
    expected: [null, 'none', null, 'NamespaceLabel', 'DaemonNotReady', false],
  },
  {
    title: 'not scheduled yet',
    pod: {node: null, phase: 'Pending', ready: false},
    expected: ['none', 'annotation', 'none', 'NamespaceLabel', 'NotReady', false],
  },
  {
    title: 'running, not Ready, our agent',
    pod: {ready: false},
    expected: ['none', 'kernel', 'kmesh', 'NamespaceLabel', null, true],
  },
  {
    title: 'running, not Ready, Go daemon',
    pod: {ready: false},
    node: goDaemon('n1'),
    expected: ['none', 'annotation', 'none', 'NamespaceLabel', 'NotReady', false],
  },
  {
    title: 'daemon that leaves existing pods alone',
    node: mine(false, {existingPods: 'untouched'}),
    expected: ['none', 'kernel', 'none', 'NamespaceLabel', 'StartedBefore', false],
  },
  {
    title: 'its own label acts even then',
    pod: {mode: 'kmesh'},
    node: mine(false, {existingPods: 'untouched'}),
    expected: ['none', 'kernel', 'kmesh', 'PodLabelKmesh', null, true],
  },
  {
    title: 'released',
    action: 'unenroll',
    namespaceMode: 'kmesh',
    node: mine(true),
    expected: ['kmesh', 'kernel', 'none', 'NotLabelled', null, true],
  },
  {
    title: 'released, but the daemon leaves existing pods alone',
    action: 'unenroll',
    namespaceMode: 'kmesh',
    node: mine(true, {existingPods: 'untouched'}),
    expected: ['kmesh', 'kernel', 'kmesh', 'NotLabelled', 'StartedBefore', false],
  },
  {
    title: 'stays by its own label',
    action: 'unenroll',
    namespaceMode: 'kmesh',
    pod: {mode: 'kmesh'},
    node: mine(true),
    expected: ['kmesh', 'kernel', 'kmesh', 'PodLabelKmesh', null, false],
  },
  {
    title: 'released while it is not Ready',
    action: 'unenroll',
    namespaceMode: 'kmesh',
    pod: {ready: false, annotations: CAPTURED},
    node: goDaemon('n1'),
    expected: ['kmesh', 'annotation', 'none', 'NotLabelled', null, true],
  },
]

for (const item of PODS) {
  test(`${item.action ?? 'enroll'} namespace, pod: ${item.title}`, () => {
    const options = {...enroll, action: item.action ?? 'enroll'}
    const target = {namespace: namespaceOf('shop', item.namespaceMode), pods: [podOf('web', item.pod)]}
    const [pod] = planNamespaces([target], factsOf(item.node ?? mine(false)), options).pods
    assert.ok(pod)
    const {now, after, reason, obstacle, follow} = pod
    assert.deepEqual([now.capture, now.source, after.capture, reason, obstacle, follow], item.expected)
  })
}

test('finished and terminating pods are left out', () => {
  const pods = [
    podOf('done', {phase: 'Succeeded'}),
    podOf('lost', {phase: 'Failed'}),
    podOf('going', {metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}}),
    podOf('web'),
  ]
  const plan = planNamespaces([{namespace: namespaceOf('shop'), pods}], factsOf(mine(false)), enroll)
  assert.deepEqual(
    plan.pods.map((pod) => pod.name),
    ['web'],
  )
})

test('a refused namespace touches no pod', () => {
  const plan = planNamespaces(
    [{namespace: namespaceOf('shop', 'none'), pods: [podOf('web')]}],
    factsOf(),
    enroll,
  )
  assert.deepEqual(plan.pods, [])
})

test('targets and pods are in order', () => {
  const plan = planNamespaces(
    [
      {namespace: namespaceOf('b'), pods: [podOf('x', {namespace: 'b'})]},
      {namespace: namespaceOf('a'), pods: [podOf('z', {namespace: 'a'}), podOf('y', {namespace: 'a'})]},
    ],
    factsOf(),
    enroll,
  )
  assert.deepEqual(
    plan.targets.map((target) => target.name),
    ['a', 'b'],
  )
  assert.deepEqual(
    plan.pods.map((pod) => pod.name),
    ['y', 'z', 'x'],
  )
})

test('warns about case traps, injection and pods that stay', () => {
  const trapped = planNamespaces(
    [
      {
        namespace: namespaceOf('shop', undefined, {labels: {'istio-injection': 'enabled'}}),
        pods: [podOf('web', {mode: 'NONE'})],
      },
    ],
    factsOf(mine(false)),
    enroll,
  )
  assert.deepEqual(codes(trapped.warnings), ['AlsoInjected', 'LabelCaseTrap', 'OpenConnections'])
  const released = planNamespaces(
    [{namespace: namespaceOf('shop', 'kmesh'), pods: [podOf('web', {mode: 'kmesh'}), podOf('db')]}],
    factsOf(ours('n1', {'uid-web': true, 'uid-db': false})),
    unenroll,
  )
  assert.deepEqual(codes(released.warnings), ['StaysEnrolled'])
  assert.equal(released.warnings[0]?.pod, 'web')
})

test('warns about labels that another manager applies', () => {
  const applied = (manager: string, operation: string, label = MODE): Namespace =>
    namespaceOf('shop', 'none', {
      managedFields: [{manager, operation, fieldsV1: {'f:metadata': {'f:labels': {[`f:${label}`]: {}}}}}],
    })
  const plan = (namespace: Namespace) =>
    planNamespaces([{namespace, pods: []}], factsOf(), {...enroll, overwrite: true}).warnings
  assert.match(plan(applied('argocd', 'Apply'))[0]?.message ?? '', /applied by argocd/)
  assert.deepEqual(codes(plan(applied('argocd', 'Update'))), [])
  assert.deepEqual(codes(plan(applied('kmeshctl', 'Apply'))), [])
  assert.deepEqual(codes(plan(applied('argocd', 'Apply', 'team'))), [])
})

test('a pod with a controller: names the owner and the patch of its template', () => {
  const metadata = {
    labels: {'pod-template-hash': '6d4cf'},
    ownerReferences: [
      {apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-6d4cf', uid: 'u', controller: true},
    ],
  }
  const target = {pod: podOf('web', {metadata}), namespace: namespaceOf('shop')}
  const plan = planPods([target], factsOf(mine(false)), enroll)
  assert.deepEqual(codes(plan.warnings), ['OwnerRecreates', 'OpenConnections'])
  assert.match(
    plan.warnings[0]?.message ?? '',
    /kubectl -n shop patch deployment web --type merge -p '\{"spec":\{"template":\{"metadata":\{"labels":\{"istio\.io\/dataplane-mode":"kmesh"\}\}\}\}\}'$/,
  )
})

test('one warning for all pods of an owner, another for each other owner', () => {
  const ownedBy = (name: string) => ({
    ownerReferences: [{apiVersion: 'apps/v1', kind: 'StatefulSet', name, uid: 'u', controller: true}],
  })
  const pods = [
    ['db-0', 'db'],
    ['db-1', 'db'],
    ['db-2', 'db'],
    ['mq-0', 'mq'],
  ] as const
  const targets = pods.map(([name, owner]) => ({
    pod: podOf(name, {metadata: ownedBy(owner)}),
    namespace: namespaceOf('shop'),
  }))
  const warnings = planPods(targets, factsOf(), enroll).warnings
  assert.deepEqual(
    warnings.map(({code, message}) => [code, message.split(':')[0]]),
    [
      ['OwnerRecreates', 'pod shop/db-0 (and 2 more)'],
      ['OwnerRecreates', 'pod shop/mq-0'],
    ],
  )
})

test('no command is printed for an owner whose name is none', () => {
  assert.equal(templatePatchCommand('shop', {kind: 'Deployment', name: 'web; reboot'}, 'kmesh'), null)
  assert.notEqual(templatePatchCommand('shop', {kind: 'Deployment', name: 'web'}, 'kmesh'), null)
})

test('owners: a ReplicaSet without a Deployment, a Job, none', () => {
  const owned = (kind: string) => ({
    ownerReferences: [{apiVersion: 'v1', kind, name: 'web-6d4cf', uid: 'u', controller: true}],
  })
  assert.deepEqual(templateOwnerOf(owned('ReplicaSet')), {kind: 'ReplicaSet', name: 'web-6d4cf'})
  assert.equal(templatePatchCommand('shop', {kind: 'Job', name: 'once'}, 'kmesh'), null)
  assert.equal(
    templateOwnerOf({ownerReferences: [{apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u'}]}),
    undefined,
  )
})

test('enroll pod: a label without effect, and none instead of removal, are said', () => {
  const host = {pod: podOf('web', {hostNetwork: true}), namespace: namespaceOf('shop')}
  assert.deepEqual(codes(planPods([host], factsOf(mine(false)), enroll).warnings), ['NoEffect'])
  const leaving = {pod: podOf('web'), namespace: namespaceOf('shop', 'kmesh')}
  assert.deepEqual(codes(planPods([leaving], factsOf(mine(true)), unenroll).warnings), [
    'NoneWritten',
    'OpenConnections',
  ])
})

function labels(value: string | undefined): Record<string, string> | undefined {
  return value === undefined ? undefined : {[MODE]: value}
}

function textOf(change: ReturnType<typeof podChange>): string {
  return change.kind === 'write' ? `write ${change.before}>${change.after}` : `${change.kind} ${change.code}`
}

function codes(warnings: readonly {readonly code: string}[]): string[] {
  return warnings.map((warning) => warning.code)
}
