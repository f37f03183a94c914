// SPDX-License-Identifier: Apache-2.0
/** Which pods a ReplicaSet has: it lets go of those that its selector no longer names, and takes in stray ones that it does. */
import {KubeStatusError} from '../../errors.ts'
import {type Pod, RESOURCES} from '../../model/kube.ts'
import type {Kube} from '../../ports.ts'
import {controllerReference, isControlledBy, labelsMatch, type ReplicaSet} from './apps.ts'

export function isSelected(set: ReplicaSet, pod: Pod): boolean {
  return labelsMatch(set.spec?.selector?.matchLabels, pod.metadata.labels)
}

export function hasController(pod: Pod): boolean {
  return pod.metadata.ownerReferences?.some((owner) => owner.controller === true) ?? false
}

/** The pod goes on running, on its own. */
export async function releasePod(kube: Kube, set: ReplicaSet, pod: Pod): Promise<void> {
  const others = pod.metadata.ownerReferences?.filter((owner) => owner.uid !== set.metadata.uid) ?? []
  await patchOwners(kube, pod, others.length > 0 ? others : null)
}

/** @returns the pods that are the set's from now on */
export async function adoptStrays(kube: Kube, set: ReplicaSet, pods: Iterable<Pod>): Promise<Pod[]> {
  const strays = [...pods].filter((pod) => !hasController(pod) && isSelected(set, pod))
  const reference = controllerReference(set, 'apps/v1', 'ReplicaSet')
  const adopted = strays.map((pod) =>
    patchOwners(kube, pod, [...(pod.metadata.ownerReferences ?? []), reference]),
  )
  return (await Promise.all(adopted)).filter(
    (pod) => pod !== undefined && isControlledBy(pod, set.metadata.uid),
  ) as Pod[]
}

/**
 * Undefined where the pod is gone. A conflict is thrown: the cache is behind, and a pod that was taken in already but not
 * counted would be made a second time.
 */
async function patchOwners(
  kube: Kube,
  pod: Pod,
  ownerReferences: readonly object[] | null,
): Promise<Pod | undefined> {
  const {namespace = '', name = '', resourceVersion} = pod.metadata
  const path = {...RESOURCES.pods, namespace, name}
  try {
    return await kube.mergePatch<Pod>(path, {metadata: {resourceVersion, ownerReferences}})
  } catch (thrown) {
    if (thrown instanceof KubeStatusError && thrown.status === 404) return undefined
    throw thrown
  }
}
