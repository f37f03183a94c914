// SPDX-License-Identifier: Apache-2.0
/** What the server knows of a resource. */
import type {Fields} from './object.ts'

export interface ResourceRow {
  /** `''` is the core group. */
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly kind: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly namespaced: boolean
  readonly subresources: readonly string[]
  /** Status is written by the subresource `status` only, and dropped on create. */
  readonly statusReset: boolean
  /** `metadata.generation` counts changes of everything but metadata and status. */
  readonly generation: boolean
  /** Field selectors beside metadata.name and metadata.namespace. */
  readonly selectableFields: readonly string[]
  /** Where not every verb is served: reviews are created and never kept. */
  readonly verbs?: readonly string[]
  /** Of a CustomResourceDefinition; undefined for what is built in. */
  readonly custom?: CustomForm
}

/** What a CustomResourceDefinition says of one served version. */
export interface CustomForm {
  /** Name of the definition. */
  readonly definition: string
  /** Schema of the whole object; undefined keeps every field. */
  readonly schema: Fields | undefined
  readonly columns: readonly Fields[]
}

export const BASE = {
  shortNames: [],
  categories: [],
  namespaced: true,
  subresources: [],
  statusReset: false,
  generation: false,
  selectableFields: [],
} as const

export function groupVersion(row: {readonly group: string; readonly version: string}): string {
  return row.group ? `${row.group}/${row.version}` : row.version
}

/** It is the resource of the core group with this plural; custom ones may have the same. */
export function isCore(row: ResourceRow, resource: string): boolean {
  return row.group === '' && row.resource === resource
}
