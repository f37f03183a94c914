// SPDX-License-Identifier: Apache-2.0
import {TimeoutError} from '../errors.ts'
import {isPodReady, type Pod, RESOURCES} from '../model/kube.ts'
import type {Clock, Kube} from '../ports.ts'

const TIMEOUT_MS = 90_000
const POLL_MS = 100

/**
 * Resolves when the namespace has `count` pods and all are Ready.
 * @throws TimeoutError that names the pods that are not, and why
 */
export async function waitForPods(
  kube: Kube,
  clock: Clock,
  stopping: AbortSignal,
  namespace: string,
  count: number,
): Promise<void> {
  const end = clock.monotonicMs() + TIMEOUT_MS
  for (;;) {
    const {items} = await kube.list<Pod>({...RESOURCES.pods, namespace})
    const notReady = items.filter((pod) => !isPodReady(pod))
    const ready = items.length - notReady.length
    if (items.length >= count && notReady.length === 0) return
    if (clock.monotonicMs() > end) {
      const why = notReady.map((pod) => `${pod.metadata.name} (${whyNotReady(pod)})`).join(', ')
      throw new TimeoutError(
        `namespace ${namespace}: ${ready} of ${count} pods are Ready after ${TIMEOUT_MS / 1000} s; not ready: ${why || 'none'}`,
      )
    }
    await clock.sleep(POLL_MS, stopping)
  }
}

function whyNotReady(pod: Pod): string {
  const ready = pod.status?.conditions?.find((condition) => condition.type === 'Ready')
  return ready?.message ?? pod.status?.phase ?? 'no status'
}
