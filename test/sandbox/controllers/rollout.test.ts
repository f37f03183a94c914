// SPDX-License-Identifier: Apache-2.0
// Goal: a rollout ends at the new template and never falls below what it must keep.
// Method: single steps by hand; then whole rollouts with a cluster that does what it is told, slowly.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {
  planRollout,
  type RolloutState,
  resolveShare,
  type SetState,
} from '../../../src/lib/sandbox/controllers/rollout.ts'

function set(name: string, replicas: number, available = replicas, pods = replicas): SetState {
  return {name, replicas, available, ready: available, active: pods, pods}
}

function plan(state: Partial<RolloutState> & Pick<RolloutState, 'current' | 'old'>): Record<string, number> {
  const base = {desired: 4, strategy: 'RollingUpdate', maxSurge: 1, maxUnavailable: 1} as const
  return Object.fromEntries(planRollout({...base, ...state}))
}

test('shares: numbers as they are, percentages up for surge and down for unavailable', () => {
  assert.equal(resolveShare(2, 10, true), 2)
  assert.equal(resolveShare('25%', 10, true), 3)
  assert.equal(resolveShare('25%', 10, false), 2)
  assert.equal(resolveShare(undefined, 3, true), 1)
  assert.equal(resolveShare(undefined, 3, false), 0)
})

test('without old sets the current one gets what is asked for, up and down', () => {
  assert.deepEqual(plan({current: set('new', 0), old: []}), {new: 4})
  assert.deepEqual(plan({current: set('new', 9), old: [set('old', 0)]}), {new: 4})
  assert.deepEqual(plan({current: set('new', 4), old: [set('old', 0)]}), {})
})

test('a rolling update grows within the surge and shrinks within the unavailable', () => {
  assert.deepEqual(plan({current: set('new', 0), old: [set('old', 4)]}), {new: 1, old: 3})
  assert.deepEqual(plan({maxUnavailable: 0, current: set('new', 0), old: [set('old', 4)]}), {new: 1})
  assert.deepEqual(plan({maxUnavailable: 0, current: set('new', 1, 0), old: [set('old', 4)]}), {})
  assert.deepEqual(plan({maxUnavailable: 0, current: set('new', 1, 1), old: [set('old', 4)]}), {old: 3})
})

test('old pods that serve nobody go first, without a limit', () => {
  assert.deepEqual(plan({maxUnavailable: 0, current: set('new', 1, 0), old: [set('old', 4, 1)]}), {old: 1})
})

test('pods of a set that was told to shrink are not counted on', () => {
  // Six pods are still available, but only three of the old ones will be left.
  const old = [set('old', 3, 6, 6)]
  assert.deepEqual(plan({maxUnavailable: 0, maxSurge: 2, current: set('new', 1, 1), old}), {new: 3})
})

test('recreate: first everything goes, then the new one comes', () => {
  const recreate = {strategy: 'Recreate'} as const
  assert.deepEqual(plan({...recreate, current: set('new', 0), old: [set('old', 4)]}), {old: 0})
  assert.deepEqual(plan({...recreate, current: set('new', 0), old: [set('old', 0, 0, 2)]}), {})
  assert.deepEqual(plan({...recreate, current: set('new', 0), old: [set('old', 0)]}), {new: 4})
})

for (const [maxSurge, maxUnavailable, desired] of [
  [1, 0, 4],
  [0, 1, 4],
  [2, 2, 7],
  [1, 0, 1],
] as const) {
  test(`a whole rollout of ${desired} with surge ${maxSurge} and unavailable ${maxUnavailable}`, () => {
    let current = set('new', 0)
    let old = set('old', desired)
    for (let step = 0; old.pods > 0 || current.available < desired; step += 1) {
      assert.ok(step < 50, 'it does not come to an end')
      const next = plan({desired, maxSurge, maxUnavailable, current, old: [old]})
      const replicas = {new: next['new'] ?? current.replicas, old: next['old'] ?? old.replicas}
      assert.ok(replicas.new + replicas.old <= desired + maxSurge)
      // A pod that was asked for becomes ready one step later; one that must go goes at once.
      current = set('new', replicas.new, current.replicas, replicas.new)
      old = set('old', replicas.old)
      assert.ok(current.available + old.available >= desired - maxUnavailable, `step ${step}`)
    }
    assert.deepEqual([current.replicas, old.replicas], [desired, 0])
  })
}
