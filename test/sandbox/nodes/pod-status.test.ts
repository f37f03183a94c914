// SPDX-License-Identifier: Apache-2.0
// Goal: phase, conditions and container states as kubectl reads them. Method: views by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {ContainerState} from '../../../src/lib/sandbox/nodes/container.ts'
import {
  type ContainerView,
  type PodView,
  phaseOf,
  podStatus,
} from '../../../src/lib/sandbox/nodes/pod-status.ts'

const NOW = '2026-01-02T03:04:05.000Z'
const RUNNING: ContainerState = {kind: 'running', startedAtMs: Date.UTC(2026, 0, 2), pid: 1}
const CREATING: ContainerState = {kind: 'waiting', reason: 'ContainerCreating', message: ''}
const ended = (exitCode: number): ContainerState => ({kind: 'terminated', exitCode, reason: 'Error', atMs: 0})

function view(states: readonly ContainerState[], more: Partial<PodView> = {}, ready = false): PodView {
  return {
    startedAt: '2026-01-02T03:00:00Z',
    addresses: ['10.130.1.2', 'fd00::2'],
    nodeAddresses: ['172.16.0.1', 'fd00::1'],
    restartPolicy: 'Always',
    containers: states.map((state, index) => container(`c${index}`, state, {ready})),
    initContainers: [],
    ...more,
  }
}

function container(name: string, state: ContainerState, more: Partial<ContainerView> = {}): ContainerView {
  return {
    name,
    image: 'sandbox/echo',
    role: 'main',
    state,
    restartCount: 0,
    ready: false,
    started: state.kind === 'running',
    probeMessage: '',
    ...more,
  }
}

for (const [states, restartPolicy, phase] of [
  [[CREATING], 'Always', 'Pending'],
  [[RUNNING], 'Always', 'Running'],
  [[RUNNING, CREATING], 'Always', 'Running'],
  [[ended(1)], 'Always', 'Running'],
  [[{kind: 'waiting', reason: 'CrashLoopBackOff', message: ''}], 'Always', 'Running'],
  [[ended(0), ended(0)], 'Never', 'Succeeded'],
  [[ended(0), ended(1)], 'Never', 'Failed'],
  [[ended(0), RUNNING], 'Never', 'Running'],
] as const) {
  test(`phase of ${states.map((state) => state.kind).join(', ')} with ${restartPolicy} is ${phase}`, () => {
    assert.equal(phaseOf(view(states, {restartPolicy})), phase)
  })
}

test('a ready pod', () => {
  const status = podStatus(view([RUNNING], {}, true), [], NOW)
  assert.equal(status.podIP, '10.130.1.2')
  assert.deepEqual(status.podIPs, [{ip: '10.130.1.2'}, {ip: 'fd00::2'}])
  assert.equal(status.hostIP, '172.16.0.1')
  assert.deepEqual(
    status.conditions?.map(({type, status: value}) => `${type}=${value}`),
    ['Initialized=True', 'ContainersReady=True', 'Ready=True'],
  )
  assert.deepEqual(status.containerStatuses?.[0]?.state, {running: {startedAt: '2026-01-02T00:00:00Z'}})
})

test('a pod without a network yet has no addresses', () => {
  assert.equal('podIP' in podStatus(view([CREATING], {addresses: []}), [], NOW), false)
})

test('the time of a condition stays until it changes; conditions of others stay', () => {
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  } as const
  const first = podStatus(view([RUNNING]), [scheduled], '2026-01-02T00:00:00.000Z')
  const second = podStatus(view([RUNNING], {}, true), first.conditions ?? [], NOW)
  const times = Object.fromEntries(
    (second.conditions ?? []).map((entry) => [entry.type, entry.lastTransitionTime]),
  )
  assert.deepEqual(times, {
    PodScheduled: '2026-01-01T00:00:00Z',
    Initialized: '2026-01-02T00:00:00.000Z',
    ContainersReady: NOW,
    Ready: NOW,
  })
})

test('why a pod is not ready', () => {
  const waiting: ContainerState = {
    kind: 'waiting',
    reason: 'CreateContainerError',
    message: 'no such program',
  }
  const ready = podStatus(view([waiting]), [], NOW).conditions?.find(({type}) => type === 'Ready')
  assert.equal(ready?.reason, 'ContainersNotReady')
  assert.equal(ready?.message, 'c0: CreateContainerError: no such program')
})

const WAITING: ContainerState = {kind: 'waiting', reason: 'PodInitializing', message: ''}

test('while an init container runs the pod is Pending and not Initialized', () => {
  const initContainers = [
    container('first', {kind: 'terminated', exitCode: 0, reason: 'Completed', atMs: 0}, {role: 'init'}),
    container('second', RUNNING, {role: 'init'}),
    container('proxy', WAITING, {role: 'sidecar'}),
  ]
  const status = podStatus(view([WAITING], {initContainers}), [], NOW)
  assert.equal(status.phase, 'Pending')
  const [initialized] = status.conditions ?? []
  assert.deepEqual(
    [initialized?.status, initialized?.reason, initialized?.message],
    ['False', 'ContainersNotInitialized', 'containers with incomplete status: [second proxy]'],
  )
  assert.equal(status.initContainerStatuses?.[0]?.state?.terminated?.reason, 'Completed')
})

test('a sidecar that is not ready keeps its pod from being Ready', () => {
  const initContainers = [container('proxy', RUNNING, {role: 'sidecar'})]
  const values = (view: PodView) => podStatus(view, [], NOW).conditions?.map(({status}) => status)
  assert.deepEqual(values(view([RUNNING], {initContainers}, true)), ['True', 'False', 'False'])
  const ready = [container('proxy', RUNNING, {role: 'sidecar', ready: true})]
  assert.deepEqual(values(view([RUNNING], {initContainers: ready}, true)), ['True', 'True', 'True'])
})

test('a failed init container fails a pod that is never restarted, and no other', () => {
  const initContainers = [container('first', ended(2), {role: 'init'})]
  assert.equal(phaseOf(view([WAITING], {initContainers, restartPolicy: 'Never'})), 'Failed')
  assert.equal(phaseOf(view([WAITING], {initContainers})), 'Pending')
})
