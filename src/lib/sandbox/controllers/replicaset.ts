// SPDX-License-Identifier: Apache-2.0
/** Keeps as many pods of a ReplicaSet as it asks for. */
import {KubeStatusError} from '../../errors.ts'
import {isPodReady, objectKey, type Pod, RESOURCES} from '../../model/kube.ts'
import type {Kube} from '../../ports.ts'
import {controllerReference, isControlledBy, type ReplicaSet} from './apps.ts'
import {countAvailable, isAlive} from './availability.ts'
import type {ControllerContext} from './context.ts'
import {createExpectations, type Expectations} from './expectations.ts'
import {adoptStrays, isSelected, releasePod} from './ownership.ts'
import {createWorkQueue, type WorkQueue} from './work-queue.ts'

/** At most this many creates or deletes of one ReplicaSet are under way. */
const BATCH = 50

/** @returns function that stops it */
export function startReplicaSetController(context: ControllerContext): () => void {
  const {view, kube, clock, log} = context
  const expectations = createExpectations(clock)
  const queue: WorkQueue = createWorkQueue('replica set', clock, log, async (key) => {
    const set = view.replicasets.get(key)
    if (set === undefined || set.metadata.deletionTimestamp !== undefined) return
    const pods = await claimPods(context, expectations, key, set)
    const missing = (set.spec?.replicas ?? 1) - pods.length
    await adjust(kube, expectations, key, set, pods, missing)
    if (Math.abs(missing) > BATCH) queue.add(key)
    const {available, nextInMs} = countAvailable(pods, set.spec?.minReadySeconds ?? 0, clock.nowMs())
    if (nextInMs !== undefined) queue.addLater(key, nextInMs)
    await writeStatus(kube, set, pods, available)
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

/** The pods that are the set's, after letting go of those that it no longer selects and taking in strays. */
async function claimPods(
  {view, kube}: ControllerContext,
  expectations: Expectations,
  key: string,
  set: ReplicaSet,
): Promise<Pod[]> {
  const {namespace = '', uid} = set.metadata
  const all = [...view.pods.inNamespace(namespace)]
  const cached = all.filter((pod) => isControlledBy(pod, uid))
  const owned = expectations.overlay(key, cached).filter(isAlive)
  const lost = owned.filter((pod) => !isSelected(set, pod))
  await Promise.all(lost.map((pod) => releasePod(kube, set, pod)))
  const adopted = await adoptStrays(kube, set, all.filter(isAlive))
  return [...owned.filter((pod) => isSelected(set, pod)), ...adopted]
}

/** Creates the pods that are missing, or deletes as many as are too many. */
async function adjust(
  kube: Kube,
  expectations: Expectations,
  key: string,
  set: ReplicaSet,
  pods: readonly Pod[],
  missing: number,
): Promise<void> {
  const create = async (): Promise<void> => expectations.created(key, await createPod(kube, set))
  await Promise.all(Array.from({length: Math.max(0, Math.min(missing, BATCH))}, create))
  const surplus = surplusPods(pods, Math.max(0, Math.min(-missing, BATCH)))
  for (const pod of surplus) expectations.deleted(key, pod)
  await Promise.all(surplus.map((pod) => deletePod(kube, pod)))
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

async function writeStatus(
  kube: Kube,
  set: ReplicaSet,
  pods: readonly Pod[],
  available: number,
): Promise<void> {
  const ready = pods.filter(isPodReady).length
  const status = {
    replicas: pods.length,
    fullyLabeledReplicas: pods.length,
    readyReplicas: ready,
    availableReplicas: available,
    observedGeneration: set.metadata.generation ?? 0,
  }
  const old = set.status as Readonly<Record<string, number>> | undefined
  if (Object.entries(status).every(([field, value]) => old?.[field] === value)) return
  const {namespace = '', name = ''} = set.metadata
  await kube.mergePatch({...RESOURCES.replicasets, namespace, name, subresource: 'status'}, {status})
}
