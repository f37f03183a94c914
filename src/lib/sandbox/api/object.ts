// SPDX-License-Identifier: Apache-2.0
/** Objects as the store holds them: plain JSON, never changed in place once stored. */
import type {ManagedFields, OwnerReference} from '../../model/kube.ts'
import {groupVersion, type ResourceRow} from './resource-row.ts'

export type Fields = Record<string, unknown>

export interface StoredMeta {
  name: string
  namespace?: string
  uid: string
  resourceVersion: string
  creationTimestamp: string
  generateName?: string
  generation?: number
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  finalizers?: string[]
  ownerReferences?: OwnerReference[]
  managedFields?: ManagedFields[]
}

export interface StoredObject {
  apiVersion: string
  kind: string
  metadata: StoredMeta
  spec?: Fields
  status?: Fields
  [field: string]: unknown
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value itself where it is a JSON object, else an empty one. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {}
}

export function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The value at a dotted path such as `spec.nodeName`, as text; `''` where there is none. */
export function textAt(object: Fields, path: string): string {
  let value: unknown = object
  for (const part of path.split('.')) value = isFields(value) ? value[part] : undefined
  return value === undefined || value === null ? '' : String(value)
}

const versionsOf = new WeakMap<StoredObject, Map<string, StoredObject>>()

/** The object as its row's version shows it; versions of custom resources differ in `apiVersion` only. */
export function inVersion(row: ResourceRow, object: StoredObject): StoredObject {
  const apiVersion = groupVersion(row)
  if (row.custom === undefined || object.apiVersion === apiVersion) return object
  const known = versionsOf.get(object) ?? new Map<string, StoredObject>()
  const shown = known.get(apiVersion) ?? {...object, apiVersion}
  versionsOf.set(object, known.set(apiVersion, shown))
  return shown
}

const jsonOf = new WeakMap<object, string>()

/** JSON of a stored object, made once for all who read or watch it. */
export function objectJson(object: object): string {
  let text = jsonOf.get(object)
  if (text === undefined) {
    text = JSON.stringify(object)
    jsonOf.set(object, text)
  }
  return text
}

const partialOf = new WeakMap<StoredObject, Fields>()

/** The object without anything but its metadata. */
export function partialObject(object: StoredObject): Fields {
  let partial = partialOf.get(object)
  if (partial === undefined) {
    partial = {kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata}
    partialOf.set(object, partial)
  }
  return partial
}
