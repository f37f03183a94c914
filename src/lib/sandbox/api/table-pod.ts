// SPDX-License-Identifier: Apache-2.0
import type {Container, ContainerStatus, Pod} from '../../model/kube.ts'
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
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar).map(({name}) => name)
  const ofSidecars = (pod.status?.initContainerStatuses ?? []).filter(({name}) => sidecars.includes(name))
  const total = (pod.spec?.containers.length ?? 0) + sidecars.length
  const waiting = initStatus(pod)
  const counted =
    waiting === undefined ? [...statuses, ...ofSidecars] : (pod.status?.initContainerStatuses ?? [])
  const ready = [...statuses, ...ofSidecars.filter(({started}) => started === true)].filter(
    (status) => status.ready,
  )
  return {
    ready: `${ready.length}/${total}`,
    status: statusText(pod, statuses, waiting),
    restarts: counted.reduce((sum, status) => sum + status.restartCount, 0),
  }
}

const isSidecar = ({restartPolicy}: Container): boolean => restartPolicy === 'Always'

/** `Init:1/3` and its like, as kubectl has always shown it; undefined when no init container is in the way. */
function initStatus({spec, status}: Pod): string | undefined {
  if (status?.conditions?.some(({type, status: value}) => type === 'Initialized' && value === 'True'))
    return undefined
  const all = spec?.initContainers ?? []
  for (const [index, {name, state, started}] of (status?.initContainerStatuses ?? []).entries()) {
    if (state?.terminated?.exitCode === 0) continue
    const container = all.find((entry) => entry.name === name)
    if (started === true && container !== undefined && isSidecar(container)) continue
    if (state?.terminated) return `Init:${state.terminated.reason ?? `ExitCode:${state.terminated.exitCode}`}`
    const reason = state?.waiting?.reason
    return reason && reason !== 'PodInitializing' ? `Init:${reason}` : `Init:${index}/${all.length}`
  }
  return undefined
}

function statusText(pod: Pod, statuses: readonly ContainerStatus[], init: string | undefined): string {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating'
  if (init !== undefined) return init
  for (const {state} of statuses) {
    if (state?.waiting?.reason) return state.waiting.reason
    if (state?.terminated) return state.terminated.reason ?? `ExitCode:${state.terminated.exitCode}`
  }
  return pod.status?.reason ?? pod.status?.phase ?? 'Unknown'
}
