// SPDX-License-Identifier: Apache-2.0
/** Keeps one pod of a DaemonSet on each of its nodes. */
import {KubeStatusError} from '../../errors.ts'
import {fnv1a32} from '../../model/ids.ts'
import {isPodReady, objectKey, type Pod, RESOURCES} from '../../model/kube.ts'
import type {Kube} from '../../ports.ts'
import {controllerReference, isControlledBy} from './apps.ts'
import {availableInMs, countAvailable, isAlive} from './availability.ts'
import type {ControllerContext} from './context.ts'
import {type DaemonState, isCurrent, isWanted, planDaemons, REVISION_LABEL} from './daemonset-plan.ts'
import {createExpectations, type Expectations} from './expectations.ts'
import {createWorkQueue, type WorkQueue} from './work-queue.ts'

/** @returns function that stops it */
export function startDaemonSetController(context: ControllerContext): () => void {
  const {view, clock, log} = context
  const expectations = createExpectations(clock)
  const queue: WorkQueue = createWorkQueue('daemon set', clock, log, (key) =>
    reconcile(context, expectations, queue, key),
  )
  const isReady = (): boolean => view.pods.synced && view.nodes.synced
  const addAll = (): void => {
    if (isReady()) for (const set of view.daemonsets.values()) queue.add(objectKey(set))
  }
  view.pods.onSynced(addAll)
  view.nodes.onSynced(addAll)
  view.nodes.onChange(addAll)
  view.daemonsets.onChange((set, _, isDeleted) => {
    if (isDeleted) expectations.forget(objectKey(set))
    else if (isReady()) queue.add(objectKey(set))
  })
  view.pods.onChange((pod) => {
    const owner = pod.metadata.ownerReferences?.find(
      ({controller, kind}) => controller === true && kind === 'DaemonSet',
    )
    if (owner !== undefined && isReady()) queue.add(`${pod.metadata.namespace}/${owner.name}`)
  })
  return queue.close
}

async function reconcile(
  {view, kube, clock}: ControllerContext,
  expectations: Expectations,
  queue: WorkQueue,
  key: string,
): Promise<void> {
  const set = view.daemonsets.get(key)
  if (set === undefined || set.metadata.deletionTimestamp !== undefined) return
  const {namespace = '', uid} = set.metadata
  const cached = [...view.pods.inNamespace(namespace)].filter((pod) => isControlledBy(pod, uid))
  const minReadySeconds = set.spec?.minReadySeconds ?? 0
  const state: DaemonState = {
    set,
    revision: fnv1a32(JSON.stringify(set.spec?.template)).toString(16),
    nodes: new Set(
      [...view.nodes.values()].filter((node) => isWanted(set, node)).map(({metadata}) => metadata.name ?? ''),
    ),
    pods: expectations.overlay(key, cached),
    isAvailable: (pod) => availableInMs(pod, minReadySeconds, clock.nowMs()) === 0,
  }
  const plan = planDaemons(state)
  for (const pod of plan.delete) await deletePod(kube, expectations, key, pod)
  for (const node of plan.create) expectations.created(key, await createPod(kube, state, node))
  const {nextInMs} = countAvailable(state.pods, minReadySeconds, clock.nowMs())
  if (nextInMs !== undefined) queue.addLater(key, nextInMs)
  await writeStatus(kube, state)
}

async function createPod(kube: Kube, {set, revision}: DaemonState, node: string): Promise<Pod> {
  const {namespace = '', name = '', generation = 1} = set.metadata
  const template = set.spec?.template
  const labels = {
    ...template?.metadata?.labels,
    [REVISION_LABEL]: revision,
    'pod-template-generation': String(generation),
  }
  return kube.create<Pod>({...RESOURCES.pods, namespace}, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels,
      annotations: template?.metadata?.annotations ?? {},
      ownerReferences: [controllerReference(set, 'apps/v1', 'DaemonSet')],
    },
    // Kubernetes leaves the binding to its scheduler, by an affinity to the node; the place is the same.
    spec: {...template?.spec, nodeName: node},
  } as Pod)
}

/** The cache goes on showing it until it is gone, and so it takes its node until then. */
async function deletePod(kube: Kube, expectations: Expectations, key: string, pod: Pod): Promise<void> {
  const {namespace = '', name = ''} = pod.metadata
  try {
    await kube.delete({...RESOURCES.pods, namespace, name})
  } catch (thrown) {
    if (!(thrown instanceof KubeStatusError && thrown.status === 404)) throw thrown
    expectations.deleted(key, pod)
  }
}

async function writeStatus(kube: Kube, state: DaemonState): Promise<void> {
  const {set, nodes, revision} = state
  const placed = state.pods.filter((pod) => nodes.has(pod.spec?.nodeName ?? '') && isAlive(pod))
  const available = placed.filter(state.isAvailable).length
  const status = {
    observedGeneration: set.metadata.generation ?? 0,
    desiredNumberScheduled: nodes.size,
    currentNumberScheduled: placed.length,
    numberMisscheduled: state.pods.filter(isAlive).length - placed.length,
    updatedNumberScheduled: placed.filter((pod) => isCurrent(pod, revision)).length,
    numberReady: placed.filter(isPodReady).length,
    numberAvailable: available,
    numberUnavailable: nodes.size - available,
  }
  if (Object.entries(status).every(([field, value]) => set.status?.[field] === value)) return
  const {namespace = '', name = ''} = set.metadata
  await kube.mergePatch({...RESOURCES.daemonsets, namespace, name, subresource: 'status'}, {status})
}
