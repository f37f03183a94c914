// SPDX-License-Identifier: Apache-2.0
/** From names, a selector or "all" to namespaces and pods as the cluster has them. */
import {KubeStatusError} from '../errors.ts'
import {type Namespace, type Pod, RESOURCES} from '../model/kube.ts'
import type {NamespaceTarget, PodTarget} from '../model/plan-build.ts'
import {type ReportError, reportErrorOf} from '../model/report.ts'
import type {Kube, KubeListOptions} from '../ports.ts'
import {mapConcurrent} from './enroll-concurrent.ts'

/** Exactly one of the three is used. */
export interface Selection {
  readonly names: readonly string[]
  readonly selector: string | undefined
  readonly all: boolean
}

/** What was found; a name that is not there is an error of its own, the others go on. */
export interface Found<T> {
  readonly targets: readonly T[]
  readonly errors: readonly ReportError[]
}

const CONCURRENCY = 16
/** From so many namespaces on, one list of all pods is cheaper than one for each. */
const LIST_ALL_FROM = 16

/** @throws DeniedError, UnreachableError, KubeStatusError when a list fails; single names give errors instead. */
export async function findNamespaces(
  kube: Kube,
  selection: Selection,
  signal?: AbortSignal,
): Promise<Found<NamespaceTarget>> {
  const found = await pick<Namespace>(kube, selection, undefined, signal)
  const pods = await podsOf(kube, found.targets, signal)
  return {
    errors: found.errors,
    targets: found.targets.map((namespace) => ({
      namespace,
      pods: pods.get(namespace.metadata.name ?? '') ?? [],
    })),
  }
}

/** Pods of one namespace, each with that namespace. */
export async function findPods(
  kube: Kube,
  namespace: string,
  selection: Selection,
  signal?: AbortSignal,
): Promise<Found<PodTarget>> {
  const [found, around] = await Promise.all([
    pick<Pod>(kube, selection, namespace, signal),
    getOrUndefined<Namespace>(kube, namespace, signal),
  ])
  return {errors: found.errors, targets: found.targets.map((pod) => ({pod, namespace: around}))}
}

/** Objects of one kind: namespaces, or with `namespace` its pods. */
async function pick<T extends Namespace | Pod>(
  kube: Kube,
  selection: Selection,
  namespace: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Found<T>> {
  const path = namespace === undefined ? RESOURCES.namespaces : {...RESOURCES.pods, namespace}
  const {names, selector, all} = selection
  if (all || selector !== undefined) {
    const options: KubeListOptions = {labelSelector: selector, signal}
    return {targets: (await kube.list<T>(path, options)).items, errors: []}
  }
  const targets: T[] = []
  const errors: ReportError[] = []
  await mapConcurrent([...new Set(names)], CONCURRENCY, async (name) => {
    try {
      targets.push(await kube.get<T>({...path, name}, {signal}))
    } catch (thrown) {
      if (signal?.aborted) throw thrown
      const pod = namespace === undefined ? null : name
      errors.push(reportErrorOf(thrown, {namespace: namespace ?? name, pod, phase: 'find'}))
    }
  })
  return {targets, errors}
}

async function podsOf(
  kube: Kube,
  namespaces: readonly Namespace[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, readonly Pod[]>> {
  const names = namespaces.map((namespace) => namespace.metadata.name ?? '')
  if (names.length >= LIST_ALL_FROM) {
    const all = await kube.list<Pod>(RESOURCES.pods, {signal})
    return Map.groupBy(all.items, (pod) => pod.metadata.namespace ?? '')
  }
  const lists = await mapConcurrent(names, CONCURRENCY, async (name) => {
    const list = await kube.list<Pod>({...RESOURCES.pods, namespace: name}, {signal})
    return [name, list.items] as const
  })
  return new Map(lists)
}

/** A namespace that is not there has no pods either; any other failure ends the command, for labels must not be guessed. */
async function getOrUndefined<T extends Namespace>(
  kube: Kube,
  name: string,
  signal: AbortSignal | undefined,
): Promise<T | undefined> {
  try {
    return await kube.get<T>({...RESOURCES.namespaces, name}, {signal})
  } catch (thrown) {
    if (thrown instanceof KubeStatusError && thrown.status === 404) return undefined
    throw thrown
  }
}
