// SPDX-License-Identifier: Apache-2.0
/** How long a pod has been meant to be where its labels put it. */
import type {EnrollmentEntry} from './api.ts'
import type {Namespace, Pod} from './kube.ts'
import {labelTimeMs} from './plan-owner.ts'

export interface IntentSource {
  readonly pod: Pod
  readonly namespace: Namespace | undefined
  /** What the agent says of the pod, where it does. */
  readonly entry: EnrollmentEntry | undefined
  /** What the labels ask for now. */
  readonly intent: boolean
  readonly nowMs: number
}

/**
 * Age in milliseconds; null where nothing tells. The agent's `since` counts once it has seen this intent;
 * else the newest time at which the label was written. An intent is never older than the pod, nor, where
 * the pod is to come in, than its becoming Ready.
 */
export function intentAgeMs({pod, namespace, entry, intent, nowMs}: IntentSource): number | null {
  const since = entry?.intent === intent ? timeOf(entry.since) : null
  const begin =
    since ?? newest([labelTime(pod, namespace), timeOf(pod.status?.startTime), readyTime(pod, intent)])
  return begin === null ? null : Math.max(0, nowMs - begin)
}

function labelTime(pod: Pod, namespace: Namespace | undefined): number | null {
  return newest([labelTimeMs(pod.metadata), namespace === undefined ? null : labelTimeMs(namespace.metadata)])
}

function readyTime(pod: Pod, intent: boolean): number | null {
  const ready = pod.status?.conditions?.find((condition) => condition.type === 'Ready')
  return intent && ready?.status === 'True' ? timeOf(ready.lastTransitionTime) : null
}

function timeOf(text: string | undefined): number | null {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? null : time
}

function newest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null)
  return known.length === 0 ? null : Math.max(...known)
}
