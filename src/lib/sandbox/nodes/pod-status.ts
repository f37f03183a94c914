// SPDX-License-Identifier: Apache-2.0
/** Status of a pod object from what its node knows; pure. */
import type {Condition, ContainerStatus, Pod} from '../../model/kube.ts'
import type {ContainerRole, ContainerState} from './container.ts'

export interface ContainerView {
  readonly name: string
  readonly image: string
  readonly role: ContainerRole
  readonly state: ContainerState
  readonly restartCount: number
  readonly ready: boolean
  /** It runs and its startup probe has passed. */
  readonly started: boolean
  readonly probeMessage: string
}

export interface PodView {
  readonly startedAt: string
  /** Empty until the network is there. */
  readonly addresses: readonly string[]
  readonly nodeAddresses: readonly string[]
  readonly restartPolicy: string
  readonly containers: readonly ContainerView[]
  /** In their order; empty for most pods. */
  readonly initContainers: readonly ContainerView[]
}

type PodStatus = NonNullable<Pod['status']> & Readonly<Record<string, unknown>>

const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

function containerState(state: ContainerState): NonNullable<ContainerStatus['state']> {
  if (state.kind === 'running') return {running: {startedAt: iso(state.startedAtMs)}}
  if (state.kind === 'waiting') return {waiting: {reason: state.reason, message: state.message}}
  return {terminated: {exitCode: state.exitCode, reason: state.reason, finishedAt: iso(state.atMs)}}
}

/** Succeeded and Failed only where nothing is started again. */
export function phaseOf(view: PodView): 'Pending' | 'Running' | 'Succeeded' | 'Failed' {
  const exits = view.containers.map(({state}) => (state.kind === 'terminated' ? state.exitCode : undefined))
  const isOver = exits.length > 0 && exits.every((exit) => exit !== undefined)
  if (isOver && view.restartPolicy !== 'Always') {
    return exits.every((exit) => exit === 0) ? 'Succeeded' : 'Failed'
  }
  if (hasFailedToInitialize(view)) return 'Failed'
  const everStarted = view.containers.some(
    ({state, restartCount}) => state.kind !== 'waiting' || restartCount > 0,
  )
  const isCrashing = view.containers.some(
    ({state}) => state.kind === 'waiting' && state.reason === 'CrashLoopBackOff',
  )
  return everStarted || isCrashing ? 'Running' : 'Pending'
}

/** Nothing tries again where the pod is never restarted. */
function hasFailedToInitialize({restartPolicy, initContainers}: PodView): boolean {
  return (
    restartPolicy === 'Never' &&
    initContainers.some(
      ({role, state}) => role === 'init' && state.kind === 'terminated' && state.exitCode > 0,
    )
  )
}

function isInitialized({role, state, started, restartCount}: ContainerView): boolean {
  if (role === 'sidecar') return started || restartCount > 0
  return state.kind === 'terminated' && state.exitCode === 0
}

function initialized(view: PodView): Omit<Condition, 'lastTransitionTime'> {
  const missing = view.initContainers.filter((container) => !isInitialized(container))
  if (missing.length === 0) return {type: 'Initialized', status: 'True'}
  const names = missing.map(({name}) => name).join(' ')
  return {
    type: 'Initialized',
    status: 'False',
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${names}]`,
  }
}

function statusOf(container: ContainerView): ContainerStatus {
  return {
    name: container.name,
    image: container.image,
    imageID: '',
    ready: container.ready,
    started: container.started,
    restartCount: container.restartCount,
    state: containerState(container.state),
  } as ContainerStatus
}

function conditionsOf(view: PodView): Omit<Condition, 'lastTransitionTime'>[] {
  const sidecars = view.initContainers.filter(({role}) => role === 'sidecar')
  const notReady = [...view.containers, ...sidecars].filter((container) => !container.ready)
  const ready = notReady.length === 0
  const why = notReady.map(({name, state, probeMessage}) => {
    if (state.kind === 'waiting') return `${name}: ${state.reason}: ${state.message}`
    return `${name}: ${state.kind === 'running' ? probeMessage || 'not probed yet' : state.reason}`
  })
  const readiness = ready
    ? {status: 'True' as const}
    : {status: 'False' as const, reason: 'ContainersNotReady', message: why.join('; ')}
  return [initialized(view), {type: 'ContainersReady', ...readiness}, {type: 'Ready', ...readiness}]
}

/**
 * @param previous conditions of the object as it is: times of unchanged ones and foreign ones are kept
 * @param now RFC 3339
 */
export function podStatus(view: PodView, previous: readonly Condition[], now: string): PodStatus {
  const own = conditionsOf(view).map((condition) => {
    const before = previous.find((entry) => entry.type === condition.type)
    const since = before?.status === condition.status ? (before.lastTransitionTime ?? now) : now
    return {...condition, lastTransitionTime: since}
  })
  const foreign = previous.filter((entry) => !own.some((condition) => condition.type === entry.type))
  const addresses =
    view.addresses.length === 0
      ? {}
      : {podIP: view.addresses[0] ?? '', podIPs: view.addresses.map((ip) => ({ip}))}
  return {
    phase: phaseOf(view),
    startTime: view.startedAt,
    hostIP: view.nodeAddresses[0] ?? '',
    hostIPs: view.nodeAddresses.map((ip) => ({ip})),
    ...addresses,
    conditions: [...foreign, ...own],
    containerStatuses: view.containers.map(statusOf),
    ...(view.initContainers.length > 0 ? {initContainerStatuses: view.initContainers.map(statusOf)} : {}),
  }
}
