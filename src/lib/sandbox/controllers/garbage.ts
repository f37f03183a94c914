// SPDX-License-Identifier: Apache-2.0
/** Deletes what has lost its last owner, and honours the policies `Foreground` and `Orphan` of a deletion. */
import {KubeStatusError} from '../../errors.ts'
import {type KubeObject, type OwnerReference, objectKey, RESOURCES} from '../../model/kube.ts'
import type {Kube, ResourcePath} from '../../ports.ts'
import type {Shared} from './cluster-view.ts'
import type {ControllerContext} from './context.ts'
import {createWorkQueue, type WorkQueue} from './work-queue.ts'

const FOREGROUND = 'foregroundDeletion'
const ORPHAN = 'orphan'

type Kinds = Readonly<Record<string, {readonly path: ResourcePath; readonly shared: Shared<KubeObject>}>>

/** @returns function that stops it */
export function startGarbageCollector({view, kube, clock, log}: ControllerContext): () => void {
  const kinds: Kinds = {
    Deployment: {path: RESOURCES.deployments, shared: view.deployments},
    ReplicaSet: {path: RESOURCES.replicasets, shared: view.replicasets},
    DaemonSet: {path: RESOURCES.daemonsets, shared: view.daemonsets},
    Service: {path: RESOURCES.services, shared: view.services},
    Pod: {path: RESOURCES.pods, shared: view.pods},
    EndpointSlice: {path: RESOURCES.endpointslices, shared: view.endpointslices},
    ConfigMap: {path: RESOURCES.configmaps, shared: view.configmaps},
  }
  const dependents = new DependentIndex()
  const queue: WorkQueue = createWorkQueue('garbage collection', clock, log, (id) =>
    collect(kinds, dependents, kube, id),
  )
  const follow = (kind: string, object: KubeObject, isDeleted: boolean): void => {
    const {uid = '', ownerReferences = []} = object.metadata
    const id = `${kind}/${objectKey(object)}`
    dependents.set(id, isDeleted ? [] : ownerReferences)
    if (!isDeleted) {
      if (needsLook(object)) queue.add(id)
      return
    }
    for (const dependent of dependents.of(uid)) queue.add(dependent)
    // An owner that waits for its dependents looks again whenever one goes.
    for (const owner of ownerReferences) queue.add(ownerId(object, owner))
  }
  for (const [kind, {shared}] of Object.entries(kinds)) {
    shared.onChange((object, _, isDeleted) => follow(kind, object, isDeleted))
  }
  return queue.close
}

function needsLook({metadata}: KubeObject): boolean {
  if (metadata.deletionTimestamp !== undefined) return finalizersOf({metadata}).length > 0
  return (metadata.ownerReferences?.length ?? 0) > 0
}

function finalizersOf(object: KubeObject): readonly string[] {
  return (object.metadata as {readonly finalizers?: readonly string[]}).finalizers ?? []
}

function ownerId(dependent: KubeObject, owner: OwnerReference): string {
  const {namespace} = dependent.metadata
  return `${owner.kind}/${namespace ? `${namespace}/` : ''}${owner.name}`
}

/** Uid of an owner -> ids of its dependents. */
class DependentIndex {
  readonly #byOwner = new Map<string, Set<string>>()
  readonly #owners = new Map<string, readonly string[]>()

  set(id: string, owners: readonly OwnerReference[]): void {
    for (const uid of this.#owners.get(id) ?? []) {
      const ids = this.#byOwner.get(uid)
      ids?.delete(id)
      if (ids?.size === 0) this.#byOwner.delete(uid)
    }
    if (owners.length === 0) this.#owners.delete(id)
    else
      this.#owners.set(
        id,
        owners.map(({uid}) => uid),
      )
    for (const {uid} of owners) this.#byOwner.set(uid, (this.#byOwner.get(uid) ?? new Set()).add(id))
  }

  of(uid: string): readonly string[] {
    return [...(this.#byOwner.get(uid) ?? [])]
  }
}

interface Found {
  readonly object: KubeObject
  readonly path: ResourcePath
}

function find(kinds: Kinds, id: string): Found | undefined {
  const slash = id.indexOf('/')
  const kind = kinds[id.slice(0, slash)]
  const object = kind?.shared.get(id.slice(slash + 1))
  if (kind === undefined || object === undefined) return undefined
  const {name = '', namespace} = object.metadata
  return {object, path: {...kind.path, name, ...(namespace ? {namespace} : {})}}
}

async function collect(kinds: Kinds, dependents: DependentIndex, kube: Kube, id: string): Promise<void> {
  const found = find(kinds, id)
  if (found === undefined) return
  const {object, path} = found
  if (object.metadata.deletionTimestamp !== undefined) return finish(kinds, dependents, kube, found)
  const owners = object.metadata.ownerReferences ?? []
  if (owners.length === 0) return
  for (const owner of owners) if (await isThere(kinds, kube, object, owner)) return
  await ignoreMissing(kube.delete(path))
}

/** The cache says yes at once; a no is asked of the server, because an owner may be newer than the cache. */
async function isThere(
  kinds: Kinds,
  kube: Kube,
  object: KubeObject,
  owner: OwnerReference,
): Promise<boolean> {
  const kind = kinds[owner.kind]
  // Owners of kinds that we do not watch are not ours to judge.
  if (kind === undefined) return true
  if (find(kinds, ownerId(object, owner))?.object.metadata.uid === owner.uid) return true
  const {namespace} = object.metadata
  const path = {...kind.path, name: owner.name, ...(namespace ? {namespace} : {})}
  try {
    return (await kube.get(path)).metadata.uid === owner.uid
  } catch (thrown) {
    if (thrown instanceof KubeStatusError && thrown.status === 404) return false
    throw thrown
  }
}

/** Does what the finalizer of a deletion policy stands for, then takes it off. */
async function finish(kinds: Kinds, dependents: DependentIndex, kube: Kube, found: Found): Promise<void> {
  const finalizers = finalizersOf(found.object)
  const children = dependents.of(found.object.metadata.uid ?? '').flatMap((id) => find(kinds, id) ?? [])
  if (finalizers.includes(ORPHAN)) {
    for (const child of children) await disown(kube, child, found.object)
  } else if (finalizers.includes(FOREGROUND)) {
    const standing = children.filter(({object}) => object.metadata.deletionTimestamp === undefined)
    for (const child of standing) await removeInForeground(dependents, kube, child)
    if (children.length > 0) return
  } else return
  const left = finalizers.filter((name) => name !== ORPHAN && name !== FOREGROUND)
  const {resourceVersion} = found.object.metadata
  await ignoreMissing(kube.mergePatch(found.path, {metadata: {finalizers: left, resourceVersion}}))
}

/** A child with children of its own waits for them too, or the owner would be gone before its pods. */
async function removeInForeground(
  dependents: DependentIndex,
  kube: Kube,
  {object, path}: Found,
): Promise<void> {
  const finalizers = finalizersOf(object)
  const {uid = '', resourceVersion} = object.metadata
  if (dependents.of(uid).length > 0 && !finalizers.includes(FOREGROUND)) {
    const patch = {metadata: {finalizers: [...finalizers, FOREGROUND], resourceVersion}}
    await ignoreMissing(kube.mergePatch(path, patch))
  }
  await ignoreMissing(kube.delete(path))
}

async function disown(kube: Kube, child: Found, owner: KubeObject): Promise<void> {
  const {ownerReferences = [], resourceVersion} = child.object.metadata
  const left = ownerReferences.filter(({uid}) => uid !== owner.metadata.uid)
  await ignoreMissing(kube.mergePatch(child.path, {metadata: {ownerReferences: left, resourceVersion}}))
}

async function ignoreMissing(request: Promise<unknown>): Promise<void> {
  try {
    await request
  } catch (thrown) {
    if (!(thrown instanceof KubeStatusError && thrown.status === 404)) throw thrown
  }
}
