// SPDX-License-Identifier: Apache-2.0
/** Columns that a CustomResourceDefinition asks for. */
import {firstAt} from './json-path.ts'
import {textOf} from './object.ts'
import type {CustomForm} from './resource-row.ts'
import {age, type Column} from './table-columns.ts'

const NAME: Column = {name: 'Name', cell: (object) => object.metadata.name}
const AGE = {name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp'}

/** Name first, then those of the definition, else the age. */
export function customColumns(form: CustomForm): readonly Column[] {
  const given = form.columns.length > 0 ? form.columns : [AGE]
  return [NAME, ...given.map(customColumn)]
}

function customColumn(fields: CustomForm['columns'][number]): Column {
  const path = textOf(fields['jsonPath'])
  const type = textOf(fields['type'])
  return {
    name: textOf(fields['name']),
    type,
    description: textOf(fields['description']) || path,
    wide: Number(fields['priority'] ?? 0) > 0,
    cell: (object, nowMs) => cellOf(type, firstAt(object, path), nowMs),
  }
}

/** Empty where the value is missing or of another type. */
function cellOf(type: string, value: unknown, nowMs: number): string | number | boolean | null {
  if (value === undefined || value === null) return null
  if (type === 'date') return typeof value === 'string' ? age(value, nowMs) : null
  if (type === 'integer' || type === 'number') return typeof value === 'number' ? value : null
  if (type === 'boolean') return typeof value === 'boolean' ? value : null
  return typeof value === 'string' ? value : JSON.stringify(value)
}
