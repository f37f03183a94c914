// SPDX-License-Identifier: Apache-2.0
/** One object of an install: what is there, what would change, and writing it. */
import {isDeepStrictEqual} from 'node:util'
import {ConflictError, KubeStatusError} from '../errors.ts'
import type {KubeObject} from '../model/kube.ts'
import {type ManifestObject, type ObjectPath, pathOfObject} from '../model/manifests.ts'
import {installOf, PHASE_ANNOTATION} from '../model/manifests-settings.ts'
import {objectChanges} from '../model/object-diff.ts'
import type {Clock, Kube, ResourcePath} from '../ports.ts'

export interface ObjectPlan {
  readonly object: ManifestObject
  readonly path: ObjectPath
  readonly action: 'create' | 'update' | 'unchanged' | 'keep' | 'refuse'
  /** What is written; of `update` with the resourceVersion that it is about. */
  readonly body: KubeObject
  readonly changes: readonly string[]
  /** Why it is refused. */
  readonly problem: string | null
  /** As it is in the cluster. */
  readonly current: KubeObject | undefined
}

export interface PlanObjectOptions {
  /** Namespace of the install. */
  readonly install: string
  /** Take objects over that were not made by kmeshctl, or by another install. */
  readonly overwrite: boolean
  /** Its namespace will be made first: the server cannot check it yet. */
  readonly isHomeless: boolean
  readonly signal: AbortSignal
}

/**
 * Lets the server check and default what would be written (dry run), so that only true differences are changes.
 * @throws KubeStatusError, DeniedError: the server does not take it
 */
export async function planObject(
  kube: Kube,
  object: ManifestObject,
  options: PlanObjectOptions,
): Promise<ObjectPlan> {
  const path = pathOfObject(object)
  const {isHomeless, signal} = options
  const current = isHomeless ? undefined : await findObject(kube, path, signal)
  const base = {object, path, current, changes: [], problem: null}
  if (current === undefined) {
    if (!isHomeless) await kube.create(collectionOf(path), object, {dryRun: true, signal})
    return {...base, action: 'create', body: object}
  }
  if (current.metadata.deletionTimestamp !== undefined) {
    const problem = 'it is being deleted; wait until it is gone'
    return {...base, action: 'refuse', body: current, problem}
  }
  const isOurs = installOf(current) === options.install
  // Whoever made the namespace may have put more into it.
  if (!isOurs && object.kind === 'Namespace') return {...base, action: 'keep', body: current}
  if (!isOurs && !options.overwrite) {
    return {...base, action: 'refuse', body: current, problem: whyRefused(current)}
  }
  const body = merged(current, object)
  const checked = await kube.update(path, body, {dryRun: true, signal})
  const changes = objectChanges(current, checked)
  return {...base, action: changes.length === 0 ? 'unchanged' : 'update', body, changes}
}

function whyRefused(current: KubeObject): string {
  const other = installOf(current)
  return other === undefined
    ? 'it exists and was not made by kmeshctl'
    : `it belongs to the install in namespace ${other}`
}

/** @returns undefined where there is none */
export async function findObject<T extends KubeObject>(
  kube: Kube,
  path: ResourcePath,
  signal: AbortSignal,
): Promise<T | undefined> {
  try {
    return await kube.get<T>(path, {signal})
  } catch (error) {
    if (error instanceof KubeStatusError && error.status === 404) return undefined
    throw error
  }
}

/** Ours as a whole, but for what others noted in metadata (also of the pods: `kubectl rollout restart` does). */
function merged(current: KubeObject, object: ManifestObject): KubeObject {
  const {status: _, ...rest} = current as KubeObject & {status?: unknown}
  const {[PHASE_ANNOTATION]: __, ...annotations} = current.metadata.annotations ?? {}
  const metadata = {
    ...current.metadata,
    labels: {...current.metadata.labels, ...(object.metadata as KubeObject['metadata']).labels},
    ...(Object.keys(annotations).length === 0 ? {annotations: {}} : {annotations}),
  }
  return {...rest, ...object, ...withNotes(current, object), metadata} as KubeObject
}

interface WithTemplate {
  readonly spec?: {readonly template?: {readonly metadata?: KubeObject['metadata']}}
}

function withNotes(current: KubeObject, wanted: KubeObject): WithTemplate {
  const {spec} = wanted as WithTemplate
  if (spec?.template === undefined) return {}
  const noted = (current as WithTemplate).spec?.template?.metadata?.annotations
  const metadata = {
    ...spec.template.metadata,
    annotations: {...noted, ...spec.template.metadata?.annotations},
  }
  return {spec: {...spec, template: {...spec.template, metadata}}}
}

function collectionOf({name: _, ...path}: ObjectPath): Omit<ObjectPath, 'name'> {
  return path
}

const ATTEMPTS = 5
const PAUSE_MS = 100

/**
 * Writes what was planned and nothing else. On 409 it is planned again (controllers write status all the time), and goes
 * on when the same would change.
 * @throws ConflictError somebody else changed it meanwhile
 */
export async function writeObject(
  kube: Kube,
  plan: ObjectPlan,
  options: PlanObjectOptions & {readonly clock: Clock},
): Promise<void> {
  const {signal, clock} = options
  if (plan.action === 'create') {
    await kube.create(collectionOf(plan.path), plan.body, {signal})
    return
  }
  if (plan.action !== 'update') return
  let body = plan.body
  for (let attempt = 1; ; attempt += 1) {
    try {
      await kube.update(plan.path, body, {signal})
      return
    } catch (error) {
      const isConflict = error instanceof KubeStatusError && error.status === 409
      if (!isConflict || attempt === ATTEMPTS) throw error
    }
    await clock.sleep(PAUSE_MS * attempt, signal)
    const again = await planObject(kube, plan.object, options)
    if (again.action !== 'update' || !isDeepStrictEqual(again.changes, plan.changes)) {
      const {kind, metadata} = plan.object
      throw new ConflictError(`${kind} ${metadata.name} was changed by somebody else since the plan`, {
        hints: ['run the command again for a new plan'],
      })
    }
    body = again.body
  }
}
