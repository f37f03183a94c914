// SPDX-License-Identifier: Apache-2.0
// Goal: reduced pods give the same answers as whole ones, and share what they have alike.
// Method: pods with every field that interop looks at and many that it does not; both answers are compared.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {checkedPod} from '../../src/lib/model/check-cluster.ts'
import {interopPod} from '../../src/lib/model/interop.ts'
import type {KubeObject, Pod} from '../../src/lib/model/kube.ts'
import {PodProjection} from '../../src/lib/model/pod-projection.ts'
import {CAPTURED, factsOf, MODE, namespaceOf, ours, podOf, SIDECAR} from './plan-fixtures.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const LABEL_WRITTEN = '2026-03-01T11:59:30Z'

const whole: Pod = {
  ...podOf('web', {
    annotations: {...SIDECAR, ...CAPTURED, 'sidecar.istio.io/inject': 'false', junk: 'x'.repeat(5000)},
  }),
  metadata: {
    ...podOf('web').metadata,
    annotations: {...SIDECAR, ...CAPTURED, 'sidecar.istio.io/inject': 'false', junk: 'x'.repeat(5000)},
    labels: {app: 'web', [MODE]: 'kmesh', 'pod-template-hash': '1'},
    ownerReferences: [
      {apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', uid: 'r', controller: true},
      {apiVersion: 'v1', kind: 'Else', name: 'x', uid: 's'},
    ],
    managedFields: [
      {manager: 'a', time: LABEL_WRITTEN, fieldsV1: {'f:metadata': {'f:labels': {[`f:${MODE}`]: {}}}}},
      {manager: 'b', time: '2026-03-01T11:59:59Z', fieldsV1: {'f:status': {}}},
    ],
  },
  spec: {
    nodeName: 'n1',
    hostNetwork: true,
    containers: [
      {name: 'c', image: 'i', ports: [{name: 'http', containerPort: 8080, protocol: 'TCP'}]},
      {name: 'd', image: 'j'},
    ],
  },
  status: {
    phase: 'Running',
    podIP: '10.0.0.1',
    startTime: '2026-03-01T11:00:00Z',
    conditions: [
      {type: 'Initialized', status: 'True'},
      {type: 'Ready', status: 'True', message: 'm', lastTransitionTime: '2026-03-01T11:00:10Z'},
    ],
  },
}

const inside: Pod = {...whole, spec: {containers: [], nodeName: 'n1'}}

test('a reduced pod is judged as the whole one', () => {
  const facts = factsOf(ours('n1'))
  const namespace = namespaceOf('shop', 'kmesh')
  const {project} = new PodProjection()
  for (const pod of [whole, {metadata: {name: 'bare'}} as Pod, inside]) {
    const reduced = project(pod as KubeObject)
    assert.deepEqual(interopPod(reduced, namespace, facts, NOW), interopPod(pod, namespace, facts, NOW))
    assert.deepEqual(checkedPod(reduced, facts, new Map()), checkedPod(pod, facts, new Map()))
  }
  const view = interopPod(project(inside), namespace, facts, NOW)
  assert.deepEqual(
    [view.intentAgeMs, view.sidecar.injected, view.sidecar.rule],
    [30_000, true, 'NotSelected'],
  )
})

test('ports and address stay, everything else goes', () => {
  const {project} = new PodProjection()
  const reduced = project(whole)
  assert.deepEqual(reduced.spec?.containers, [{name: 'c', ports: [{containerPort: 8080, protocol: 'TCP'}]}])
  assert.equal(reduced.status?.podIP, '10.0.0.1')
  assert.ok(JSON.stringify(reduced).length < 900, JSON.stringify(reduced))
})

test('what pods have alike is kept once', () => {
  const {project} = new PodProjection()
  const [one, other] = [project(structuredClone(whole)), project(structuredClone(whole))]
  assert.equal(one.metadata.labels, other.metadata.labels)
  assert.equal(one.metadata.annotations, other.metadata.annotations)
  assert.equal(one.spec?.containers, other.spec?.containers)
})
