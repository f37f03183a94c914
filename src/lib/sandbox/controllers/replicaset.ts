// SPDX-License-Identifier: Apache-2.0
/** Keeps as many pods of a ReplicaSet as it asks for. */
import {KubeStatusError} from '../../errors.ts'
import {isPodReady, objectKey, type Pod, RESOURCES} from '../../model/kube.ts'
import type {Kube} from '../../ports.ts'
import {controllerReference, isControlledBy, type ReplicaSet} from './apps.ts'
import type {ControllerContext} from './context.ts'
import {createExpectations} from './expectations.ts'
import {adoptStrays, isSelected, releasePod} from './ownership.ts'
import {createWorkQueue} from './work-queue.ts'

/** At most this many creates or deletes of one ReplicaSet are under way. */
const BATCH = 50

/** @returns function that stops it */
export function startReplicaSetController({view, kube, clock, log}: ControllerContext): () => void {
  const expectations = createExpectations(clock)
  const queue = createWorkQueue('replica set', clock, log, async (key) => {
    const set = view.replicasets.get(key)
    if (set === undefined || set.metadata.deletionTimestamp !== undefined) return
    const {namespace = '', uid} = set.metadata
    const all = [...view.pods.inNamespace(namespace)]
    const cached = all.filter((pod) => isControlledBy(pod, uid))
    const owned = expectations.overlay(key, cached).filter(isAlive)
    const kept = owned.filter((pod) => isSelected(set, pod))
    await Promise.all(owned.filter((pod) => !kept.includes(pod)).map((pod) => releasePod(kube, set, pod)))
    const pods = [...kept, ...(await adoptStrays(kube, set, all.filter(isAlive)))]
    const missing = (set.spec?.replicas ?? 1) - pods.length
    if (missing > 0) {
      await Promise.all(
        Array.from({length: Math.min(missing, BATCH)}, async () =>
          expectations.created(key, await createPod(kube, set)),
        ),
      )
    } else if (missing < 0) {
      const surplus = surplusPods(pods, Math.min(-missing, BATCH))
      for (const pod of surplus) expectations.deleted(key, pod)
      await Promise.all(surplus.map((pod) => deletePod(kube, pod)))
    }
    if (Math.abs(missing) > BATCH) queue.add(key)
    await writeStatus(kube, set, pods)
  })

  view.replicasets.onChange((set, _, isDeleted) => {
    if (isDeleted) expectations.forget(objectKey(set))
    else if (view.pods.synced) queue.add(objectKey(set))
  })
  view.pods.onSynced(() => {
    for (const set of view.replicasets.values()) queue.add(objectKey(set))
  })
  view.pods.onChange((pod) => {
    const owner = pod.metadata.ownerReferences?.find(
      ({controller, kind}) => controller === true && kind === 'ReplicaSet',
    )
    if (!view.pods.synced) return
    if (owner !== undefined) queue.add(`${pod.metadata.namespace}/${owner.name}`)
    else
      for (const set of view.replicasets.inNamespace(pod.metadata.namespace ?? ''))
        if (isSelected(set, pod)) queue.add(objectKey(set))
  })
  return queue.close
}

/** Counts towards the replicas: neither finished nor on its way out. */
export function isAlive(pod: Pod): boolean {
  const phase = pod.status?.phase
  return pod.metadata.deletionTimestamp === undefined && phase !== 'Succeeded' && phase !== 'Failed'
}

async function createPod(kube: Kube, set: ReplicaSet): Promise<Pod> {
  const {namespace = '', name = ''} = set.metadata
  const template = set.spec?.template
  return kube.create<Pod>({...RESOURCES.pods, namespace}, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels: template?.metadata?.labels ?? {},
      annotations: template?.metadata?.annotations ?? {},
      ownerReferences: [controllerReference(set, 'apps/v1', 'ReplicaSet')],
    },
    ...(template?.spec ? {spec: template.spec} : {}),
  } as Pod)
}

async function deletePod(kube: Kube, pod: Pod): Promise<void> {
  const {namespace = '', name = ''} = pod.metadata
  try {
    await kube.delete({...RESOURCES.pods, namespace, name})
  } catch (thrown) {
    if (!(thrown instanceof KubeStatusError && thrown.status === 404)) throw thrown
  }
}

/** Those that serve nobody first: without a node, not Ready, then the youngest. */
export function surplusPods(pods: readonly Pod[], count: number): Pod[] {
  const rank = (pod: Pod): number => (pod.spec?.nodeName ? (isPodReady(pod) ? 2 : 1) : 0)
  const age = (pod: Pod): string => pod.metadata.creationTimestamp ?? ''
  return [...pods]
    .sort((left, right) => rank(left) - rank(right) || (age(left) > age(right) ? -1 : 1))
    .slice(0, count)
}

async function writeStatus(kube: Kube, set: ReplicaSet, pods: readonly Pod[]): Promise<void> {
  const ready = pods.filter(isPodReady).length
  const status = {
    replicas: pods.length,
    fullyLabeledReplicas: pods.length,
    readyReplicas: ready,
    availableReplicas: ready,
    observedGeneration: set.metadata.generation ?? 0,
  }
  const old = set.status as Readonly<Record<string, number>> | undefined
  if (Object.entries(status).every(([field, value]) => old?.[field] === value)) return
  const {namespace = '', name = ''} = set.metadata
  await kube.mergePatch({...RESOURCES.replicasets, namespace, name, subresource: 'status'}, {status})
}
