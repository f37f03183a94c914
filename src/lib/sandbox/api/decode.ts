// SPDX-License-Identifier: Apache-2.0
/** From the bytes of a request to an object whose outer shape can be trusted. */
import {type Fields, isFields, type StoredObject} from './object.ts'
import {groupVersion, type ResourceRow} from './resources.ts'
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
 * The body as an object of the resource; fields that the server itself sets are still to come.
 * @throws StatusError 400 where kind, apiVersion or the type of a field that all objects share is wrong
 */
export function decodeObject(row: ResourceRow, value: unknown): StoredObject {
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
  const metadata = value['metadata'] ?? {}
  checkShape(row, {...value, metadata})
  const {managedFields: _, ...kept} = withoutEmpty(metadata as Fields)
  return {...withoutEmpty(value), metadata: kept} as unknown as StoredObject
}

/** Absent and null are the same in Kubernetes, and so are an empty map or list in metadata. */
function withoutEmpty(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined),
  )
}

const METADATA_SHAPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  name: isText,
  namespace: isText,
  generateName: isText,
  uid: isText,
  resourceVersion: isText,
  labels: isTextMap,
  annotations: isTextMap,
  finalizers: (value) => Array.isArray(value) && value.every(isText),
  ownerReferences: (value) => Array.isArray(value) && value.every(isOwnerReference),
}

/** Lists of objects inside spec that the server itself goes through. */
const LISTS: readonly string[] = ['containers', 'initContainers', 'ports', 'template.spec.containers']
const OBJECTS: readonly string[] = ['selector', 'template', 'template.metadata', 'template.spec']

function checkShape(row: ResourceRow, object: Fields): void {
  const check = (path: string, isValid: (value: unknown) => boolean, expected: string): void => {
    const value = valueAt(object, path)
    if (value === undefined || value === null || isValid(value)) return
    throw badRequest(
      `${row.kind} in version "${row.version}" cannot be handled as a ${row.kind}: ${path} must be ${expected}`,
    )
  }
  const isObjectList = (value: unknown): boolean => Array.isArray(value) && value.every(isFields)
  for (const part of ['metadata', 'spec', 'status', 'data']) check(part, isFields, 'an object')
  for (const [name, isValid] of Object.entries(METADATA_SHAPES)) {
    check(`metadata.${name}`, isValid, 'of the type that Kubernetes gives it')
  }
  for (const path of OBJECTS) check(`spec.${path}`, isFields, 'an object')
  for (const path of LISTS) check(`spec.${path}`, isObjectList, 'a list of objects')
}

function valueAt(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, part) => (isFields(inner) ? inner[part] : undefined), value)
}

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

function isTextMap(value: unknown): boolean {
  return isFields(value) && Object.values(value).every(isText)
}

function isOwnerReference(value: unknown): boolean {
  return isFields(value) && ['apiVersion', 'kind', 'name', 'uid'].every((field) => isText(value[field]))
}
