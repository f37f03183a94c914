// SPDX-License-Identifier: Apache-2.0
/** The simple JSON paths of printer columns: `.spec.hosts[0]`, `.status.conditions[?(@.type=="Ready")].status`. */
import {arrayOf, isFields} from './object.ts'

const STEP =
  /\.((?:\\.|[^.[\]\\])+)|\[(\d+|\*)\]|\['((?:\\.|[^'\\])*)'\]|\[\?\(\s*@\.([\w.-]+)\s*==\s*["']([^"']*)["']\s*\)\]/y

/** The first value at the path; undefined where there is none, or the path is another kind. */
export function firstAt(object: unknown, path: string): unknown {
  let values: readonly unknown[] = [object]
  const step = new RegExp(STEP)
  const text = path.startsWith('.') || path.startsWith('[') ? path : `.${path}`
  while (step.lastIndex < text.length) {
    const found = step.exec(text)
    if (found === null) return undefined
    values = values.flatMap((value) => next(value, found))
  }
  return values[0]
}

function next(
  value: unknown,
  [, dotted, index, quoted, field, expected]: RegExpExecArray,
): readonly unknown[] {
  if (index === '*') return Array.isArray(value) ? value : isFields(value) ? Object.values(value) : []
  if (index !== undefined) return arrayOf(value).slice(Number(index), Number(index) + 1)
  if (field !== undefined) return arrayOf(value).filter((item) => String(firstAt(item, field)) === expected)
  const name = (dotted ?? quoted ?? '').replace(/\\(.)/g, '$1')
  return isFields(value) && Object.hasOwn(value, name) ? [value[name]] : []
}
