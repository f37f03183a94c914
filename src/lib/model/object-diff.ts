// SPDX-License-Identifier: Apache-2.0
/** Where two objects differ, as people read it. Pure. */
import {isDeepStrictEqual} from 'node:util'
import type {KubeObject} from './kube.ts'

/** Set by the server with every write. */
const UNSTABLE = ['resourceVersion', 'generation', 'managedFields', 'uid', 'creationTimestamp']
const COUNTED_ANNOTATION = 'deprecated.daemonset.template.generation'
const MAX_TEXT = 60

/** `path: before -> after`, in the order of the paths. Status is left out. */
export function objectChanges(before: KubeObject, after: KubeObject): string[] {
  const changes: string[] = []
  compare(changes, '', comparable(before), comparable(after))
  return changes.sort()
}

function comparable(object: KubeObject): Record<string, unknown> {
  const {status: _, ...rest} = object as KubeObject & {status?: unknown}
  const metadata = Object.entries(rest.metadata).filter(([name]) => !UNSTABLE.includes(name))
  const {[COUNTED_ANNOTATION]: __, ...annotations} = rest.metadata.annotations ?? {}
  return {...rest, metadata: {...Object.fromEntries(metadata), annotations}}
}

function compare(changes: string[], path: string, before: unknown, after: unknown): void {
  if (isDeepStrictEqual(before, after)) return
  if (isRecord(before) && isRecord(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(changes, path === '' ? name : `${path}.${name}`, before[name], after[name])
    }
  } else if (Array.isArray(before) && Array.isArray(after)) compareLists(changes, path, before, after)
  else changes.push(`${path}: ${shown(before)} -> ${shown(after)}`)
}

/** Elements with names are matched by them, others by their place, or where some come or go by their value. */
function compareLists(
  changes: string[],
  path: string,
  before: readonly unknown[],
  after: readonly unknown[],
): void {
  const [named, namedAfter] = [byName(before), byName(after)]
  if (named !== undefined && namedAfter !== undefined) {
    for (const name of new Set([...named.keys(), ...namedAfter.keys()])) {
      compare(changes, `${path}[${name}]`, named.get(name), namedAfter.get(name))
    }
  } else if (before.length === after.length) {
    for (const [index, value] of before.entries()) {
      compare(changes, `${path}[${index}]`, value, after[index])
    }
  } else {
    const lacks = (list: readonly unknown[]) => (value: unknown) =>
      !list.some((other) => isDeepStrictEqual(other, value))
    for (const value of before.filter(lacks(after))) changes.push(`${path}: ${shown(value)} -> <none>`)
    for (const value of after.filter(lacks(before))) changes.push(`${path}: <none> -> ${shown(value)}`)
  }
}

function byName(list: readonly unknown[]): ReadonlyMap<string, unknown> | undefined {
  const names = list.map((value) => (isRecord(value) ? value['name'] : undefined))
  const isNamed = names.every((name) => typeof name === 'string') && new Set(names).size === names.length
  return isNamed ? new Map(list.map((value, index) => [String(names[index]), value])) : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  if (value === undefined) return '<none>'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text
}
