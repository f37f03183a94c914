// SPDX-License-Identifier: Apache-2.0
/**
 * Lists in pages. A page after the first one shows what is there now, under the resource version of the first: a watch
 * from that version tells every difference.
 */
import type {StoredObject} from './object.ts'
import type {ResourceRow} from './resource-row.ts'
import {badRequest, StatusError} from './status.ts'
import {type Store, storeKey} from './store.ts'
import type {ListMetadata} from './table.ts'

export interface Page {
  readonly objects: readonly StoredObject[]
  readonly metadata: ListMetadata
}

/**
 * The part of `objects` (in the order of their keys) that `limit` and `continue` of the query ask for.
 * @throws StatusError 400 for a broken query, 410 where the list began before all that is known of changes
 */
export function pageOf(
  store: Store,
  row: ResourceRow,
  objects: readonly StoredObject[],
  query: URLSearchParams,
): Page {
  const limit = limitOf(query)
  const token = query.get('continue') ?? ''
  const start = token === '' ? {version: store.version, after: ''} : parseToken(store, row, token)
  const rest = token === '' ? objects : objects.filter((object) => keyOf(object) > start.after)
  const resourceVersion = String(start.version)
  if (limit === 0 || rest.length <= limit) return {objects: rest, metadata: {resourceVersion}}
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  const next = JSON.stringify([start.version, last === undefined ? '' : keyOf(last)])
  const isSelected = query.has('labelSelector') || query.has('fieldSelector')
  return {
    objects: page,
    metadata: {
      resourceVersion,
      continue: Buffer.from(next).toString('base64url'),
      ...(isSelected ? {} : {remainingItemCount: rest.length - limit}),
    },
  }
}

export function keyOf(object: StoredObject): string {
  return storeKey(object.metadata.namespace ?? '', object.metadata.name)
}

function limitOf(query: URLSearchParams): number {
  const text = query.get('limit') ?? '0'
  if (!/^\d{1,9}$/.test(text)) throw badRequest(`limit: Invalid value: ${JSON.stringify(text)}`)
  return Number(text)
}

function parseToken(store: Store, row: ResourceRow, token: string): {version: number; after: string} {
  const [version, after] = tokenParts(token)
  if (typeof version !== 'number' || typeof after !== 'string') throw badRequest('continue key is not valid')
  if (!store.isKnown(row, version)) {
    const message =
      'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.'
    throw new StatusError(410, 'Expired', message)
  }
  return {version, after}
}

function tokenParts(token: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(token, 'base64url').toString())
    return Array.isArray(parts) ? parts : []
  } catch {
    throw badRequest('continue key is not valid')
  }
}
