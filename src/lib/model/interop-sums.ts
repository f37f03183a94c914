// SPDX-License-Identifier: Apache-2.0
/** What the pods of a service, and of the whole cluster, come to. Pure. */
import type {InteropItem, InteropPod, InteropState} from './interop.ts'
import {type EndpointSlice, objectKey, type Service} from './kube.ts'
import type {Capture} from './plan.ts'

export const SERVICE_LABEL = 'kubernetes.io/service-name'

export type CaptureCounts = Readonly<Record<Capture | 'unknown', number>>

/** State and reason of the worst pod; `reason` null where all is as it should be. */
export interface WorstState {
  readonly state: InteropState | null
  readonly reason: string | null
}

export interface InteropService extends WorstState {
  readonly kind: 'Service'
  readonly namespace: string
  readonly name: string
  /** What the labels of its endpoints ask for. */
  readonly intents: Readonly<Record<Capture, number>>
  /** Ready endpoints by who receives now; `outside`: addresses without a pod. */
  readonly endpoints: CaptureCounts & {readonly outside: number}
  /** Of them those whose sidecar is short-circuited. */
  readonly bypassed: number
  readonly notReady: number
}

export interface InteropCluster extends WorstState {
  readonly kind: 'Cluster'
  readonly name: 'cluster'
  readonly namespace: ''
  readonly namespaces: number
  readonly intents: Readonly<Record<Capture, number>>
  readonly pods: CaptureCounts
  readonly bypassed: number
  readonly states: Readonly<Record<InteropState | 'unknown', number>>
}

/** @param pods - of its namespace, by name @param slices - of this service */
export function interopService(
  service: Service,
  slices: readonly EndpointSlice[],
  pods: ReadonlyMap<string, InteropPod>,
): InteropService {
  const ready = new Map<string, InteropPod | null>()
  const notReady = new Set<string>()
  for (const {addresses, conditions, targetRef} of slices.flatMap(({endpoints}) => endpoints ?? [])) {
    const name = targetRef?.kind === 'Pod' ? targetRef.name : undefined
    // A pod stands in two slices where it has two families.
    const key = name ?? addresses[0] ?? ''
    if (conditions?.ready === false) notReady.add(key)
    else ready.set(key, pods.get(name ?? '') ?? null)
  }
  const found = [...ready.values()]
  const views = found.filter((pod) => pod !== null)
  return {
    kind: 'Service',
    namespace: service.metadata.namespace ?? '',
    name: service.metadata.name ?? '',
    intents: countIntents(views),
    endpoints: {...countCaptures(views), outside: found.length - views.length},
    bypassed: countBypassed(views),
    notReady: notReady.size,
    ...worstOf(views),
  }
}

export function interopCluster(pods: readonly InteropPod[], namespaces: number): InteropCluster {
  return {
    kind: 'Cluster',
    namespace: '',
    name: 'cluster',
    namespaces,
    intents: countIntents(pods),
    pods: countCaptures(pods),
    bypassed: countBypassed(pods),
    states: countStates(pods),
    ...worstOf(pods),
  }
}

/** Slices by `namespace/service`. */
export function slicesByService(slices: readonly EndpointSlice[]): ReadonlyMap<string, EndpointSlice[]> {
  return Map.groupBy(slices, ({metadata}) => `${metadata.namespace}/${metadata.labels?.[SERVICE_LABEL]}`)
}

/** In order. */
export function interopServices(
  services: readonly Service[],
  slices: readonly EndpointSlice[],
  pods: readonly InteropPod[],
): InteropItem[] {
  const byService = slicesByService(slices)
  const byNamespace = Map.groupBy(pods, ({namespace}) => namespace)
  const names = new Map(
    [...byNamespace].map(([name, own]) => [name, new Map(own.map((pod) => [pod.name, pod]))]),
  )
  return services.map((service) =>
    interopService(
      service,
      byService.get(objectKey(service)) ?? [],
      names.get(service.metadata.namespace ?? '') ?? new Map(),
    ),
  )
}

export function countCaptures(pods: readonly InteropPod[]): CaptureCounts {
  const counts = {kmesh: 0, sidecar: 0, ambient: 0, none: 0, unknown: 0}
  for (const pod of pods) counts[pod.capture ?? 'unknown'] += 1
  return counts
}

export function countStates(pods: readonly InteropPod[]): InteropCluster['states'] {
  const states = {active: 0, pending: 0, stale: 0, conflict: 0, unknown: 0}
  for (const pod of pods) states[pod.state ?? 'unknown'] += 1
  return states
}

function countIntents(pods: readonly InteropPod[]): Record<Capture, number> {
  const counts = {kmesh: 0, sidecar: 0, ambient: 0, none: 0}
  for (const pod of pods) counts[pod.intent] += 1
  return counts
}

function countBypassed(pods: readonly InteropPod[]): number {
  return pods.filter(({sidecar, bypass}) => sidecar.injected === true && bypass?.active === true).length
}

const WORST_FIRST: readonly (InteropState | null)[] = ['conflict', 'stale', 'pending', null]

/** Without pods nothing is amiss. */
export function worstOf(pods: readonly InteropPod[]): WorstState {
  let worst: InteropPod | undefined
  for (const pod of pods) {
    const rank = rankOf(pod.state)
    if (rank >= 0 && (worst === undefined || rank < rankOf(worst.state))) worst = pod
  }
  return worst === undefined ? {state: 'active', reason: null} : {state: worst.state, reason: worst.reason}
}

function rankOf(state: InteropState | null): number {
  return WORST_FIRST.indexOf(state)
}
