// SPDX-License-Identifier: Apache-2.0
// Goal: interop tells intent, capture and state of each pod, and never guesses what nobody told.
// Method: one table row for each situation, times around the 60 s limit; expected values by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {interopNamespace, interopPod} from '../../src/lib/model/interop.ts'
import {absentNode, type NodeFacts, unreachableNode} from '../../src/lib/model/plan-node.ts'
import {
  CAPTURED,
  entryOf,
  factsOf,
  goDaemon,
  MODE,
  namespaceOf,
  ours,
  type PodOptions,
  podOf,
  SIDECAR,
} from './plan-fixtures.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const AGO_59S = '2026-03-01T11:59:01Z'
const AGO_60S = '2026-03-01T11:59:00Z'
const AMBIENT = {'ambient.istio.io/redirection': 'enabled'}

interface Case {
  readonly title: string
  readonly mode?: string
  readonly pod?: PodOptions
  readonly node: NodeFacts
  /** intent, capture, source, state, reason */
  readonly expected: readonly [string, string | null, string, string | null, string]
}

const told = (captured: boolean, intent: boolean, since: string, more: Partial<NodeFacts> = {}): NodeFacts =>
  ours('n1', {}, {enrollment: new Map([['uid-web', entryOf('uid-web', captured, {intent, since})]]), ...more})

const CASES: readonly Case[] = [
  {
    title: 'captured, annotated',
    mode: 'kmesh',
    pod: {annotations: CAPTURED},
    node: told(true, true, AGO_60S),
    expected: ['kmesh', 'kmesh', 'kernel', 'active', 'NamespaceLabel'],
  },
  {
    title: 'nobody wants it',
    node: told(false, false, AGO_60S),
    expected: ['none', 'none', 'kernel', 'active', 'NotLabelled'],
  },
  {
    title: 'intent is 59 s old',
    mode: 'kmesh',
    node: told(false, true, AGO_59S),
    expected: ['kmesh', 'none', 'kernel', 'pending', 'KernelDiffers'],
  },
  {
    title: 'intent is 60 s old',
    mode: 'kmesh',
    node: told(false, true, AGO_60S),
    expected: ['kmesh', 'none', 'kernel', 'stale', 'KernelDiffers'],
  },
  {
    title: 'old intent, pod not Ready',
    mode: 'kmesh',
    pod: {ready: false},
    node: told(false, true, AGO_60S),
    expected: ['kmesh', 'none', 'kernel', 'pending', 'NotReady'],
  },
  {
    title: 'kernel kept it after the label went',
    pod: {annotations: CAPTURED, startTime: AGO_60S},
    node: told(true, false, AGO_60S),
    expected: ['none', 'kmesh', 'kernel', 'stale', 'KernelDiffers'],
  },
  {
    title: 'captured, annotation missing for long',
    mode: 'kmesh',
    node: told(true, true, AGO_60S),
    expected: ['kmesh', 'kmesh', 'kernel', 'stale', 'AnnotationDiffers'],
  },
  {
    title: 'captured, annotation not there yet',
    mode: 'kmesh',
    node: told(true, true, AGO_59S),
    expected: ['kmesh', 'kmesh', 'kernel', 'pending', 'AnnotationDiffers'],
  },
  {
    title: 'sidecar',
    pod: {annotations: SIDECAR},
    node: told(false, false, AGO_60S),
    expected: ['sidecar', 'sidecar', 'kernel', 'active', 'SidecarPresent'],
  },
  {
    title: 'sidecar and Kmesh',
    mode: 'kmesh',
    pod: {annotations: {...SIDECAR, ...CAPTURED}},
    node: told(true, false, AGO_60S),
    expected: ['sidecar', 'kmesh', 'kernel', 'conflict', 'SeveralDataPlanes'],
  },
  {
    title: 'sidecar that Kmesh bypasses is no conflict',
    mode: 'kmesh',
    pod: {annotations: {...SIDECAR, ...CAPTURED}},
    node: told(true, true, AGO_60S, {sidecarPolicy: 'bypass'}),
    expected: ['kmesh', 'kmesh', 'kernel', 'active', 'NamespaceLabel'],
  },
  {
    title: 'ambient',
    mode: 'ambient',
    pod: {annotations: AMBIENT},
    node: told(false, false, AGO_60S),
    expected: ['ambient', 'ambient', 'kernel', 'active', 'NotLabelled'],
  },
  {
    title: 'ambient and Kmesh',
    mode: 'kmesh',
    pod: {annotations: {...AMBIENT, ...CAPTURED}},
    node: told(true, true, AGO_60S),
    expected: ['kmesh', 'kmesh', 'kernel', 'conflict', 'SeveralDataPlanes'],
  },
  {
    title: 'Go daemon, annotation',
    mode: 'kmesh',
    pod: {annotations: CAPTURED},
    node: goDaemon('n1'),
    expected: ['kmesh', 'kmesh', 'annotation', 'active', 'NamespaceLabel'],
  },
  {
    title: 'Go daemon, no annotation, pod started long ago',
    mode: 'kmesh',
    pod: {startTime: AGO_60S},
    node: goDaemon('n1'),
    expected: ['kmesh', 'none', 'annotation', 'stale', 'AnnotationDiffers'],
  },
  {
    title: 'Go daemon, no annotation, young pod',
    mode: 'kmesh',
    pod: {startTime: AGO_59S},
    node: goDaemon('n1'),
    expected: ['kmesh', 'none', 'annotation', 'pending', 'AnnotationDiffers'],
  },
  {
    title: 'daemon does not answer',
    mode: 'kmesh',
    node: unreachableNode('n1'),
    expected: ['kmesh', null, 'none', null, 'DaemonNotReady'],
  },
  {
    title: 'no daemon at all',
    mode: 'kmesh',
    pod: {startTime: AGO_60S},
    node: absentNode('n1'),
    expected: ['kmesh', 'none', 'annotation', 'stale', 'NoDaemonOnNode'],
  },
  {
    title: 'agent that leaves existing pods alone',
    mode: 'kmesh',
    node: ours(
      'n1',
      {},
      {
        existingPods: 'untouched',
        enrollment: new Map([['uid-web', entryOf('uid-web', false, {rule: 'StartedBefore', intent: false})]]),
      },
    ),
    expected: ['none', 'none', 'kernel', 'active', 'StartedBefore'],
  },
]

for (const item of CASES) {
  test(`interop: ${item.title}`, () => {
    const pod = interopPod(podOf('web', item.pod), namespaceOf('shop', item.mode), factsOf(item.node), NOW)
    assert.deepEqual([pod.intent, pod.capture, pod.source, pod.state, pod.reason], item.expected)
  })
}

test('interop: an agent that leaves existing pods alone keeps one whose namespace left', () => {
  const entry = entryOf('uid-web', true, {rule: 'NamespaceLabel', intent: true})
  const facts = factsOf(
    ours('n1', {}, {existingPods: 'untouched', enrollment: new Map([['uid-web', entry]])}),
  )
  const kept = interopPod(podOf('web', {annotations: CAPTURED}), namespaceOf('shop'), facts, NOW)
  assert.deepEqual(
    [kept.intent, kept.capture, kept.state, kept.reason],
    ['kmesh', 'kmesh', 'active', 'StartedBefore'],
  )
  const optedOut = podOf('web', {annotations: CAPTURED, mode: 'none', startTime: AGO_60S})
  const out = interopPod(optedOut, namespaceOf('shop'), facts, NOW)
  assert.deepEqual([out.intent, out.state], ['none', 'stale'])
})

test('a change that the agent has not seen is as old as the label, not as its last change', () => {
  const namespace = namespaceOf('shop', 'kmesh', {
    managedFields: [
      {
        manager: 'x',
        operation: 'Update',
        time: AGO_59S,
        fieldsV1: {'f:metadata': {'f:labels': {[`f:${MODE}`]: {}}}},
      },
      {
        manager: 'y',
        operation: 'Update',
        time: '2026-03-01T11:59:59Z',
        fieldsV1: {'f:metadata': {'f:labels': {}}},
      },
    ],
  })
  const facts = factsOf(told(false, false, '2026-01-01T00:00:00Z'))
  const pod = interopPod(podOf('web', {startTime: '2026-01-01T00:00:00Z'}), namespace, facts, NOW)
  assert.deepEqual([pod.intentAgeMs, pod.state], [59_000, 'pending'])
})

test('sidecar of now and of the next start are two things', () => {
  const namespace = namespaceOf('shop', undefined, {labels: {'istio.io/rev': 'r1'}})
  const pod = interopPod(podOf('web'), namespace, factsOf(told(false, false, AGO_60S)), NOW)
  assert.deepEqual(pod.sidecar, {injected: false, nextStart: true, revision: 'r1', rule: 'NamespaceRevision'})
})

test('a namespace counts its pods and has the worst state of them', () => {
  const facts = factsOf(
    ours(
      'n1',
      {},
      {
        enrollment: new Map([
          ['uid-a', entryOf('uid-a', true, {intent: true})],
          ['uid-b', entryOf('uid-b', false, {since: AGO_59S, intent: true})],
        ]),
      },
    ),
    unreachableNode('n2'),
  )
  const namespace = namespaceOf('shop', 'kmesh')
  const pods = [podOf('a', {annotations: CAPTURED}), podOf('b'), podOf('c', {node: 'n2'})].map((pod) =>
    interopPod(pod, namespace, facts, NOW),
  )
  const row = interopNamespace(namespace, pods)
  assert.deepEqual(row.pods, {kmesh: 1, sidecar: 0, ambient: 0, none: 1, unknown: 1})
  assert.deepEqual([row.intent, row.label, row.state], ['kmesh', 'kmesh', 'pending'])
  assert.equal(interopNamespace(namespace, []).state, 'active')
  assert.equal(
    interopNamespace(
      namespace,
      pods.filter((pod) => pod.name !== 'b'),
    ).state,
    null,
  )
})
