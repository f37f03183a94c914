// SPDX-License-Identifier: Apache-2.0
/** Delete: at once, gracefully, or when the last finalizer is gone. */
import {timestamp} from './managed-fields.ts'
import {type Fields, fieldsOf, isFields, type StoredObject, textAt} from './object.ts'
import {isCore, type ResourceRow} from './resource-row.ts'
import {badRequest, conflict} from './status.ts'
import {isGone, type WriteContext} from './write.ts'

export interface DeleteOptions {
  readonly gracePeriodSeconds: number | undefined
  readonly propagationPolicy: string | undefined
  readonly uid: string | undefined
  readonly resourceVersion: string | undefined
  readonly dryRun: boolean
}

const POLICIES = ['Background', 'Foreground', 'Orphan']
const FINALIZER_OF: Readonly<Record<string, string>> = {Foreground: 'foregroundDeletion', Orphan: 'orphan'}
const DEFAULT_GRACE_SECONDS = 30

/** Options from body and query; the body wins. @throws StatusError 400 */
export function deleteOptions(query: URLSearchParams, body: unknown): DeleteOptions {
  if (body !== undefined && !isFields(body)) throw badRequest('DeleteOptions must be a JSON object')
  const fields = fieldsOf(body)
  const preconditions = fieldsOf(fields['preconditions'])
  const grace = fields['gracePeriodSeconds'] ?? query.get('gracePeriodSeconds') ?? undefined
  const policy = (fields['propagationPolicy'] ?? query.get('propagationPolicy') ?? undefined) as
    | string
    | undefined
  if (grace !== undefined && !/^\d{1,9}$/.test(String(grace))) {
    throw badRequest(`gracePeriodSeconds: Invalid value: ${JSON.stringify(grace)}`)
  }
  if (policy !== undefined && !POLICIES.includes(policy)) {
    throw badRequest(
      `propagationPolicy: Invalid value: ${JSON.stringify(policy)}: must be one of ${POLICIES.join(', ')}`,
    )
  }
  return {
    gracePeriodSeconds: grace === undefined ? undefined : Number(grace),
    propagationPolicy: policy,
    uid: preconditions['uid'] as string | undefined,
    resourceVersion: preconditions['resourceVersion'] as string | undefined,
    dryRun: query.get('dryRun') === 'All' || isDryRun(fields),
  }
}

function isDryRun(fields: Fields): boolean {
  return Array.isArray(fields['dryRun']) && fields['dryRun'].includes('All')
}

export interface Deletion {
  readonly object: StoredObject
  /** False while it waits for a grace period or finalizers. */
  readonly removed: boolean
}

/** @throws StatusError 409 where a precondition does not hold */
export function deleteObject(
  context: WriteContext,
  row: ResourceRow,
  object: StoredObject,
  options: DeleteOptions,
): Deletion {
  checkPreconditions(row, object, options)
  const marked = markedForDeletion(row, object, options, context.writer.nowMs)
  const removed = isGone(row, marked)
  if (context.dryRun || options.dryRun) return {object: marked, removed}
  if (removed) return {object: context.store.remove(row, marked), removed}
  return {object: marked === object ? object : context.store.put(row, marked), removed}
}

function checkPreconditions(row: ResourceRow, object: StoredObject, options: DeleteOptions): void {
  const {uid, resourceVersion, name} = object.metadata
  if (options.uid !== undefined && options.uid !== uid) {
    throw conflict(
      row,
      name,
      `Precondition failed: UID in precondition: ${options.uid}, UID in object meta: ${uid}`,
    )
  }
  if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion) {
    const why = `Precondition failed: ResourceVersion in precondition: ${options.resourceVersion}, ResourceVersion in object meta: ${resourceVersion}`
    throw conflict(row, name, why)
  }
}

/** The same object where it is already on its way out and nothing is asked to go faster. */
function markedForDeletion(
  row: ResourceRow,
  object: StoredObject,
  options: DeleteOptions,
  nowMs: number,
): StoredObject {
  const graceSeconds = graceOf(row, object, options)
  const {deletionTimestamp, deletionGracePeriodSeconds, finalizers = []} = object.metadata
  if (deletionTimestamp !== undefined && (deletionGracePeriodSeconds ?? 0) <= graceSeconds) return object
  const extra = FINALIZER_OF[options.propagationPolicy ?? '']
  const held = extra === undefined || finalizers.includes(extra) ? finalizers : [...finalizers, extra]
  const metadata = {
    ...object.metadata,
    ...(held.length > 0 ? {finalizers: held} : {}),
    ...(row.generation ? {generation: (object.metadata.generation ?? 0) + 1} : {}),
    deletionTimestamp: timestamp(nowMs + graceSeconds * 1000),
    deletionGracePeriodSeconds: graceSeconds,
  }
  const terminating = isCore(row, 'namespaces') ? {status: {...object.status, phase: 'Terminating'}} : {}
  return {...object, ...terminating, metadata}
}

/** Only pods that run somewhere are given time. */
function graceOf(row: ResourceRow, object: StoredObject, options: DeleteOptions): number {
  if (!isCore(row, 'pods') || textAt(object, 'spec.nodeName') === '') return 0
  if (['Succeeded', 'Failed'].includes(textAt(object, 'status.phase'))) return 0
  const own = Number(textAt(object, 'spec.terminationGracePeriodSeconds') || DEFAULT_GRACE_SECONDS)
  return options.gracePeriodSeconds ?? own
}
