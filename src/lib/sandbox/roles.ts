// SPDX-License-Identifier: Apache-2.0
/**
 * Who may do what in the sandbox, from the manifests that a real cluster would get: the roles are the ones that
 * operators bind, so a rule that is missing there fails here first.
 */
import type {KubeObject} from '../model/kube.ts'
import {parseManifests} from './manifests.ts'

const RBAC_GROUP = 'rbac.authorization.k8s.io'

/**
 * The manifests' objects, their namespaces before them, and for each role a binding to the group of its name:
 * `--as jane --as-group kmeshctl-view` tries a role out.
 */
export function roleObjects(text: string): KubeObject[] {
  const objects = parseManifests(text, 'deploy/rbac.yaml')
  const namespaces = new Set(objects.flatMap(({metadata}) => metadata.namespace ?? []))
  return [
    ...[...namespaces].map((name) => ({apiVersion: 'v1', kind: 'Namespace', metadata: {name}})),
    ...objects,
    ...objects.filter(({kind}) => kind === 'ClusterRole' || kind === 'Role').map(groupBinding),
  ]
}

function groupBinding({kind, metadata}: KubeObject): KubeObject {
  const {name = '', namespace} = metadata
  const binding = {
    apiVersion: `${RBAC_GROUP}/v1`,
    kind: `${kind}Binding`,
    metadata: {name: `group-${name}`, ...(namespace === undefined ? {} : {namespace})},
    roleRef: {apiGroup: RBAC_GROUP, kind, name},
    subjects: [{apiGroup: RBAC_GROUP, kind: 'Group', name}],
  }
  return binding
}
