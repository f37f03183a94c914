// SPDX-License-Identifier: Apache-2.0
/** Writes one planned label, and nothing but what the plan saw. */
import {ConflictError, KubeStatusError} from '../errors.ts'
import {DATAPLANE_LABEL, REDIRECTION_ANNOTATION} from '../model/enrollment.ts'
import {type KubeObject, RESOURCES} from '../model/kube.ts'
import type {TargetPlan, Unannotation} from '../model/plan.ts'
import type {Clock, Kube, ResourcePath} from '../ports.ts'

export interface LabelWriteOptions {
  /** The server checks and stores nothing. */
  readonly dryRun: boolean
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

const ATTEMPTS = 6
const PAUSE_MS = 50

/**
 * Merge patch that carries the resourceVersion of the plan. Pods change all the time: on 409 the object is
 * read again, and the write goes on when it is still the same object with the same label.
 *
 * @throws ConflictError the label is no longer what the plan saw, or the object was replaced;
 *   KubeStatusError, DeniedError, UnreachableError as the server answers. Nothing is written then, except
 *   that an UnreachableError or TimeoutError may come after the server stored it.
 */
export async function writeLabel(kube: Kube, target: TargetPlan, options: LabelWriteOptions): Promise<void> {
  const {change} = target
  if (change.kind !== 'write') return
  const path = pathOf(target)
  let {resourceVersion} = target
  for (let attempt = 1; ; attempt += 1) {
    const patch = {metadata: {resourceVersion, labels: {[DATAPLANE_LABEL]: change.after}}}
    try {
      await kube.mergePatch(path, patch, {dryRun: options.dryRun, signal: options.signal})
      return
    } catch (thrown) {
      if (!isConflict(thrown)) throw thrown
      if (attempt === ATTEMPTS) throw changesTooFast(target, thrown)
    }
    await options.clock.sleep(PAUSE_MS * attempt, options.signal)
    const current = await kube.get<KubeObject>(path, {signal: options.signal})
    const label = current.metadata.labels?.[DATAPLANE_LABEL] ?? null
    if (current.metadata.uid === target.uid && label === change.after) return
    assertAsPlanned(target, change.before, current, label)
    resourceVersion = current.metadata.resourceVersion ?? ''
  }
}

/**
 * Takes the redirection annotation away; the label has to be gone before, else the daemon writes it again.
 *
 * @throws as {@link writeLabel}; no error where the pod is gone
 */
export async function removeRedirection(
  kube: Kube,
  {namespace, name, uid}: Unannotation,
  {dryRun, signal}: LabelWriteOptions,
): Promise<void> {
  // The uid makes it a conflict where another pod has the name by now.
  const patch = {metadata: {uid, annotations: {[REDIRECTION_ANNOTATION]: null}}}
  try {
    await kube.mergePatch({...RESOURCES.pods, namespace, name}, patch, {dryRun, signal})
  } catch (thrown) {
    if (!(thrown instanceof KubeStatusError && thrown.status === 404)) throw thrown
  }
}

function pathOf(target: TargetPlan): ResourcePath {
  const {name, namespace} = target
  return target.kind === 'Namespace' ? {...RESOURCES.namespaces, name} : {...RESOURCES.pods, namespace, name}
}

function isConflict(thrown: unknown): boolean {
  return thrown instanceof ConflictError || (thrown instanceof KubeStatusError && thrown.status === 409)
}

function assertAsPlanned(
  target: TargetPlan,
  before: string | null,
  current: KubeObject,
  label: string | null,
): void {
  if (current.metadata.uid !== target.uid) {
    throw new ConflictError(`${nameOf(target)} was deleted and made again since the plan`)
  }
  if (label !== before) {
    throw new ConflictError(
      `${DATAPLANE_LABEL} of ${nameOf(target)} was ${show(before)} in the plan and is ${show(label)} now`,
      {hints: ['run the command again for a new plan']},
    )
  }
}

function changesTooFast(target: TargetPlan, cause: unknown): ConflictError {
  return new ConflictError(`${nameOf(target)} changed before each of ${ATTEMPTS} writes`, {cause})
}

function nameOf(target: TargetPlan): string {
  return target.kind === 'Namespace' ? `namespace ${target.name}` : `pod ${target.namespace}/${target.name}`
}

function show(value: string | null): string {
  return value === null ? 'not set' : `"${value}"`
}
