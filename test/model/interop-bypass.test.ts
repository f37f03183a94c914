// SPDX-License-Identifier: Apache-2.0
// Goal: a short-circuited sidecar is seen as the daemon tells it, in interop status and in interop check, and never guessed.
// Method: one row for each answer of the daemon; expected values by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {EnrollmentEntry} from '../../src/lib/model/api.ts'
import {checkReply} from '../../src/lib/model/api-check.ts'
import {checkedPod} from '../../src/lib/model/check-cluster.ts'
import {interopPod} from '../../src/lib/model/interop.ts'
import {CAPTURED, entryOf, factsOf, namespaceOf, ours, podOf, SIDECAR} from './plan-fixtures.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const YOUNG = '2026-03-01T11:59:30Z'
const OLD = '2026-03-01T11:00:00Z'
const ASKED = {'kmesh.net/bypass': 'enabled'}

interface Row {
  readonly title: string
  readonly captured: boolean
  readonly labels?: Record<string, string>
  readonly mode?: string
  readonly bypass?: EnrollmentEntry['bypass']
  readonly since?: string
  /** intent, capture, state, reason */
  readonly status: readonly [string, string | null, string | null, string]
  /** kmesh, bypassed */
  readonly check: readonly [boolean | null, boolean]
}

const active = {wanted: true, active: true, reason: null}
const late = {wanted: true, active: false, reason: 'IptablesLocked'}
const ROWS: readonly Row[] = [
  {
    title: 'captured, sidecar short-circuited',
    captured: true,
    mode: 'kmesh',
    bypass: active,
    status: ['kmesh', 'kmesh', 'active', 'NamespaceLabel'],
    check: [true, true],
  },
  {
    title: 'captured, not short-circuited yet',
    captured: true,
    mode: 'kmesh',
    bypass: late,
    since: YOUNG,
    status: ['kmesh', 'kmesh', 'pending', 'IptablesLocked'],
    check: [true, false],
  },
  {
    title: 'captured, not short-circuited for long',
    captured: true,
    mode: 'kmesh',
    bypass: {...late, reason: null},
    status: ['kmesh', 'kmesh', 'stale', 'NotBypassed'],
    check: [true, false],
  },
  {
    title: 'unsupported is never on its way',
    captured: false,
    mode: 'kmesh',
    bypass: {...late, reason: 'BypassUnsupported'},
    since: YOUNG,
    status: ['kmesh', 'sidecar', 'stale', 'BypassUnsupported'],
    check: [false, false],
  },
  {
    title: 'by its own label, not captured',
    captured: false,
    labels: ASKED,
    bypass: active,
    status: ['none', 'none', 'active', 'NotLabelled'],
    check: [false, true],
  },
  {
    title: 'the label went, the rules stay',
    captured: false,
    bypass: {wanted: false, active: true, reason: null},
    status: ['sidecar', 'none', 'stale', 'StillBypassed'],
    check: [false, true],
  },
  {
    title: 'captured beside a sidecar that nobody wants out of the way',
    captured: true,
    mode: 'kmesh',
    bypass: {wanted: false, active: false, reason: null},
    status: ['kmesh', 'kmesh', 'conflict', 'SeveralDataPlanes'],
    check: [true, false],
  },
  {
    title: 'label, and a daemon that knows of none',
    captured: false,
    labels: ASKED,
    status: ['none', null, null, 'BypassNotTold'],
    check: [null, false],
  },
  {
    title: 'the daemon knows better than the policy',
    captured: false,
    labels: ASKED,
    bypass: {wanted: false, active: false, reason: null},
    status: ['sidecar', 'sidecar', 'active', 'NotLabelled'],
    check: [false, false],
  },
]

for (const row of ROWS) {
  test(row.title, () => {
    const {captured, labels = {}, mode, bypass, since = OLD} = row
    const intent = mode === 'kmesh'
    const entry = {...entryOf('uid-web', captured, {intent, since}), ...(bypass ? {bypass} : {})}
    const facts = factsOf(
      ours('n1', {}, {sidecarPolicy: 'bypass', enrollment: new Map([['uid-web', entry]])}),
    )
    const annotations = {...SIDECAR, ...(captured ? CAPTURED : {})}
    const pod = podOf('web', {annotations, metadata: {labels}})
    const view = interopPod(pod, namespaceOf('shop', mode), facts, NOW)
    assert.deepEqual([view.intent, view.capture, view.state, view.reason], row.status)
    const {capture} = checkedPod(pod, facts, new Map())
    assert.deepEqual([capture.kmesh, capture.bypassed], row.check)
  })
}

test("a label of the namespace asks in the check too; the pod's own label opts out", () => {
  const facts = factsOf(ours('n1', {'uid-web': false}))
  const namespaces = new Map([['shop', ASKED]])
  const pod = podOf('web', {annotations: SIDECAR})
  const own = podOf('web', {annotations: SIDECAR, metadata: {labels: {'kmesh.net/bypass': 'no'}}})
  assert.deepEqual(
    [pod, own].map((one) => {
      const {asksBypass, capture} = checkedPod(one, facts, namespaces)
      return [asksBypass, capture.kmesh]
    }),
    [
      [true, null],
      [false, false],
    ],
  )
})

test("a label of the namespace asks too, and the daemon's word stands in the answer", () => {
  const namespace = namespaceOf('shop', undefined, {labels: ASKED})
  const pod = podOf('web', {annotations: SIDECAR})
  const untold = interopPod(pod, namespace, factsOf(ours('n1', {'uid-web': false})), NOW)
  assert.deepEqual(untold.bypass, {wanted: true, active: null, reason: 'BypassNotTold'})
  assert.equal(
    interopPod(pod, namespaceOf('shop'), factsOf(ours('n1', {'uid-web': false})), NOW).bypass,
    null,
  )
})

test('an answer whose bypass has another shape is refused', () => {
  const entry = entryOf('uid-web', true)
  checkReply('enrollment', [entry, {...entry, bypass: active}])
  assert.throws(() => checkReply('enrollment', [{...entry, bypass: {wanted: true, active: 'yes'}}]))
})
