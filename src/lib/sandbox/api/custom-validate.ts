// SPDX-License-Identifier: Apache-2.0
/** Values against a structural schema, with the words of Kubernetes. CEL rules and formats are not checked. */
import {isDeepStrictEqual} from 'node:util'
import {arrayOf, type Fields, fieldsOf, isFields} from './object.ts'
import type {StatusCause} from './status.ts'

/** Enough to see what is wrong. */
const CAUSES_MAX = 20

/** Every fault of a custom object; empty where it fits its schema. */
export function schemaFaults(schema: Fields, object: Fields): StatusCause[] {
  const {metadata: _, ...properties} = fieldsOf(schema['properties'])
  const causes: StatusCause[] = []
  check(causes, {...schema, properties}, object, '')
  return causes.slice(0, CAUSES_MAX)
}

function check(causes: StatusCause[], schema: Fields, value: unknown, path: string): void {
  if (value === null && schema['nullable'] === true) return
  if (!hasType(schema, value)) {
    const got = typeName(value)
    const expected = schema['x-kubernetes-int-or-string'] === true ? 'integer,string' : String(schema['type'])
    const message = `Invalid value: "${got}": ${path} in body must be of type ${expected}: "${got}"`
    causes.push({reason: 'FieldValueTypeInvalid', message, field: path || '<nil>'})
    return
  }
  checkEnum(causes, schema, value, path)
  if (typeof value === 'string') checkText(causes, schema, value, path)
  if (typeof value === 'number') checkNumber(causes, schema, value, path)
  if (Array.isArray(value)) checkList(causes, schema, value, path)
  if (isFields(value)) checkFields(causes, schema, value, path)
  checkCombined(causes, schema, value, path)
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value
}

function hasType(schema: Fields, value: unknown): boolean {
  const got = typeName(value)
  if (schema['x-kubernetes-int-or-string'] === true) return got === 'string' || got === 'integer'
  const type = schema['type']
  return type === undefined || type === '' || type === got || (type === 'number' && got === 'integer')
}

function wrong(causes: StatusCause[], path: string, value: unknown, why: string): void {
  const shown = isFields(value) || Array.isArray(value) ? `"${typeName(value)}"` : JSON.stringify(value)
  const message = `Invalid value: ${shown}: ${path} in body ${why}`
  causes.push({reason: 'FieldValueInvalid', message, field: path || '<nil>'})
}

function checkEnum(causes: StatusCause[], schema: Fields, value: unknown, path: string): void {
  const allowed = schema['enum']
  if (!Array.isArray(allowed) || allowed.some((one) => isDeepStrictEqual(one, value))) return
  const list = allowed.map((one) => JSON.stringify(one)).join(', ')
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${list}`
  causes.push({reason: 'FieldValueNotSupported', message, field: path})
}

function checkText(causes: StatusCause[], schema: Fields, value: string, path: string): void {
  const {minLength, maxLength, pattern} = schema
  const length = [...value].length
  if (typeof minLength === 'number' && length < minLength)
    wrong(causes, path, value, `should be at least ${minLength} chars long`)
  if (typeof maxLength === 'number' && length > maxLength) {
    const message = `Too long: may not be more than ${maxLength} bytes`
    causes.push({reason: 'FieldValueTooLong', message, field: path})
  }
  if (typeof pattern === 'string' && compiled(pattern)?.test(value) === false)
    wrong(causes, path, value, `should match '${pattern}'`)
}

/** Undefined for what only Go's regular expressions know; the definition was answered with a warning then. */
export function compiled(pattern: string): RegExp | undefined {
  try {
    return new RegExp(pattern, 'u')
  } catch {
    return undefined
  }
}

function checkNumber(causes: StatusCause[], schema: Fields, value: number, path: string): void {
  const {minimum, maximum} = schema
  const above = schema['exclusiveMinimum'] === true
  const below = schema['exclusiveMaximum'] === true
  if (typeof minimum === 'number' && (above ? value <= minimum : value < minimum))
    wrong(causes, path, value, `should be greater than ${above ? '' : 'or equal to '}${minimum}`)
  if (typeof maximum === 'number' && (below ? value >= maximum : value > maximum))
    wrong(causes, path, value, `should be less than ${below ? '' : 'or equal to '}${maximum}`)
}

function checkList(causes: StatusCause[], schema: Fields, value: readonly unknown[], path: string): void {
  const {minItems, maxItems, items} = schema
  if (typeof minItems === 'number' && value.length < minItems)
    wrong(causes, path, value, `should have at least ${minItems} items`)
  if (typeof maxItems === 'number' && value.length > maxItems) {
    const message = `Too many: ${value.length}: must have at most ${maxItems} items`
    causes.push({reason: 'FieldValueTooMany', message, field: path})
  }
  if (isFields(items))
    for (const [index, item] of value.entries()) check(causes, items, item, `${path}[${index}]`)
}

function checkFields(causes: StatusCause[], schema: Fields, value: Fields, path: string): void {
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`)
  const properties = fieldsOf(schema['properties'])
  for (const name of arrayOf(schema['required'])) {
    if (typeof name === 'string' && !Object.hasOwn(value, name))
      causes.push({reason: 'FieldValueRequired', message: 'Required value', field: at(name)})
  }
  const {minProperties, maxProperties} = schema
  const count = Object.keys(value).length
  if (typeof minProperties === 'number' && count < minProperties)
    wrong(causes, path, value, `should have at least ${minProperties} properties`)
  if (typeof maxProperties === 'number' && count > maxProperties)
    wrong(causes, path, value, `should have at most ${maxProperties} properties`)
  for (const [name, field] of Object.entries(value)) {
    const inner = Object.hasOwn(properties, name) ? properties[name] : schema['additionalProperties']
    if (isFields(inner)) check(causes, inner, field, at(name))
  }
}

function fits(schema: unknown, value: unknown): boolean {
  const causes: StatusCause[] = []
  check(causes, fieldsOf(schema), value, '')
  return causes.length === 0
}

function checkCombined(causes: StatusCause[], schema: Fields, value: unknown, path: string): void {
  for (const part of arrayOf(schema['allOf'])) check(causes, fieldsOf(part), value, path)
  const any = schema['anyOf']
  const one = schema['oneOf']
  if (Array.isArray(any) && !any.some((part) => fits(part, value)))
    wrong(causes, path, value, 'must validate at least one schema (anyOf)')
  if (Array.isArray(one) && one.filter((part) => fits(part, value)).length !== 1)
    wrong(causes, path, value, 'must validate one and only one schema (oneOf)')
  if (isFields(schema['not']) && fits(schema['not'], value))
    wrong(causes, path, value, 'must not validate the schema (not)')
}
