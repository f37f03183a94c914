// SPDX-License-Identifier: Apache-2.0
/** Tables as `kubectl get` asks for them: the server decides the columns. */
import {partialObject, type StoredObject} from './object.ts'
import type {ResourceRow} from './resource-row.ts'
import {COLUMNS, type Column} from './table-columns.ts'
import {customColumns} from './table-custom.ts'

export type Shape = 'whole' | 'metadata' | 'table'

/** What a client asked for. */
export interface Representation {
  readonly shape: Shape
  /** What rows of a table carry with them. */
  readonly rowObject: 'Metadata' | 'Object' | 'None'
  readonly nowMs: number
}

/** Metadata of a list, and of the table that shows one. */
export interface ListMetadata {
  readonly resourceVersion: string
  readonly continue?: string
  readonly remainingItemCount?: number
}

/** JSON of a `Table` with one row an object. */
export function tableJson(
  row: ResourceRow,
  objects: readonly StoredObject[],
  as: Representation,
  metadata: ListMetadata,
): string {
  const columns = row.custom === undefined ? (COLUMNS[row.resource] ?? []) : customColumns(row.custom)
  return `${JSON.stringify({
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: columns.map(definition),
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.cell(object, as.nowMs)),
      ...rowObject(object, as),
    })),
  })}\n`
}

function definition(column: Column): object {
  return {
    name: column.name,
    type: column.type ?? (column.number === true ? 'integer' : 'string'),
    format: column.name === 'Name' ? 'name' : '',
    description: column.description ?? column.name,
    priority: column.wide === true ? 1 : 0,
  }
}

function rowObject(object: StoredObject, as: Representation): object {
  if (as.rowObject === 'None') return {}
  return {object: as.rowObject === 'Object' ? object : partialObject(object)}
}
