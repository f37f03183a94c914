// SPDX-License-Identifier: Apache-2.0
import type {Condition} from '../../model/kube.ts'
import type {Deployment} from './apps.ts'
import {resolveShare, type SetState} from './rollout.ts'

/** Status of a Deployment from what its ReplicaSets have; times of conditions that did not change stay. */
export function deploymentStatus(
  deployment: Deployment,
  current: SetState,
  all: readonly SetState[],
  nowMs: number,
): NonNullable<Deployment['status']> {
  const desired = deployment.spec?.replicas ?? 1
  const available = all.reduce((sum, set) => sum + set.available, 0)
  const total = all.reduce((sum, set) => sum + set.active, 0)
  const ready = all.reduce((sum, set) => sum + set.ready, 0)
  const missing = Math.max(0, desired - available)
  const maxUnavailable = resolveShare(
    deployment.spec?.strategy?.rollingUpdate?.maxUnavailable,
    desired,
    false,
  )
  const isAvailable = available >= desired - maxUnavailable
  const isComplete = current.active === desired && total === desired && available === desired
  const conditions = [
    condition(deployment, nowMs, 'Available', isAvailable, {
      reason: isAvailable ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
      message: isAvailable
        ? 'Deployment has minimum availability.'
        : 'Deployment does not have minimum availability.',
    }),
    condition(deployment, nowMs, 'Progressing', true, {
      reason: isComplete ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated',
      message: isComplete
        ? `ReplicaSet "${current.name}" has successfully progressed.`
        : `ReplicaSet "${current.name}" is progressing.`,
    }),
  ]
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: total,
    updatedReplicas: current.active,
    readyReplicas: ready,
    availableReplicas: available,
    unavailableReplicas: missing,
    conditions,
  }
}

function condition(
  deployment: Deployment,
  nowMs: number,
  type: string,
  isTrue: boolean,
  text: {readonly reason: string; readonly message: string},
): Condition {
  const status = isTrue ? 'True' : 'False'
  const before = deployment.status?.conditions?.find((one) => one.type === type)
  const now = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z')
  const lastTransitionTime = before?.status === status ? (before.lastTransitionTime ?? now) : now
  return {type, status, ...text, lastTransitionTime}
}
