// SPDX-License-Identifier: Apache-2.0
/**
 * Who wrote which label and annotation. Managers of other fields are listed by name and time only: nothing here
 * does server-side apply.
 */
import type {ManagedFields} from '../../model/kube.ts'
import {type Fields, fieldsOf, type StoredObject} from './object.ts'

export interface Writer {
  readonly manager: string
  readonly subresource: string
  readonly nowMs: number
}

const MANAGER_MAX_LENGTH = 128
const MAPS = ['labels', 'annotations'] as const

/** `fieldManager` of the query, else the user agent up to its first slash, as Kubernetes does. */
export function managerName(query: URLSearchParams, userAgent: string | undefined): string {
  const name = query.get('fieldManager') || (userAgent ?? '').split('/')[0] || 'unknown'
  return name.slice(0, MANAGER_MAX_LENGTH)
}

/** The entries of `old`, changed by what `writer` makes of it in `next`. */
export function managedFields(
  old: StoredObject | undefined,
  next: StoredObject,
  writer: Writer,
): readonly ManagedFields[] {
  const changed = changedKeys(old, next)
  const gone = (map: string, key: string): boolean =>
    fieldsOf(fieldsOf(next.metadata)[map])[key] === undefined
  const isMine = (entry: ManagedFields): boolean =>
    entry.manager === writer.manager &&
    entry.operation === 'Update' &&
    (entry.subresource ?? '') === writer.subresource
  const before = old?.metadata.managedFields ?? []
  const others = before
    .filter((entry) => !isMine(entry))
    .map((entry) => without(entry, (map, key) => changed.has(`${map}/${key}`) || gone(map, key)))
  const mine = before.filter(isMine).flatMap(ownedKeys)
  const keys = new Set([
    ...mine.filter((name) => !goneName(name, gone)),
    ...[...changed].filter((name) => !goneName(name, gone)),
  ])
  return [
    ...others,
    {
      manager: writer.manager,
      operation: 'Update',
      apiVersion: next.apiVersion,
      time: timestamp(writer.nowMs),
      fieldsType: 'FieldsV1',
      fieldsV1: fieldsV1(keys),
      ...(writer.subresource ? {subresource: writer.subresource} : {}),
    } as ManagedFields,
  ]
}

/** RFC 3339 in whole seconds, as Kubernetes writes times. */
export function timestamp(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** `labels/<key>` and `annotations/<key>` that differ. */
function changedKeys(old: StoredObject | undefined, next: StoredObject): Set<string> {
  const changed = new Set<string>()
  for (const map of MAPS) {
    const before = old?.metadata[map] ?? {}
    const after = next.metadata[map] ?? {}
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      if (before[key] !== after[key]) changed.add(`${map}/${key}`)
    }
  }
  return changed
}

function splitName(name: string): [string, string] {
  const slash = name.indexOf('/')
  return [name.slice(0, slash), name.slice(slash + 1)]
}

function goneName(name: string, gone: (map: string, key: string) => boolean): boolean {
  return gone(...splitName(name))
}

function ownedKeys(entry: ManagedFields): string[] {
  const metadata = fieldsOf(fieldsOf(entry.fieldsV1)['f:metadata'])
  return MAPS.flatMap((map) =>
    Object.keys(fieldsOf(metadata[`f:${map}`]))
      .filter((key) => key.startsWith('f:'))
      .map((key) => `${map}/${key.slice(2)}`),
  )
}

function without(entry: ManagedFields, lost: (map: string, key: string) => boolean): ManagedFields {
  const kept = ownedKeys(entry).filter((name) => !lost(...splitName(name)))
  return {...entry, fieldsV1: fieldsV1(new Set(kept))}
}

function fieldsV1(names: ReadonlySet<string>): Fields {
  const metadata: Record<string, Fields> = {}
  for (const name of names) {
    const [map, key] = splitName(name)
    const fields = metadata[`f:${map}`] ?? {}
    fields[`f:${key}`] = {}
    metadata[`f:${map}`] = fields
  }
  return Object.keys(metadata).length === 0 ? {} : {'f:metadata': metadata}
}
