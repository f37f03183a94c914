// SPDX-License-Identifier: Apache-2.0
/** Create and update: from a body to what is stored. */
import {randomUUID} from 'node:crypto'
import {isDeepStrictEqual} from 'node:util'
import {type ServiceRanges, withClusterAddresses} from './addresses.ts'
import {withDefaults} from './defaults.ts'
import {managedFields, timestamp, type Writer} from './managed-fields.ts'
import type {StoredMeta, StoredObject} from './object.ts'
import {isCore, type ResourceRow} from './resource-row.ts'
import {resourceRow} from './resources.ts'
import type {ResourceRoute} from './route.ts'
import {alreadyExists, badRequest, conflict, forbidden, notFound} from './status.ts'
import type {Store} from './store.ts'
import {validate} from './validate.ts'

export interface WriteContext {
  readonly store: Store
  readonly ranges: ServiceRanges
  readonly writer: Writer
  readonly dryRun: boolean
}

const GENERATED_LETTERS = 'bcdfghjklmnpqrstvwxz2456789'
const GENERATED_NAME_MAX_LENGTH = 58

/** Stores a new object. @throws StatusError 400, 403, 404, 409, 422 */
export function createObject(context: WriteContext, route: ResourceRoute, body: StoredObject): StoredObject {
  const {row, namespace} = route
  const {store, writer} = context
  const given = body.metadata
  const name = given.name || generatedName(given.generateName)
  if (given.namespace && given.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  }
  if (given.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created')
  if (row.namespaced) checkNamespace(store, row, namespace, name)
  const {namespace: _, deletionTimestamp: __, deletionGracePeriodSeconds: ___, ...kept} = given
  const metadata: StoredMeta = {
    ...kept,
    name,
    ...(row.namespaced ? {namespace} : {}),
    uid: randomUUID(),
    resourceVersion: '',
    creationTimestamp: timestamp(writer.nowMs),
    ...(row.generation ? {generation: 1} : {}),
  }
  const object = finished(context, row, withDefaults(row, {...body, metadata}, true), undefined)
  if (store.get(row, namespace, name) !== undefined) throw alreadyExists(row, name)
  return context.dryRun ? object : store.put(row, object)
}

function generatedName(prefix: string | undefined): string {
  if (!prefix) return ''
  const letters = Array.from(
    {length: 5},
    () => GENERATED_LETTERS[Math.floor(Math.random() * GENERATED_LETTERS.length)],
  )
  return `${prefix.slice(0, GENERATED_NAME_MAX_LENGTH)}${letters.join('')}`
}

function checkNamespace(store: Store, row: ResourceRow, namespace: string, name: string): void {
  const holder = store.get(resourceRow('namespaces'), '', namespace)
  if (holder === undefined) throw notFound(resourceRow('namespaces'), namespace)
  if (holder.metadata.deletionTimestamp === undefined) return
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`
  const message = `namespace ${namespace} is being terminated`
  throw forbidden(row, name, why, [{reason: 'NamespaceTerminating', message, field: 'metadata.namespace'}])
}

/** Replaces `old` by `body` as far as the subresource allows. @throws StatusError 400, 409, 422 */
export function updateObject(
  context: WriteContext,
  route: ResourceRoute,
  old: StoredObject,
  body: StoredObject,
): StoredObject {
  const {row, name, subresource} = route
  checkIdentity(row, name, route.namespace, old, body)
  const merged = withDefaults(row, allowedPart(row, subresource, old, body), false)
  const counted = row.generation && !isDeepStrictEqual(content(old), content(merged))
  const metadata = {...merged.metadata, ...(counted ? {generation: (old.metadata.generation ?? 0) + 1} : {})}
  const complete = {...merged, metadata}
  // An update that changes nothing makes no event: controllers rely on it to come to rest.
  if (isDeepStrictEqual(complete, old)) return old
  const object = finished(context, row, complete, old)
  if (context.dryRun) return object
  return isGone(row, object) ? context.store.remove(row, object) : context.store.put(row, object)
}

function checkIdentity(
  row: ResourceRow,
  name: string,
  namespace: string,
  old: StoredObject,
  body: StoredObject,
): void {
  const given: Partial<StoredMeta> = body.metadata
  if (given.name !== undefined && given.name !== name) {
    throw badRequest(`the name of the object (${given.name}) does not match the name on the URL (${name})`)
  }
  if (given.namespace && given.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  }
  if (given.uid && given.uid !== old.metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${given.uid}, UID in object meta: ${old.metadata.uid}`
    throw conflict(row, name, why)
  }
  if (given.resourceVersion && given.resourceVersion !== old.metadata.resourceVersion)
    throw conflict(row, name)
}

/** Fields of metadata that a client may change. */
const WRITABLE = ['labels', 'annotations', 'finalizers', 'ownerReferences'] as const

function allowedPart(
  row: ResourceRow,
  subresource: string,
  old: StoredObject,
  body: StoredObject,
): StoredObject {
  if (subresource === 'finalize') return {...old, spec: body.spec ?? {}}
  if (subresource === 'status') {
    const metadata = mergedMetadata(old, body, ['labels', 'annotations'])
    return {...old, metadata, status: body.status ?? {}}
  }
  const metadata = mergedMetadata(old, body, WRITABLE)
  if (!row.subresources.includes('status')) return {...body, metadata}
  // A namespace's finalizers in spec have a subresource of their own.
  const kept = isCore(row, 'namespaces') ? {spec: old.spec ?? {}} : {}
  const {status: _, ...rest} = body
  return {...rest, ...kept, metadata, ...(old.status === undefined ? {} : {status: old.status})}
}

function mergedMetadata(
  old: StoredObject,
  body: StoredObject,
  fields: readonly (typeof WRITABLE)[number][],
): StoredMeta {
  const metadata: StoredMeta = {...old.metadata}
  for (const field of fields) {
    const value = body.metadata[field]
    if (value === undefined || Object.keys(value).length === 0) delete metadata[field]
    else Object.assign(metadata, {[field]: value})
  }
  return metadata
}

function content(object: StoredObject): object {
  const {metadata: _, status: __, ...rest} = object
  return rest
}

function finished(
  context: WriteContext,
  row: ResourceRow,
  object: StoredObject,
  old: StoredObject | undefined,
): StoredObject {
  validate(row, object, old)
  const complete = isCore(row, 'services')
    ? withClusterAddresses(object, old, context.ranges, context.store.values(row))
    : object
  const metadata = {...complete.metadata, managedFields: [...managedFields(old, complete, context.writer)]}
  return {...complete, metadata}
}

/** Its deletion was asked for, and nothing holds it any longer. */
export function isGone(row: ResourceRow, object: StoredObject): boolean {
  const {deletionTimestamp, deletionGracePeriodSeconds, finalizers} = object.metadata
  if (deletionTimestamp === undefined || (finalizers?.length ?? 0) > 0) return false
  if (isCore(row, 'namespaces'))
    return ((object.spec?.['finalizers'] as unknown[] | undefined) ?? []).length === 0
  return (deletionGracePeriodSeconds ?? 0) === 0
}
