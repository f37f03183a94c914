// SPDX-License-Identifier: Apache-2.0
// Goal: a plan for pods of a v0.4 daemon goes by that daemon's rule: label of pod, annotation or namespace label.
// Method: plans over hand-written pods on a v0.4 node (n1) and on a later one (n2); expectations by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {decideEnrollment} from '../../src/lib/model/enrollment.ts'
import type {PlanOptions} from '../../src/lib/model/plan.ts'
import {planNamespaces, planPods} from '../../src/lib/model/plan-build.ts'
import {CAPTURED, factsOf, goDaemon, namespaceOf, podOf, SIDECAR} from './plan-fixtures.ts'

const FACTS = factsOf(goDaemon('n1', {rules: 'v0.4'}), goDaemon('n2'))
const LEAVE: PlanOptions = {
  action: 'unenroll',
  overwrite: false,
  allowSystem: false,
  meshNamespace: 'kmesh-system',
}

test('the rule of v0.4: no exclusion, no opt-out, the annotation counts', () => {
  const rule = (pod: Parameters<typeof decideEnrollment>[0], mode?: string) =>
    decideEnrollment(
      pod,
      mode === undefined ? undefined : {'istio.io/dataplane-mode': mode},
      'exclude',
      'v0.4',
    )
  assert.deepEqual(rule(podOf('a', {mode: 'kmesh', hostNetwork: true, annotations: SIDECAR})), {
    enroll: true,
    rule: 'PodLabelKmesh',
  })
  assert.deepEqual(rule(podOf('a', {annotations: CAPTURED})), {enroll: true, rule: 'Annotation'})
  assert.deepEqual(rule(podOf('a', {mode: 'none'}), 'kmesh'), {enroll: true, rule: 'NamespaceLabel'})
  assert.deepEqual(rule(podOf('a')), {enroll: false, rule: 'NotLabelled'})
})

test('unenroll pod removes label and annotation, says so, and expects the pod to be free', () => {
  const pod = podOf('a', {mode: 'kmesh', annotations: CAPTURED})
  const plan = planPods([{pod, namespace: namespaceOf('shop')}], FACTS, LEAVE)
  assert.deepEqual(plan.targets[0]?.change, {kind: 'write', before: 'kmesh', after: null})
  assert.deepEqual(plan.unannotations, [{namespace: 'shop', name: 'a', uid: 'uid-a', targetUid: 'uid-a'}])
  assert.deepEqual([plan.pods[0]?.after.intent, plan.pods[0]?.reason], [false, 'NotLabelled'])
  assert.ok(plan.warnings.some(({code, message}) => code === 'AnnotationRemoved' && /shop\/a/.test(message)))
})

test('a pod that only its annotation enrolls is unenrolled by removing it', () => {
  const pod = podOf('a', {annotations: CAPTURED})
  const plan = planPods([{pod, namespace: namespaceOf('shop')}], FACTS, LEAVE)
  assert.deepEqual(plan.targets[0]?.change, {kind: 'write', before: null, after: null})
  assert.equal(plan.unannotations.length, 1)
})

test('`none` is refused where the daemon does not know it, and written where it does', () => {
  const namespace = namespaceOf('shop', 'kmesh')
  const pods = [podOf('a', {annotations: CAPTURED}), podOf('b', {annotations: CAPTURED, node: 'n2'})]
  const plan = planPods(
    pods.map((pod) => ({pod, namespace})),
    FACTS,
    LEAVE,
  )
  const changes = plan.targets.map(({change}) => (change.kind === 'refuse' ? change.code : change))
  assert.deepEqual(changes, ['RuleNotSupported', {kind: 'write', before: null, after: 'none'}])
  assert.deepEqual(plan.unannotations, [])
})

test('unenroll namespace removes the annotations of its v0.4 pods, but of those with a label of their own', () => {
  const namespace = namespaceOf('shop', 'kmesh')
  const pods = [
    podOf('a', {annotations: CAPTURED}),
    podOf('b', {annotations: CAPTURED, mode: 'kmesh'}),
    podOf('c', {annotations: CAPTURED, node: 'n2'}),
    podOf('d'),
  ]
  const plan = planNamespaces([{namespace, pods}], FACTS, LEAVE)
  assert.deepEqual(
    plan.unannotations.map(({name, targetUid}) => [name, targetUid]),
    [['a', 'uid-shop']],
  )
  const after = plan.pods.map(({name, after: {intent}}) => [name, intent])
  assert.deepEqual(after, [
    ['a', false],
    ['b', true],
    ['c', false],
    ['d', false],
  ])
})
