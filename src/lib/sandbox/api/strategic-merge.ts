// SPDX-License-Identifier: Apache-2.0
/**
 * Strategic merge of the lists that the served resources have: what `kubectl patch` sends by default. Lists without
 * an entry here are replaced, as lists of plain values are in Kubernetes unless their type says otherwise.
 */
import {type Fields, isFields} from './object.ts'
import {badRequest} from './status.ts'

/** Field name of a list of objects -> the field that tells its elements apart. */
const MERGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  addresses: ['type'],
  conditions: ['type'],
  containers: ['name'],
  env: ['name'],
  ephemeralContainers: ['name'],
  hostAliases: ['ip'],
  imagePullSecrets: ['name'],
  initContainers: ['name'],
  ownerReferences: ['uid'],
  podIPs: ['ip'],
  // A container's ports by containerPort, a service's by port: the element tells which.
  ports: ['containerPort', 'port'],
  taints: ['key'],
  topologySpreadConstraints: ['topologyKey'],
  volumeMounts: ['mountPath'],
  volumes: ['name'],
}
/** Lists of plain values that are merged as sets. */
const SETS: readonly string[] = ['finalizers', 'podCIDRs']

/** @throws StatusError 400 for a directive that is unknown */
export function strategicMerge(target: object, patch: Fields): Fields {
  return mergeMaps(target as Fields, patch)
}

function mergeMaps(target: Fields, patch: Fields): Fields {
  const directive = patch['$patch']
  if (directive === 'replace' || directive === 'delete')
    return directive === 'delete' ? {} : withoutDirectives(patch)
  if (directive !== undefined && directive !== 'merge')
    throw badRequest(`unknown $patch directive ${JSON.stringify(directive)}`)
  const result = new Map(Object.entries(target))
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) applyDirective(result, key, value)
    else if (value === null) result.delete(key)
    else result.set(key, mergeValue(key, result.get(key), value))
  }
  return Object.fromEntries(result)
}

function withoutDirectives(patch: Fields): Fields {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')))
}

function applyDirective(result: Map<string, unknown>, directive: string, value: unknown): void {
  const [name, list = ''] = directive.split('/')
  if (name === '$deleteFromPrimitiveList' && Array.isArray(value)) {
    const current = result.get(list)
    if (Array.isArray(current))
      result.set(
        list,
        current.filter((item) => !value.includes(item)),
      )
  } else if (name === '$retainKeys' && Array.isArray(value)) {
    for (const key of [...result.keys()]) if (!value.includes(key)) result.delete(key)
  } else if (name !== '$setElementOrder' && name !== '$patch') {
    throw badRequest(`unknown strategic merge directive ${JSON.stringify(directive)}`)
  }
}

function mergeValue(key: string, current: unknown, value: unknown): unknown {
  if (isFields(value)) return mergeMaps(isFields(current) ? current : {}, value)
  if (!Array.isArray(value)) return value
  const list = Array.isArray(current) ? current : []
  if (SETS.includes(key)) return [...new Set([...list, ...value])]
  const mergeKey = MERGE_KEYS[key]?.find((name) =>
    [...value, ...list].some((item) => isFields(item) && name in item),
  )
  return mergeKey === undefined
    ? value.filter((item) => !isDirective(item))
    : mergeLists(mergeKey, list, value)
}

function isDirective(item: unknown): boolean {
  return isFields(item) && '$patch' in item && Object.keys(item).length === 1
}

function mergeLists(mergeKey: string, list: readonly unknown[], patches: readonly unknown[]): unknown[] {
  if (patches.some((item) => isDirective(item) && (item as Fields)['$patch'] === 'replace')) {
    return patches.filter((item) => !isDirective(item))
  }
  const result = [...list]
  for (const item of patches) {
    if (!isFields(item) || item[mergeKey] === undefined) {
      throw badRequest(`an element of a merged list has no ${mergeKey}: ${JSON.stringify(item)}`)
    }
    const index = result.findIndex((other) => isFields(other) && other[mergeKey] === item[mergeKey])
    if (item['$patch'] === 'delete') {
      if (index >= 0) result.splice(index, 1)
    } else if (index >= 0) result[index] = mergeMaps(result[index] as Fields, item)
    else result.push(mergeMaps({}, item))
  }
  return result
}
