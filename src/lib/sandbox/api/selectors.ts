// SPDX-License-Identifier: Apache-2.0
/** Label and field selectors of query strings. */
import {type StoredObject, textAt} from './object.ts'
import type {ResourceRow} from './resource-row.ts'
import {badRequest} from './status.ts'

export type Predicate = (object: StoredObject) => boolean
type LabelTest = (labels: Readonly<Record<string, string>>) => boolean

const IN = /^([^\s!=,()]+)\s+(in|notin)\s*\(([^()]*)\)$/
const EQUALITY = /^([^\s!=,()]+)\s*(==|=|!=)\s*([^\s!=,()]*)$/
const COMPARISON = /^([^\s!=,()<>]+)\s*([<>])\s*(-?\d+)$/
const EXISTS = /^(!?)\s*([^\s!=,()]+)$/
const LABEL_KEY = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/

/**
 * Grammar of Kubernetes: `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x)`, `a`, `!a`, `a>1`, `a<1`, joined by commas.
 * @throws StatusError 400
 */
export function parseLabelSelector(text: string): LabelTest {
  const tests = splitRequirements(text).map((part) => labelRequirement(part, text))
  return (given) => {
    // Keys come from clients: `constructor` must not find what every object inherits.
    const labels = Object.assign(Object.create(null), given) as Readonly<Record<string, string>>
    return tests.every((test) => test(labels))
  }
}

/** Equality terms only, on the fields that the resource lists. @throws StatusError 400 */
export function parseFieldSelector(text: string, row: ResourceRow): Predicate {
  const tests = text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => fieldRequirement(part.trim(), row))
  return (object) => tests.every((test) => test(object))
}

/** Both selectors of a query, and the namespace of the path (`''` for all), as one test. */
export function selection(query: URLSearchParams, row: ResourceRow, namespace: string): Predicate {
  const labels = query.get('labelSelector') ?? ''
  const fields = query.get('fieldSelector') ?? ''
  const labelTest = labels ? parseLabelSelector(labels) : undefined
  const fieldTest = fields ? parseFieldSelector(fields, row) : undefined
  return (object) =>
    (namespace === '' || object.metadata.namespace === namespace) &&
    (labelTest === undefined || labelTest(object.metadata.labels ?? {})) &&
    (fieldTest === undefined || fieldTest(object))
}

function splitRequirements(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let current = ''
  for (const char of text) {
    if (char === '(') depth += 1
    if (char === ')') depth -= 1
    if (char === ',' && depth === 0) {
      parts.push(current)
      current = ''
    } else current += char
  }
  parts.push(current)
  return parts
    .map((part) => part.trim())
    .filter((part, index) => part !== '' || parts.length > 1 || index > 0)
}

function labelRequirement(part: string, whole: string): LabelTest {
  const test = setRequirement(part) ?? equalityRequirement(part) ?? existsRequirement(part)
  if (test === undefined) {
    throw badRequest(`unable to parse requirement: "${part}" of the label selector "${whole}"`)
  }
  return test
}

function checkKey(key: string): string {
  if (!LABEL_KEY.test(key)) throw badRequest(`unable to parse requirement: invalid label key "${key}"`)
  return key
}

function setRequirement(part: string): LabelTest | undefined {
  const found = IN.exec(part)
  if (found === null) return undefined
  const key = checkKey(found[1] ?? '')
  const values = new Set((found[3] ?? '').split(',').map((value) => value.trim()))
  if (found[2] === 'in') return (labels) => values.has(labels[key] ?? '') && labels[key] !== undefined
  return (labels) => labels[key] === undefined || !values.has(labels[key])
}

function equalityRequirement(part: string): LabelTest | undefined {
  const comparison = COMPARISON.exec(part)
  if (comparison !== null) {
    const key = checkKey(comparison[1] ?? '')
    const bound = Number(comparison[3])
    const greater = comparison[2] === '>'
    return (labels) => {
      const value = /^-?\d+$/.test(labels[key] ?? '') ? Number(labels[key]) : Number.NaN
      return greater ? value > bound : value < bound
    }
  }
  const found = EQUALITY.exec(part)
  if (found === null) return undefined
  const key = checkKey(found[1] ?? '')
  const value = found[3] ?? ''
  return found[2] === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value
}

function existsRequirement(part: string): LabelTest | undefined {
  const found = EXISTS.exec(part)
  if (found === null) return undefined
  const key = checkKey(found[2] ?? '')
  return found[1] === '!' ? (labels) => labels[key] === undefined : (labels) => labels[key] !== undefined
}

function fieldRequirement(part: string, row: ResourceRow): Predicate {
  const found = /^([^=!]+?)\s*(==|=|!=)\s*(.*)$/.exec(part)
  if (found === null) throw badRequest(`invalid field selector: "${part}"; can't understand "${part}"`)
  const [, path = '', operator, value = ''] = found
  const known =
    path === 'metadata.name' || path === 'metadata.namespace' || row.selectableFields.includes(path)
  if (!known) throw badRequest(`field label not supported: ${path}`)
  const equal: Predicate = (object) => fieldText(object, path) === value
  return operator === '!=' ? (object) => !equal(object) : equal
}

/** Absent booleans select as `false`, as in Kubernetes. */
function fieldText(object: StoredObject, path: string): string {
  const text = textAt(object, path)
  return text === '' && (path === 'spec.unschedulable' || path === 'spec.hostNetwork') ? 'false' : text
}
