// SPDX-License-Identifier: Apache-2.0
/** Types of all fields of the served kinds: what has the wrong type is refused, what is unknown is dropped and told. */
import {type Fields, isFields} from './object.ts'
import types from './schema.json' with {type: 'json'}

const SCHEMA = types as Readonly<Record<string, Readonly<Record<string, string>>>>

export interface Typed {
  /** The value with known fields only; nulls count as absent. */
  readonly value: Fields
  /** Paths of fields that Kubernetes does not have: `spec.containers[0].imagee`. */
  readonly unknown: readonly string[]
  /** The first field of a wrong type, as `path: expected a, got b`. */
  readonly fault: string | undefined
}

/** Checks an object against the schema of its kind. */
export function typed(kind: string, object: Fields): Typed {
  const walk: Walk = {unknown: [], fault: undefined}
  const value = ofClass(walk, SCHEMA[kind] ?? {}, object, '')
  return {value, unknown: walk.unknown, fault: walk.fault}
}

interface Walk {
  readonly unknown: string[]
  fault: string | undefined
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

const PLAIN: Readonly<Record<string, (value: unknown) => boolean>> = {
  any: () => true,
  string: (value) => typeof value === 'string',
  base64: (value) => typeof value === 'string' && BASE64.test(value),
  boolean: (value) => typeof value === 'boolean',
  number: (value) => typeof value === 'number',
  integer: Number.isInteger,
  intOrString: (value) => typeof value === 'string' || Number.isInteger(value),
  quantity: (value) => typeof value === 'string' || typeof value === 'number',
}

function ofClass(walk: Walk, fields: Readonly<Record<string, string>>, object: Fields, path: string): Fields {
  const result: [string, unknown][] = []
  for (const [name, value] of Object.entries(object)) {
    const at = path === '' ? name : `${path}.${name}`
    if (!Object.hasOwn(fields, name)) walk.unknown.push(at)
    else if (value !== null) result.push([name, ofType(walk, fields[name] ?? 'any', value, at)])
  }
  return Object.fromEntries(result)
}

function ofType(walk: Walk, type: string, value: unknown, path: string): unknown {
  if (type.endsWith('[]')) return ofList(walk, type.slice(0, -2), value, path)
  if (type.endsWith('{}')) return ofMap(walk, type.slice(0, -2), value, path)
  const isPlain = PLAIN[type]
  if (isPlain !== undefined) return isPlain(value) ? value : wrong(walk, path, type, value)
  if (!isFields(value)) return wrong(walk, path, 'object', value)
  return ofClass(walk, SCHEMA[type] ?? {}, value, path)
}

function ofList(walk: Walk, type: string, value: unknown, path: string): unknown {
  if (!Array.isArray(value)) return wrong(walk, path, 'list', value)
  return value.map((item, index) => ofType(walk, type, item, `${path}[${index}]`))
}

function ofMap(walk: Walk, type: string, value: unknown, path: string): unknown {
  if (!isFields(value)) return wrong(walk, path, 'map', value)
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, ofType(walk, type, item, `${path}.${key}`)]),
  )
}

function wrong(walk: Walk, path: string, expected: string, value: unknown): undefined {
  const got = value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value
  walk.fault ??= `${path}: expected ${expected}, got ${got}`
  return undefined
}
