// SPDX-License-Identifier: Apache-2.0
/** How an object goes over the wire: whole, its metadata only, or as rows of a table; the `Accept` header decides. */
import {inVersion, objectJson, partialObject, type StoredObject} from './object.ts'
import {groupVersion, type ResourceRow} from './resource-row.ts'
import {StatusError} from './status.ts'
import {type ListMetadata, type Representation, type Shape, tableJson} from './table.ts'

/**
 * The first entry of the header that can be served. Lists of metadata and single ones count as the same.
 * @throws StatusError 406
 */
export function negotiate(accept: string | undefined, query: URLSearchParams, nowMs: number): Representation {
  const rows = query.get('includeObject')
  const rowObject = rows === 'Object' || rows === 'None' ? rows : 'Metadata'
  for (const entry of (accept ?? '*/*').split(',')) {
    const shape = shapeOf(entry)
    if (shape !== undefined) return {shape, rowObject, nowMs}
  }
  const message = 'only the following media types are accepted: application/json'
  throw new StatusError(406, 'NotAcceptable', message)
}

function shapeOf(entry: string): Shape | undefined {
  const [type = '', ...parameters] = entry.split(';').map((part) => part.trim())
  if (type !== 'application/json' && type !== '*/*' && type !== 'application/*') return undefined
  const as = parameters.find((parameter) => parameter.startsWith('as='))?.slice(3)
  const version = parameters.find((parameter) => parameter.startsWith('v='))?.slice(2)
  if (as === undefined) return 'whole'
  if (version !== 'v1') return undefined
  if (as === 'Table') return 'table'
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList' ? 'metadata' : undefined
}

/** JSON of one object. */
export function renderObject(row: ResourceRow, given: StoredObject, as: Representation): string {
  const object = inVersion(row, given)
  if (as.shape === 'table')
    return tableJson(row, [object], as, {resourceVersion: object.metadata.resourceVersion})
  return objectJson(as.shape === 'metadata' ? partialObject(object) : object)
}

/** JSON of a list. */
export function renderList(
  row: ResourceRow,
  given: readonly StoredObject[],
  listMetadata: ListMetadata,
  as: Representation,
): string {
  const objects = given.map((object) => inVersion(row, object))
  const metadata = JSON.stringify(listMetadata)
  if (as.shape === 'table') return tableJson(row, objects, as, listMetadata)
  if (as.shape === 'metadata') {
    const items = objects.map((object) => objectJson(partialObject(object))).join(',')
    return `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":${metadata},"items":[${items}]}\n`
  }
  const items = objects.map(objectJson).join(',')
  return `{"kind":"${row.kind}List","apiVersion":"${groupVersion(row)}","metadata":${metadata},"items":[${items}]}\n`
}
