// SPDX-License-Identifier: Apache-2.0
/** From the bytes of a request to an object whose outer shape can be trusted. */

import {prune} from './custom-schema.ts'
import {schemaFaults} from './custom-validate.ts'
import {type Fields, fieldsOf, isFields, type StoredObject, textOf} from './object.ts'
import {groupVersion, type ResourceRow} from './resource-row.ts'
import {typed} from './schema.ts'
import {badRequest, invalid} from './status.ts'

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
  if (row.custom !== undefined) return decodeCustom(row, value, row.custom.schema ?? KEEP_ALL, onUnknown)
  const {value: known, unknown, fault} = typed(row.kind, value)
  if (fault !== undefined) {
    throw badRequest(`${row.kind} in version "${row.version}" cannot be handled as a ${row.kind}: ${fault}`)
  }
  if (unknown.length > 0) onUnknown(unknown)
  const {managedFields: _, ...metadata} = (known['metadata'] ?? {}) as Fields
  return {...known, metadata} as unknown as StoredObject
}

const KEEP_ALL: Fields = {type: 'object', 'x-kubernetes-preserve-unknown-fields': true}

/** @throws StatusError 400, or 422 where it does not fit its schema */
function decodeCustom(
  row: ResourceRow,
  value: Fields,
  schema: Fields,
  onUnknown: (paths: readonly string[]) => void,
): StoredObject {
  const {metadata: given = {}, ...rest} = value
  if (!isFields(given)) throw badRequest(`${row.kind}: metadata must be an object`)
  const metadata = typed('V1ObjectMeta', given)
  if (metadata.fault !== undefined) {
    throw badRequest(
      `${row.kind} in version "${row.version}" cannot be handled as a ${row.kind}: metadata.${metadata.fault}`,
    )
  }
  const known = prune(schema, rest)
  const unknown = [...metadata.unknown.map((path) => `metadata.${path}`), ...known.unknown]
  if (unknown.length > 0) onUnknown(unknown)
  const causes = schemaFaults(schema, known.value)
  if (causes.length > 0) throw invalid(row, textOf(given['name']), causes)
  const {managedFields: _, ...kept} = fieldsOf(metadata.value)
  return {...known.value, metadata: kept} as unknown as StoredObject
}

/** A body of a kind that is no resource by itself. @throws StatusError 400 */
export function checkedFields(kind: string, body: unknown): Fields {
  if (!isFields(body) || body['kind'] !== kind) throw badRequest(`the body of the request must be a ${kind}`)
  const {value, fault} = typed(kind, body)
  if (fault !== undefined) throw badRequest(`the body cannot be handled as a ${kind}: ${fault}`)
  return value
}
