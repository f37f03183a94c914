// SPDX-License-Identifier: Apache-2.0
/** How far a Deployment may go in one step; pure. */

export interface RolloutState {
  /** What the Deployment asks for. */
  readonly desired: number
  readonly strategy: 'RollingUpdate' | 'Recreate'
  /** Pods above `desired` during an update. */
  readonly maxSurge: number
  /** Pods below `desired` that may be missing during an update. */
  readonly maxUnavailable: number
  readonly current: SetState
  /** Oldest first. */
  readonly old: readonly SetState[]
}

export interface SetState {
  readonly name: string
  readonly replicas: number
  /** Pods that have been Ready for long enough and are not on their way out. */
  readonly available: number
  /** Ready pods that are not on their way out. */
  readonly ready: number
  /** Pods that count as replicas: not finished, not on their way out. */
  readonly active: number
  /** Pods that exist, in whatever state. */
  readonly pods: number
}

/** Name of a ReplicaSet -> the replicas it gets now; those that stay are left out. */
export type Scaling = ReadonlyMap<string, number>

/** A number, or a percentage of `of` rounded up (surge) or down. */
export function resolveShare(value: number | string | undefined, of: number, roundUp: boolean): number {
  if (typeof value === 'number') return value
  const percent = /^(\d+)%$/.exec(value ?? '25%')
  if (percent === null) return 0
  const exact = (Number(percent[1]) * of) / 100
  return roundUp ? Math.ceil(exact) : Math.floor(exact)
}

/** The next step. Never takes away pods that keep the Deployment at `desired - maxUnavailable` available ones. */
export function planRollout(state: RolloutState): Scaling {
  const plan = new Map<string, number>()
  const {desired, current} = state
  const active = state.old.filter((set) => set.replicas > 0)
  if (state.strategy === 'Recreate') {
    for (const set of active) plan.set(set.name, 0)
    const isEmpty = state.old.every((set) => set.pods === 0)
    if (active.length === 0 && isEmpty && current.replicas !== desired) plan.set(current.name, desired)
    return plan
  }
  if (active.length === 0) {
    if (current.replicas !== desired) plan.set(current.name, desired)
    return plan
  }
  const total = active.reduce((sum, set) => sum + set.replicas, current.replicas)
  const room = desired + state.maxSurge - total
  const grown = Math.max(Math.min(current.replicas + Math.max(0, room), desired), 0)
  if (grown !== current.replicas) plan.set(current.name, grown)
  shrink(state, active, plan)
  return plan
}

function shrink(state: RolloutState, active: readonly SetState[], plan: Map<string, number>): void {
  const {desired, current, maxUnavailable} = state
  // A set that was told to shrink keeps no more pods than it was told.
  const available = (set: SetState): number => Math.min(set.available, set.replicas)
  let spare =
    active.reduce((sum, set) => sum + available(set), available(current)) - (desired - maxUnavailable)
  for (const set of active) {
    // Pods that serve nobody may go at once; of the others only what is above the minimum.
    const idle = set.replicas - available(set)
    const serving = Math.max(0, Math.min(available(set), spare))
    spare -= serving
    const next = set.replicas - idle - serving
    if (next !== set.replicas) plan.set(set.name, next)
  }
}
