// SPDX-License-Identifier: Apache-2.0
/** Paths and queries of the Kubernetes API. */
import type {KubeListOptions, ResourcePath} from '../ports.ts'

/** `/api/v1/namespaces/shop/pods/web-1/scale`, every part percent-encoded. */
export function pathOf(path: ResourcePath): string {
  const parts = path.group === '' ? ['api', path.version] : ['apis', path.group, path.version]
  if (path.namespace !== undefined) parts.push('namespaces', path.namespace)
  parts.push(path.resource)
  if (path.name !== undefined) parts.push(path.name)
  if (path.subresource !== undefined) parts.push(path.subresource)
  return parts.map((part) => `/${encodeURIComponent(part)}`).join('')
}

export function listQuery(options: KubeListOptions, next?: string): Record<string, string> {
  const {labelSelector, fieldSelector, resourceVersion} = options
  return {
    ...(labelSelector ? {labelSelector} : {}),
    ...(fieldSelector ? {fieldSelector} : {}),
    ...(next !== undefined ? {continue: next} : resourceVersion !== undefined ? {resourceVersion} : {}),
  }
}

export function queryOf(query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(query).toString()
  return text === '' ? '' : `?${text}`
}
