// SPDX-License-Identifier: Apache-2.0
/** From the path of a request to what it names. */
import type {Registry} from './registry.ts'
import type {ResourceRow} from './resource-row.ts'
import {resourceRow} from './resources.ts'
import {badRequest} from './status.ts'

export interface ResourceRoute {
  readonly row: ResourceRow
  /** `''` for cluster-scoped objects and lists over all namespaces. */
  readonly namespace: string
  /** `''` names the collection. */
  readonly name: string
  readonly subresource: string
}

/** Undefined where the path names no resource of this server. */
export function parseResourcePath(registry: Registry, path: string): ResourceRoute | undefined {
  const parts = segments(path)
  if (parts[0] === 'api') return resourceRoute(registry, '', parts[1] ?? '', parts.slice(2))
  if (parts[0] === 'apis') return resourceRoute(registry, parts[1] ?? '', parts[2] ?? '', parts.slice(3))
  return undefined
}

function segments(path: string): string[] {
  try {
    return path
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent)
  } catch {
    throw badRequest('the path of the request is not valid percent-encoding')
  }
}

function resourceRoute(
  registry: Registry,
  group: string,
  version: string,
  rest: string[],
): ResourceRoute | undefined {
  const [first, second = '', third = ''] = rest
  if (first === undefined) return undefined
  if (first === 'namespaces' && group === '' && version === 'v1') {
    const row = resourceRow('namespaces')
    if (rest.length <= 2) return {row, namespace: '', name: second, subresource: ''}
    if (rest.length === 3 && row.subresources.includes(third)) {
      return {row, namespace: '', name: second, subresource: third}
    }
  }
  if (first === 'namespaces') return inNamespace(registry, group, version, second, rest.slice(2))
  const row = registry.find(group, version, first)
  if (row === undefined || rest.length > 3) return undefined
  if (row.namespaced) return rest.length === 1 ? {row, namespace: '', name: '', subresource: ''} : undefined
  return subresourceKnown({row, namespace: '', name: second, subresource: third})
}

function inNamespace(
  registry: Registry,
  group: string,
  version: string,
  namespace: string,
  rest: string[],
): ResourceRoute | undefined {
  const [resource = '', name = '', subresource = ''] = rest
  const row = registry.find(group, version, resource)
  if (row === undefined || !row.namespaced || namespace === '' || rest.length > 3) return undefined
  return subresourceKnown({row, namespace, name, subresource})
}

function subresourceKnown(route: ResourceRoute): ResourceRoute | undefined {
  return route.subresource === '' || route.row.subresources.includes(route.subresource) ? route : undefined
}
