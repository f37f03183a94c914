// SPDX-License-Identifier: Apache-2.0
/** Structural schemas: fields that they do not name are left out and told, defaults are filled in. */
import {type Fields, fieldsOf, isFields} from './object.ts'

export interface Pruned {
  readonly value: Fields
  /** Paths of what was left out: `spec.ports[0].nmae`. */
  readonly unknown: readonly string[]
}

/** Fields that every object has, whatever its schema says; also of objects inside of objects. */
const OBJECT_FIELDS = ['apiVersion', 'kind', 'metadata']

/** The object as its schema knows it; the given one is not changed. */
export function prune(schema: Fields, object: Fields): Pruned {
  const unknown: string[] = []
  const value = pruned({...schema, 'x-kubernetes-embedded-resource': true}, object, '', unknown)
  return {value: fieldsOf(value), unknown}
}

function pruned(schema: Fields, value: unknown, path: string, unknown: string[]): unknown {
  if (Array.isArray(value)) {
    const items = schema['items']
    if (!isFields(items)) return value
    return value.map((item, index) => pruned(items, item, `${path}[${index}]`, unknown))
  }
  return isFields(value) ? prunedFields(schema, value, path, unknown) : value
}

function prunedFields(schema: Fields, value: Fields, path: string, unknown: string[]): Fields {
  const properties = fieldsOf(schema['properties'])
  const result = new Map<string, unknown>()
  for (const [name, field] of Object.entries(value)) {
    const inner = Object.hasOwn(properties, name) ? properties[name] : schema['additionalProperties']
    if (isKept(schema, inner, name)) result.set(name, field)
    else if (!isFields(inner)) unknown.push(joined(path, name))
    else if (!isReplaced(inner, field)) result.set(name, pruned(inner, field, joined(path, name), unknown))
  }
  for (const [name, inner] of Object.entries(properties)) {
    const standard = fieldsOf(inner)['default']
    if (standard === undefined || result.has(name)) continue
    result.set(name, pruned(fieldsOf(inner), structuredClone(standard), joined(path, name), unknown))
  }
  return Object.fromEntries(result)
}

function joined(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

/** As it is, whatever is in it. */
function isKept(schema: Fields, inner: unknown, name: string): boolean {
  if (schema['x-kubernetes-embedded-resource'] === true && OBJECT_FIELDS.includes(name)) return true
  return inner === true || (!isFields(inner) && schema['x-kubernetes-preserve-unknown-fields'] === true)
}

/** A null that the schema does not know gives way to the default. */
function isReplaced(inner: Fields, field: unknown): boolean {
  return field === null && inner['nullable'] !== true && inner['default'] !== undefined
}
