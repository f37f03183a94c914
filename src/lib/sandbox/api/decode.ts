// SPDX-License-Identifier: Apache-2.0
/** From the bytes of a request to an object whose outer shape can be trusted. */
import {type Fields, isFields, type StoredObject} from './object.ts'
import {groupVersion, type ResourceRow} from './resources.ts'
import {typed} from './schema.ts'
import {badRequest} from './status.ts'

/** @throws StatusError 400 */
export function parseJson(body: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw badRequest(`the body of the request is not JSON: ${why}`)
  }
  if (!isShallow(value, DEPTH_MAX)) {
    throw badRequest(`the body of the request is nested more than ${DEPTH_MAX} levels deep`)
  }
  return value
}

/** Far above what any object needs, far below what would exhaust the stack of a later step. */
const DEPTH_MAX = 200

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return levels > 0 && Object.values(value).every((inner) => isShallow(inner, levels - 1))
}

/**
 * The body as an object of the resource; fields that the server itself sets are still to come. Fields that Kubernetes
 * does not have are left out and told to `onUnknown`.
 * @throws StatusError 400 where kind or apiVersion are others, or the type of a field is wrong
 */
export function decodeObject(
  row: ResourceRow,
  value: unknown,
  onUnknown: (paths: readonly string[]) => void,
): StoredObject {
  if (!isFields(value)) throw badRequest(`the body of the request must be a JSON object of kind ${row.kind}`)
  const expected = groupVersion(row)
  if (typeof value['kind'] !== 'string' || value['kind'] === '') {
    throw badRequest(`Object 'Kind' is missing in the body of the request`)
  }
  if (value['kind'] !== row.kind || value['apiVersion'] !== expected) {
    throw badRequest(
      `${String(value['kind'])} in version "${String(value['apiVersion'])}" cannot be handled as a ${row.kind} in version "${expected}"`,
    )
  }
  const {value: known, unknown, fault} = typed(row.kind, value)
  if (fault !== undefined) {
    throw badRequest(`${row.kind} in version "${row.version}" cannot be handled as a ${row.kind}: ${fault}`)
  }
  if (unknown.length > 0) onUnknown(unknown)
  const {managedFields: _, ...metadata} = (known['metadata'] ?? {}) as Fields
  return {...known, metadata} as unknown as StoredObject
}
