// SPDX-License-Identifier: Apache-2.0
import {isPodReady, type Pod} from '../../model/kube.ts'

/** Neither finished nor on its way out: counts towards the replicas. */
export function isAlive(pod: Pod): boolean {
  const phase = pod.status?.phase
  return pod.metadata.deletionTimestamp === undefined && phase !== 'Succeeded' && phase !== 'Failed'
}

/** Milliseconds until an alive pod that is Ready counts as available; 0 when it does, undefined while it is not Ready. */
export function availableInMs(pod: Pod, minReadySeconds: number, nowMs: number): number | undefined {
  if (!isAlive(pod) || !isPodReady(pod)) return undefined
  if (minReadySeconds === 0) return 0
  const since = pod.status?.conditions?.find(({type}) => type === 'Ready')?.lastTransitionTime
  const readyMs = since === undefined ? Number.NaN : Date.parse(since)
  return Number.isNaN(readyMs) ? 0 : Math.max(0, readyMs + minReadySeconds * 1000 - nowMs)
}

/** The pods that are available now, and when the next one will be (undefined: none is on its way). */
export function countAvailable(
  pods: readonly Pod[],
  minReadySeconds: number,
  nowMs: number,
): {readonly available: number; readonly nextInMs: number | undefined} {
  const waits = pods.flatMap((pod) => availableInMs(pod, minReadySeconds, nowMs) ?? [])
  const pending = waits.filter((waitMs) => waitMs > 0)
  return {
    available: waits.length - pending.length,
    nextInMs: pending.length === 0 ? undefined : Math.min(...pending),
  }
}
