// SPDX-License-Identifier: Apache-2.0
/** Rows of accounts, roles and questions about them, of leases and of definitions of further resources. */
import {BASE, type ResourceRow} from './resource-row.ts'

const RBAC = {...BASE, group: 'rbac.authorization.k8s.io', version: 'v1'} as const
const REVIEW = {...BASE, version: 'v1', namespaced: false, verbs: ['create']} as const
const AUTHORIZATION = {...REVIEW, group: 'authorization.k8s.io'} as const
const AUTHENTICATION = {...REVIEW, group: 'authentication.k8s.io'} as const

export const ACCESS_ROWS: readonly ResourceRow[] = [
  {
    ...BASE,
    group: '',
    version: 'v1',
    resource: 'serviceaccounts',
    kind: 'ServiceAccount',
    singular: 'serviceaccount',
    shortNames: ['sa'],
    subresources: ['token'],
  },
  {
    ...BASE,
    group: 'coordination.k8s.io',
    version: 'v1',
    resource: 'leases',
    kind: 'Lease',
    singular: 'lease',
  },
  {...RBAC, resource: 'roles', kind: 'Role', singular: 'role'},
  {...RBAC, resource: 'rolebindings', kind: 'RoleBinding', singular: 'rolebinding'},
  {...RBAC, resource: 'clusterroles', kind: 'ClusterRole', singular: 'clusterrole', namespaced: false},
  {
    ...RBAC,
    resource: 'clusterrolebindings',
    kind: 'ClusterRoleBinding',
    singular: 'clusterrolebinding',
    namespaced: false,
  },
  {
    ...BASE,
    group: 'apiextensions.k8s.io',
    version: 'v1',
    resource: 'customresourcedefinitions',
    kind: 'CustomResourceDefinition',
    singular: 'customresourcedefinition',
    shortNames: ['crd', 'crds'],
    categories: ['api-extensions'],
    namespaced: false,
    subresources: ['status'],
    statusReset: true,
    generation: true,
  },
  review(AUTHORIZATION, 'SelfSubjectAccessReview'),
  review(AUTHORIZATION, 'SelfSubjectRulesReview'),
  review(AUTHORIZATION, 'SubjectAccessReview'),
  {...review(AUTHORIZATION, 'LocalSubjectAccessReview'), namespaced: true},
  review(AUTHENTICATION, 'SelfSubjectReview'),
  review(AUTHENTICATION, 'TokenReview'),
]

function review(base: typeof AUTHORIZATION | typeof AUTHENTICATION, kind: string): ResourceRow {
  const singular = kind.toLowerCase()
  return {...base, kind, singular, resource: `${singular}s`}
}
