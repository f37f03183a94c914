// SPDX-License-Identifier: Apache-2.0
// Goal: tables of enroll and interop show what the items hold, in fixed columns, with totals.
// Method: whole rendered text for hand-made items.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {InteropItem} from '../../src/lib/model/interop.ts'
import {interopNamespace, interopPod} from '../../src/lib/model/interop.ts'
import {planNamespaces} from '../../src/lib/model/plan-build.ts'
import {plannedReport} from '../../src/lib/model/plan-result.ts'
import {enrollQuestion, enrollView} from '../../src/lib/render/enroll.ts'
import {FORMATS} from '../../src/lib/render/formats.ts'
import {interopView} from '../../src/lib/render/interop.ts'
import {CAPTURED, entryOf, factsOf, namespaceOf, ours, podOf, SIDECAR} from '../model/plan-fixtures.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const context = {nowMs: NOW, color: false, headers: true}

const plan = () =>
  planNamespaces(
    [
      {
        namespace: namespaceOf('shop'),
        pods: [podOf('web'), podOf('envoy', {annotations: SIDECAR}), podOf('far', {node: 'n2'})],
      },
    ],
    factsOf(ours('n1', {'uid-web': false, 'uid-envoy': false})),
    {action: 'enroll', overwrite: false, allowSystem: false, meshNamespace: 'kmesh-system'},
  )

test('the plan of a namespace', async () => {
  const report = plannedReport(plan())
  assert.deepEqual((await FORMATS.table.render(report, enrollView, context)).split('\n'), [
    'NAMESPACE   POD           NODE     NOW       AFTER     REASON           STATE       NOTE',
    'shop        (namespace)   <none>   <none>    kmesh     Label            planned     <none>',
    'shop        envoy         n1       sidecar   sidecar   SidecarPresent   unchanged   <none>',
    'shop        far           n2       none      none      NamespaceLabel   skipped     NoDaemonOnNode',
    'shop        web           n1       none      kmesh     NamespaceLabel   planned     <none>',
    '',
  ])
  const totals = '1 namespace: 1 planned; 3 pods: 1 unchanged, 1 skipped, 1 planned (dry run)'
  assert.equal(enrollView.totals?.(report), totals)
  assert.equal(enrollQuestion(plan()), 'Enroll namespace shop? 1 of 3 pods will change.')
})

test('interop: namespaces with counts, pods with source and sidecar', async () => {
  const namespace = namespaceOf('shop', 'kmesh', {labels: {'istio.io/rev': 'r1'}})
  const entries = new Map([
    ['uid-web', entryOf('uid-web', true, {intent: true, since: '2026-03-01T11:00:00Z'})],
  ])
  const facts = factsOf(ours('n1', {}, {enrollment: entries}))
  const pods = [
    podOf('envoy', {annotations: SIDECAR}),
    podOf('off', {mode: 'none', metadata: {labels: {'sidecar.istio.io/inject': 'false'}}}),
    podOf('web', {annotations: CAPTURED}),
  ].map((pod) => interopPod(pod, namespace, facts, NOW))
  const items: InteropItem[] = [interopNamespace(namespace, pods), ...pods]
  const summary = {
    requested: 3,
    ok: 3,
    failed: 0,
    skipped: 0,
    namespaces: 1,
    captures: {kmesh: 1, sidecar: 1, ambient: 0, none: 1, unknown: 0},
    states: {active: 3, pending: 0, stale: 0, conflict: 0, unknown: 0},
  }
  const report = {kind: 'InteropStatus', summary, items, errors: [], warnings: []}
  assert.deepEqual((await FORMATS.table.render(report, interopView, context)).split('\n'), [
    'NAMESPACE   POD           NODE     INTENT    NOW                          SOURCE       SIDECAR      STATE    REASON',
    'shop        (namespace)   <none>   kmesh     kmesh 1, sidecar 1, none 1   <none>       new pods     active   <none>',
    'shop        envoy         n1       sidecar   sidecar                      annotation   injected     active   SidecarPresent',
    'shop        off           n1       none      none                         annotation   <none>       active   PodLabelNone',
    'shop        web           n1       kmesh     kmesh                        kernel       at restart   active   NamespaceLabel',
    '',
  ])
  const totals = '1 namespace, 3 pods; captured by: kmesh 1, sidecar 1, none 1; states: active 3'
  assert.equal(interopView.totals?.(report), totals)
})
