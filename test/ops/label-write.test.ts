// SPDX-License-Identifier: Apache-2.0
// Goal: a label is written once, over changes that do not matter, and never over one that does.
// Method: a fake API server that changes the object just before the patch arrives.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DeniedError} from '../../src/lib/errors.ts'
import type {LabelChange, TargetPlan} from '../../src/lib/model/plan.ts'
import {writeLabel} from '../../src/lib/ops/label-write.ts'
import {MODE, podOf} from '../model/plan-fixtures.ts'
import {FakeClock, FakeKube} from './enroll-fakes.ts'

const PATH = {group: '', version: 'v1', resource: 'pods', namespace: 'shop', name: 'web'}

function target(change: LabelChange): TargetPlan {
  return {kind: 'Pod', namespace: 'shop', name: 'web', uid: 'uid-web', resourceVersion: '7', change}
}

const set: LabelChange = {kind: 'write', before: null, after: 'kmesh'}
const run = (kube: FakeKube, change: LabelChange = set, dryRun = false) =>
  writeLabel(kube.port, target(change), {dryRun, clock: new FakeClock()})

test('one merge patch with the resourceVersion that the plan saw', async () => {
  const kube = new FakeKube(podOf('web'))
  await run(kube)
  assert.deepEqual(kube.patches, [
    {path: PATH, patch: {metadata: {resourceVersion: '7', labels: {[MODE]: 'kmesh'}}}, dryRun: false},
  ])
  assert.deepEqual(kube.labels('pods', 'web'), {[MODE]: 'kmesh'})
})

test('removal writes null', async () => {
  const kube = new FakeKube(podOf('web', {mode: 'kmesh'}))
  await run(kube, {kind: 'write', before: 'kmesh', after: null})
  assert.deepEqual(kube.labels('pods', 'web'), {})
})

test('nothing is sent for a label that stays', async () => {
  const kube = new FakeKube(podOf('web'))
  await run(kube, {kind: 'keep', before: 'kmesh', code: 'AlreadyEnrolled'})
  assert.deepEqual(kube.patches, [])
})

test('goes on over another change of the pod', async () => {
  const kube = new FakeKube(podOf('web'))
  kube.beforePatch = () => {
    if (kube.patches.length < 3) kube.label(PATH, {other: String(kube.patches.length)})
  }
  await run(kube)
  assert.deepEqual(
    kube.patches.map((call) => call.patch.metadata.resourceVersion),
    ['7', '8', '9'],
  )
  assert.deepEqual(kube.labels('pods', 'web'), {other: '2', [MODE]: 'kmesh'})
})

test('stops when somebody set the label to something else', async () => {
  const kube = new FakeKube(podOf('web'))
  kube.beforePatch = () => kube.label(PATH, {[MODE]: 'none'})
  await assert.rejects(run(kube), {
    code: 'Conflict',
    exitCode: 7,
    message: /not set in the plan and is "none" now/,
  })
  assert.deepEqual(kube.labels('pods', 'web'), {[MODE]: 'none'})
})

test('is done when somebody set the label to what was wanted', async () => {
  const kube = new FakeKube(podOf('web'))
  kube.beforePatch = () => kube.label(PATH, {[MODE]: 'kmesh'})
  await run(kube)
  assert.equal(kube.patches.length, 1)
})

test('never labels a pod that took the name', async () => {
  const kube = new FakeKube(podOf('web'))
  kube.beforePatch = () => kube.edit(PATH, (object) => ({...object.metadata, uid: 'other'}))
  await assert.rejects(run(kube), {code: 'Conflict', message: /deleted and made again/})
})

test('gives up on an object that changes before every write', async () => {
  const kube = new FakeKube(podOf('web'))
  kube.beforePatch = () => kube.label(PATH, {other: String(kube.patches.length)})
  await assert.rejects(run(kube), {code: 'Conflict', exitCode: 7})
  assert.equal(kube.patches.length, 6)
})

test('other answers are not retried', async () => {
  const kube = new FakeKube(podOf('web'))
  kube.beforePatch = () => {
    throw new DeniedError(403, 'Forbidden', 'no')
  }
  await assert.rejects(run(kube), {code: 'Forbidden', exitCode: 6})
  assert.equal(kube.patches.length, 1)
})

test('a server dry run stores nothing', async () => {
  const kube = new FakeKube(podOf('web'))
  await run(kube, set, true)
  assert.equal(kube.patches[0]?.dryRun, true)
  assert.deepEqual(kube.labels('pods', 'web'), {})
})
