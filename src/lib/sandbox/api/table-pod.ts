// SPDX-License-Identifier: Apache-2.0
import type {ContainerStatus, Pod} from '../../model/kube.ts'
import type {StoredObject} from './object.ts'

export interface PodCells {
  /** `1/2`: ready containers of all. */
  readonly ready: string
  /** What `kubectl get pods` shows as STATUS. */
  readonly status: string
  readonly restarts: number
}

/** Cells of a pod's row that are put together from several fields. */
export function podCells(object: StoredObject): PodCells {
  const pod = object as unknown as Pod
  const statuses = pod.status?.containerStatuses ?? []
  const total = pod.spec?.containers.length ?? 0
  return {
    ready: `${statuses.filter((status) => status.ready).length}/${total}`,
    status: statusText(pod, statuses),
    restarts: statuses.reduce((sum, status) => sum + status.restartCount, 0),
  }
}

function statusText(pod: Pod, statuses: readonly ContainerStatus[]): string {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating'
  for (const {state} of statuses) {
    if (state?.waiting?.reason) return state.waiting.reason
    if (state?.terminated) return state.terminated.reason ?? `ExitCode:${state.terminated.exitCode}`
  }
  return pod.status?.reason ?? pod.status?.phase ?? 'Unknown'
}
