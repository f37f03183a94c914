// SPDX-License-Identifier: Apache-2.0
// Goal: a service changes in steps between which no connection finds a hole.
// Method: tables by hand for the slots; then random changes, where after every step a connect hook is played that
// may have read the count at any earlier step of the same change.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {Actual, type Step} from '../../src/lib/agent/actual.ts'
import {
  arrange,
  isStillUsed,
  planService,
  planServiceRemoval,
  serviceValue,
} from '../../src/lib/agent/plan.ts'

const SERVICE = 7
const PORTS = [{servicePort: 80, targetPort: 8080}]

function backend(id: number): Step {
  return {
    kind: 'putBackend',
    id,
    value: {address: `10.0.0.${id}`, services: [], waypointAddress: null, waypointPort: 0},
  }
}

function stateWith(ids: readonly number[]): Actual {
  const actual = new Actual()
  for (const id of ids) actual.apply(backend(id))
  for (const step of planService(actual, {id: SERVICE, ports: PORTS, backendIds: ids}).now) actual.apply(step)
  return actual
}

describe('slots', () => {
  const cases: readonly [string, number[], number[], number[]][] = [
    ['nothing changes', [1, 2, 3], [3, 1, 2], [1, 2, 3]],
    ['one comes', [1, 2], [1, 2, 3], [1, 2, 3]],
    ['the last goes', [1, 2, 3], [1, 2], [1, 2]],
    ['the first goes, the last takes its place', [1, 2, 3], [2, 3], [3, 2]],
    ['one goes and one comes', [1, 2, 3], [1, 3, 4], [1, 4, 3]],
    ['all go', [1, 2], [], []],
    ['all are others', [1, 2], [5, 6], [5, 6]],
    ['two go in the middle', [1, 2, 3, 4], [1, 4], [1, 4]],
    ['a slot held twice is held once', [1, 1, 2], [1, 2], [1, 2]],
    ['a hole that was found is closed', [0, 2], [2], [2]],
  ]
  for (const [name, live, wanted, expected] of cases) {
    test(name, () => assert.deepEqual(arrange(live, wanted), expected))
  }
})

describe('steps', () => {
  test('growing: the slot, then the count', () => {
    const plan = planService(stateWith([1]), {id: SERVICE, ports: PORTS, backendIds: [1, 2]})
    assert.deepEqual(plan.now, [
      {kind: 'putEndpoint', serviceId: SERVICE, index: 2, backendId: 2},
      {kind: 'putService', id: SERVICE, value: serviceValue(PORTS, 2)},
    ])
    assert.deepEqual(plan.later, [])
  })

  test('shrinking: the gap is filled, the count lowered, the slot deleted later', () => {
    const plan = planService(stateWith([1, 2, 3]), {id: SERVICE, ports: PORTS, backendIds: [2, 3]})
    assert.deepEqual(plan.now, [
      {kind: 'putEndpoint', serviceId: SERVICE, index: 1, backendId: 3},
      {kind: 'putService', id: SERVICE, value: serviceValue(PORTS, 2)},
    ])
    assert.deepEqual(plan.later, [{kind: 'deleteEndpoint', serviceId: SERVICE, index: 3}])
  })

  test('nothing to do is no step', () => {
    assert.deepEqual(planService(stateWith([1, 2]), {id: SERVICE, ports: PORTS, backendIds: [2, 1]}), {
      now: [],
      later: [],
    })
  })

  test('a new target port alone writes the service only', () => {
    const ports = [{servicePort: 80, targetPort: 9090}]
    const plan = planService(stateWith([1]), {id: SERVICE, ports, backendIds: [1]})
    assert.deepEqual(plan.now, [{kind: 'putService', id: SERVICE, value: serviceValue(ports, 1)}])
  })

  test('a delete is void when the slot is counted again, and when the service came back', () => {
    const actual = stateWith([1, 2])
    const slot: Step = {kind: 'deleteEndpoint', serviceId: SERVICE, index: 2}
    assert.equal(
      isStillUsed(actual, slot, () => false),
      true,
    )
    assert.equal(
      isStillUsed(actual, {...slot, index: 3}, () => false),
      false,
    )
    assert.equal(
      isStillUsed(actual, {kind: 'deleteService', id: SERVICE}, (id) => id === SERVICE),
      true,
    )
    assert.equal(
      isStillUsed(actual, {kind: 'deleteBackend', id: 9}, (id) => id === SERVICE),
      false,
    )
  })

  test('removal: the service before its slots', () => {
    assert.deepEqual(planServiceRemoval(stateWith([1, 2]), SERVICE).later, [
      {kind: 'deleteService', id: SERVICE},
      {kind: 'deleteEndpoint', serviceId: SERVICE, index: 2},
      {kind: 'deleteEndpoint', serviceId: SERVICE, index: 1},
    ])
  })
})

/** What a hook that has read `count` may find now: every slot up to it must lead to a backend. */
function assertNoHole(actual: Actual, count: number, allowed: ReadonlySet<number>): void {
  const slots = actual.endpoints.get(SERVICE) ?? []
  for (let index = 1; index <= count; index += 1) {
    const id = slots[index - 1] ?? 0
    assert.ok(actual.backends.has(id), `slot ${index} of ${count} leads to ${id}, which is no backend`)
    assert.ok(allowed.has(id), `slot ${index} of ${count} leads to ${id}, neither an old nor a new endpoint`)
  }
}

/** Applies the change step by step and plays hooks in between; returns how many deletes there were. */
function change(actual: Actual, before: readonly number[], next: readonly number[]): number {
  const allowed = new Set([...before, ...next])
  for (const id of next) if (!actual.backends.has(id)) actual.apply(backend(id))
  const plan = planService(actual, {id: SERVICE, ports: PORTS, backendIds: next})
  let highest = actual.services.get(SERVICE)?.count ?? 0
  for (const step of plan.now) {
    actual.apply(step)
    highest = Math.max(highest, actual.services.get(SERVICE)?.count ?? 0)
    assertNoHole(actual, highest, allowed)
  }
  assert.deepEqual([...actual.liveSlots(SERVICE)].sort(), next)
  for (const step of plan.later) {
    actual.apply(step)
    assertNoHole(actual, next.length, new Set(next))
  }
  assert.equal(actual.endpoints.get(SERVICE)?.length ?? 0, next.length, 'slots behind the count are gone')
  for (const id of before) if (!next.includes(id)) actual.apply({kind: 'deleteBackend', id})
  return plan.later.length
}

test('no hole between any two steps of random changes', () => {
  let seed = 42
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  let wanted: number[] = [1, 2, 3]
  const actual = stateWith(wanted)
  let deletes = 0
  for (let round = 0; round < 2000; round += 1) {
    const next = Array.from({length: 8}, (_, index) => index + 1).filter(() => random(3) === 0)
    deletes += change(actual, wanted, next)
    wanted = next
  }
  assert.ok(deletes > 500, 'the random changes did shrink')
})
