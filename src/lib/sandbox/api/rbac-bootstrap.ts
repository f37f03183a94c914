// SPDX-License-Identifier: Apache-2.0
/** Roles and bindings that every cluster has from its first moment. */
import {randomUUID} from 'node:crypto'
import {timestamp} from './managed-fields.ts'
import type {Fields} from './object.ts'
import {groupVersion} from './resource-row.ts'
import {RESOURCE_ROWS, resourceRow} from './resources.ts'
import type {Store} from './store.ts'

const RBAC_GROUP = 'rbac.authorization.k8s.io'
const READ = ['get', 'list', 'watch']
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update']
/** What the role `view` may not see: it would give its readers the rights of others. */
const NOT_VIEWED = ['secrets']
/** What only administrators of a namespace change. */
const ROLES = ['rolebindings', 'roles']

type Rule = Readonly<Record<string, readonly string[]>>

const OPEN_PATHS = [
  '/api',
  '/api/*',
  '/apis',
  '/apis/*',
  '/healthz',
  '/livez',
  '/openapi',
  '/openapi/*',
  '/ping',
  '/readyz',
  '/version',
  '/version/',
]

/** One rule for each group of the namespaced resources that `isMeant` picks. */
function rulesFor(verbs: readonly string[], isMeant: (resource: string) => boolean): Rule[] {
  const rows = RESOURCE_ROWS.filter(
    (row) => row.namespaced && row.verbs === undefined && isMeant(row.resource),
  )
  return [...new Set(rows.map(({group}) => group))].map((group) => ({
    apiGroups: [group],
    resources: rows
      .filter((row) => row.group === group)
      .flatMap(({resource, subresources}) => [resource, ...subresources.map((name) => `${resource}/${name}`)])
      .sort(),
    verbs,
  }))
}

const isEdited = (resource: string): boolean => !ROLES.includes(resource)
const isViewed = (resource: string): boolean => isEdited(resource) && !NOT_VIEWED.includes(resource)
const VIEW_NAMESPACES: Rule = {apiGroups: [''], resources: ['namespaces'], verbs: READ}

const CLUSTER_ROLES: Readonly<Record<string, readonly Rule[]>> = {
  'cluster-admin': [
    {apiGroups: ['*'], resources: ['*'], verbs: ['*']},
    {nonResourceURLs: ['*'], verbs: ['*']},
  ],
  admin: [VIEW_NAMESPACES, ...rulesFor([...READ, ...WRITE], () => true)],
  edit: [VIEW_NAMESPACES, ...rulesFor([...READ, ...WRITE], isEdited)],
  view: [VIEW_NAMESPACES, ...rulesFor(READ, isViewed)],
  'system:discovery': [{nonResourceURLs: OPEN_PATHS, verbs: ['get', 'head']}],
  'system:basic-user': [
    {
      apiGroups: ['authorization.k8s.io'],
      resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
      verbs: ['create'],
    },
    {apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create']},
  ],
}

/** Cluster role -> the group that holds it; a binding of the same name says so. */
const HOLDERS: Readonly<Record<string, string>> = {
  'cluster-admin': 'system:masters',
  'system:discovery': 'system:authenticated',
  'system:basic-user': 'system:authenticated',
}

/** Puts the roles and their bindings into an empty store. */
export function bootstrapRoles(store: Store, nowMs: number): void {
  const put = (resource: string, name: string, fields: Fields): void => {
    const row = resourceRow(resource)
    const metadata = {
      name,
      uid: randomUUID(),
      resourceVersion: '',
      creationTimestamp: timestamp(nowMs),
      labels: {'kubernetes.io/bootstrapping': 'rbac-defaults'},
    }
    store.put(row, {apiVersion: groupVersion(row), kind: row.kind, metadata, ...fields})
  }
  for (const [name, rules] of Object.entries(CLUSTER_ROLES)) put('clusterroles', name, {rules})
  for (const [name, group] of Object.entries(HOLDERS)) {
    put('clusterrolebindings', name, {
      roleRef: {apiGroup: RBAC_GROUP, kind: 'ClusterRole', name},
      subjects: [{apiGroup: RBAC_GROUP, kind: 'Group', name: group}],
    })
  }
}
