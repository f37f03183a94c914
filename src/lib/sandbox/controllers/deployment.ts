// SPDX-License-Identifier: Apache-2.0
/** Keeps the ReplicaSets of a Deployment: one for each template, scaled step by step from the old to the new. */
import {isDeepStrictEqual} from 'node:util'
import {fnv1a32} from '../../model/ids.ts'
import {isPodReady, objectKey, type Pod, RESOURCES} from '../../model/kube.ts'
import type {Kube} from '../../ports.ts'
import {controllerReference, type Deployment, isControlledBy, type ReplicaSet} from './apps.ts'
import {countAvailable, isAlive} from './availability.ts'
import type {ControllerContext} from './context.ts'
import {deploymentStatus} from './deployment-status.ts'
import {planRollout, resolveShare, type SetState} from './rollout.ts'
import {createWorkQueue, type WorkQueue} from './work-queue.ts'

const HASH_LABEL = 'pod-template-hash'
const REVISION = 'deployment.kubernetes.io/revision'
const DEFAULT_HISTORY = 10

/** @returns function that stops it */
export function startDeploymentController(context: ControllerContext): () => void {
  const {view, clock, log} = context
  const queue: WorkQueue = createWorkQueue('deployment', clock, log, (key) => reconcile(context, key, queue))
  const isReady = (): boolean => view.replicasets.synced && view.pods.synced
  const addAll = (): void => {
    if (isReady()) for (const deployment of view.deployments.values()) queue.add(objectKey(deployment))
  }
  view.replicasets.onSynced(addAll)
  view.pods.onSynced(addAll)
  view.deployments.onChange((deployment, _, isDeleted) => {
    if (!isDeleted && isReady()) queue.add(objectKey(deployment))
  })
  view.replicasets.onChange((set) => {
    const owner = set.metadata.ownerReferences?.find(({kind}) => kind === 'Deployment')
    if (owner !== undefined && isReady()) queue.add(`${set.metadata.namespace}/${owner.name}`)
  })
  view.pods.onChange((pod) => {
    const owner = pod.metadata.ownerReferences?.find(({kind}) => kind === 'ReplicaSet')
    const set = owner && view.replicasets.get(`${pod.metadata.namespace}/${owner.name}`)
    const top = set?.metadata.ownerReferences?.find(({kind}) => kind === 'Deployment')
    if (top !== undefined && isReady()) queue.add(`${pod.metadata.namespace}/${top.name}`)
  })
  return queue.close
}

async function reconcile(
  {view, kube, clock}: ControllerContext,
  key: string,
  queue: WorkQueue,
): Promise<void> {
  const deployment = view.deployments.get(key)
  if (deployment === undefined || deployment.metadata.deletionTimestamp !== undefined) return
  const {namespace = '', uid} = deployment.metadata
  const sets = [...view.replicasets.inNamespace(namespace)]
    .filter((set) => isControlledBy(set, uid) && set.metadata.deletionTimestamp === undefined)
    .sort((left, right) => revisionOf(left) - revisionOf(right))
  const current = sets.find((set) => hasTemplate(set, deployment))
  if (current === undefined) {
    if (deployment.spec?.paused !== true) await createSet(kube, deployment, sets)
    return
  }
  if (revisionOf(current) < Math.max(...sets.map(revisionOf))) {
    await annotateRevision(kube, current, sets)
    return
  }
  const pods = [...view.pods.inNamespace(namespace)]
  const minReadySeconds = deployment.spec?.minReadySeconds ?? 0
  const states = new Map(sets.map((set) => [set, stateOf(set, pods, minReadySeconds, clock.nowMs())]))
  const waits = [...states.values()].flatMap(({nextInMs}) => nextInMs ?? [])
  if (waits.length > 0) queue.addLater(key, Math.min(...waits))
  if (deployment.spec?.paused !== true) await scaleSets(kube, deployment, current, states)
  await writeStatus(kube, deployment, current, states, clock.nowMs())
  await dropHistory(kube, deployment, current, states)
}

function hasTemplate(set: ReplicaSet, deployment: Deployment): boolean {
  const {[HASH_LABEL]: _, ...labels} = set.spec?.template?.metadata?.labels ?? {}
  const template = deployment.spec?.template
  return (
    isDeepStrictEqual(set.spec?.template?.spec, template?.spec) &&
    isDeepStrictEqual(labels, template?.metadata?.labels ?? {}) &&
    isDeepStrictEqual(set.spec?.template?.metadata?.annotations ?? {}, template?.metadata?.annotations ?? {})
  )
}

interface ObservedSet extends SetState {
  /** When the next Ready pod will count as available. */
  readonly nextInMs?: number | undefined
}

function stateOf(set: ReplicaSet, pods: readonly Pod[], minReadySeconds: number, nowMs: number): ObservedSet {
  const own = pods.filter((pod) => isControlledBy(pod, set.metadata.uid))
  return {
    name: set.metadata.name ?? '',
    replicas: set.spec?.replicas ?? 0,
    ...countAvailable(own, minReadySeconds, nowMs),
    ready: own.filter((pod) => isAlive(pod) && isPodReady(pod)).length,
    active: own.filter(isAlive).length,
    pods: own.length,
  }
}

function revisionOf(set: ReplicaSet): number {
  return Number(set.metadata.annotations?.[REVISION] ?? 0)
}

async function createSet(kube: Kube, deployment: Deployment, sets: readonly ReplicaSet[]): Promise<void> {
  const {name = '', namespace = ''} = deployment.metadata
  const template = deployment.spec?.template
  const hash = fnv1a32(JSON.stringify(template)).toString(16)
  const labels = {...template?.metadata?.labels, [HASH_LABEL]: hash}
  const set: ReplicaSet = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${name}-${hash}`,
      namespace,
      labels,
      annotations: {[REVISION]: String(Math.max(0, ...sets.map(revisionOf)) + 1)},
      ownerReferences: [controllerReference(deployment, 'apps/v1', 'Deployment')],
    },
    spec: {
      replicas: 0,
      ...(deployment.spec?.minReadySeconds ? {minReadySeconds: deployment.spec.minReadySeconds} : {}),
      selector: {matchLabels: {...deployment.spec?.selector?.matchLabels, [HASH_LABEL]: hash}},
      ...(template ? {template: {...template, metadata: {...template.metadata, labels}}} : {}),
    },
  }
  await kube.create({...RESOURCES.replicasets, namespace}, set)
}

async function annotateRevision(kube: Kube, set: ReplicaSet, sets: readonly ReplicaSet[]): Promise<void> {
  const revision = Math.max(...sets.map(revisionOf)) + 1
  await patchSet(kube, set, {metadata: {annotations: {[REVISION]: String(revision)}}})
}

/** Fails with 409 where the cache is behind: then the next look decides. */
async function patchSet(
  kube: Kube,
  set: ReplicaSet,
  patch: {metadata?: object; spec?: object},
): Promise<void> {
  const {name = '', namespace = '', resourceVersion} = set.metadata
  const metadata = {...patch.metadata, resourceVersion}
  await kube.mergePatch({...RESOURCES.replicasets, namespace, name}, {...patch, metadata})
}

async function scaleSets(
  kube: Kube,
  deployment: Deployment,
  current: ReplicaSet,
  states: ReadonlyMap<ReplicaSet, SetState>,
): Promise<void> {
  const desired = deployment.spec?.replicas ?? 1
  const rolling = deployment.spec?.strategy?.rollingUpdate
  const maxSurge = resolveShare(rolling?.maxSurge, desired, true)
  const maxUnavailable = resolveShare(rolling?.maxUnavailable, desired, false)
  const plan = planRollout({
    desired,
    strategy: deployment.spec?.strategy?.type === 'Recreate' ? 'Recreate' : 'RollingUpdate',
    maxSurge,
    // Both at nothing would never end.
    maxUnavailable: maxSurge === 0 && maxUnavailable === 0 ? 1 : maxUnavailable,
    current: stateIn(states, current),
    old: [...states].filter(([set]) => set !== current).map(([, state]) => state),
  })
  for (const set of states.keys()) {
    const replicas = plan.get(set.metadata.name ?? '')
    if (replicas !== undefined) await patchSet(kube, set, {spec: {replicas}})
  }
}

function stateIn(states: ReadonlyMap<ReplicaSet, SetState>, set: ReplicaSet): SetState {
  return (
    states.get(set) ?? {
      name: set.metadata.name ?? '',
      replicas: 0,
      available: 0,
      ready: 0,
      active: 0,
      pods: 0,
    }
  )
}

async function writeStatus(
  kube: Kube,
  deployment: Deployment,
  current: ReplicaSet,
  states: ReadonlyMap<ReplicaSet, SetState>,
  nowMs: number,
): Promise<void> {
  const {name = '', namespace = ''} = deployment.metadata
  const path = {...RESOURCES.deployments, namespace, name}
  const revision = current.metadata.annotations?.[REVISION] ?? '1'
  if (deployment.metadata.annotations?.[REVISION] !== revision) {
    await kube.mergePatch(path, {metadata: {annotations: {[REVISION]: revision}}})
  }
  const status = deploymentStatus(deployment, stateIn(states, current), [...states.values()], nowMs)
  if (isDeepStrictEqual(status, deployment.status)) return
  await kube.mergePatch({...path, subresource: 'status'}, {status})
}

async function dropHistory(
  kube: Kube,
  deployment: Deployment,
  current: ReplicaSet,
  states: ReadonlyMap<ReplicaSet, SetState>,
): Promise<void> {
  const idle = [...states].filter(
    ([set, state]) => set !== current && state.replicas === 0 && state.pods === 0,
  )
  const surplus = idle.length - (deployment.spec?.revisionHistoryLimit ?? DEFAULT_HISTORY)
  for (const [set] of idle.slice(0, Math.max(0, surplus))) {
    const {name = '', namespace = ''} = set.metadata
    await kube.delete({...RESOURCES.replicasets, namespace, name})
  }
}
