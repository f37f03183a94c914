// SPDX-License-Identifier: Apache-2.0
/** Manifests as objects, and where each of them is created. */
import {parseAllDocuments} from 'yaml'
import {UsageError} from '../errors.ts'
import type {KubeObject} from '../model/kube.ts'
import type {ResourcePath} from '../ports.ts'

const KINDS: Readonly<Record<string, {readonly resource: string; readonly namespaced: boolean}>> = {
  Namespace: {resource: 'namespaces', namespaced: false},
  Node: {resource: 'nodes', namespaced: false},
  Pod: {resource: 'pods', namespaced: true},
  Service: {resource: 'services', namespaced: true},
  ConfigMap: {resource: 'configmaps', namespaced: true},
  Event: {resource: 'events', namespaced: true},
  EndpointSlice: {resource: 'endpointslices', namespaced: true},
  Deployment: {resource: 'deployments', namespaced: true},
  ReplicaSet: {resource: 'replicasets', namespaced: true},
  DaemonSet: {resource: 'daemonsets', namespaced: true},
  Secret: {resource: 'secrets', namespaced: true},
  ServiceAccount: {resource: 'serviceaccounts', namespaced: true},
  Lease: {resource: 'leases', namespaced: true},
  Role: {resource: 'roles', namespaced: true},
  RoleBinding: {resource: 'rolebindings', namespaced: true},
  ClusterRole: {resource: 'clusterroles', namespaced: false},
  ClusterRoleBinding: {resource: 'clusterrolebindings', namespaced: false},
  CustomResourceDefinition: {resource: 'customresourcedefinitions', namespaced: false},
}

/**
 * @param file name for messages
 * @throws UsageError for what is no manifest; nothing was created then
 */
export function parseManifests(text: string, file: string): KubeObject[] {
  const objects: KubeObject[] = []
  for (const document of parseAllDocuments(text)) {
    const [problem] = document.errors
    if (problem !== undefined) throw new UsageError(`${file}: ${problem.message}`, {parameter: 'filename'})
    const value: unknown = document.toJS({maxAliasCount: 100})
    if (value !== null && value !== undefined) objects.push(...flatten(value, file))
  }
  return objects
}

function flatten(value: unknown, file: string): KubeObject[] {
  const object = value as Partial<KubeObject> & {readonly items?: unknown}
  if (object.kind === 'List' && Array.isArray(object.items)) {
    return object.items.flatMap((item) => flatten(item, file))
  }
  if (typeof object.apiVersion !== 'string' || typeof object.kind !== 'string') {
    throw new UsageError(`${file}: a document has no apiVersion or kind`, {parameter: 'filename'})
  }
  if (typeof object.metadata !== 'object' || object.metadata === null) {
    throw new UsageError(`${file}: a ${object.kind} has no metadata`, {parameter: 'filename'})
  }
  return [object as KubeObject]
}

/**
 * The collection that takes the object; namespace `default` where it names none.
 * @throws UsageError for kinds that the sandbox does not have
 */
export function collectionOf(object: KubeObject): ResourcePath {
  const row = KINDS[object.kind ?? '']
  if (row === undefined) {
    throw new UsageError(
      `the sandbox has no ${object.apiVersion} ${object.kind} (it has ${Object.keys(KINDS).join(', ')})`,
      {parameter: 'filename'},
    )
  }
  const [first = '', second] = (object.apiVersion ?? '').split('/')
  const where = second === undefined ? {group: '', version: first} : {group: first, version: second}
  const namespace = row.namespaced ? {namespace: object.metadata.namespace ?? 'default'} : {}
  return {...where, resource: row.resource, ...namespace}
}
