// SPDX-License-Identifier: Apache-2.0
/** Rights of the agent and of kmeshctl's users, no verb more than they use. Pure. */
import type {Manifest} from './manifests.ts'
import {ACCOUNT_NAME, type InstallSettings, ownLabels} from './manifests-settings.ts'

const RBAC = 'rbac.authorization.k8s.io'
const DAEMON_ROLE = 'kmesh-daemon'

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
  readonly resourceNames?: readonly string[]
}

const DAEMON_RULES: readonly Rule[] = [
  rule('', ['namespaces', 'nodes', 'pods', 'services'], ['get', 'list', 'watch']),
  rule('discovery.k8s.io', ['endpointslices'], ['get', 'list', 'watch']),
  rule('', ['pods'], ['patch']),
  rule('', ['events'], ['create']),
]

const USER_ROLES: readonly {
  readonly name: string
  readonly namespaced: boolean
  readonly comment: string
  readonly rules: readonly Rule[]
}[] = [
  {
    name: 'kmeshctl-daemons',
    namespaced: true,
    comment:
      "kmeshctl log, dump, version: only in the mesh's namespace. Bind it with a RoleBinding there.\nThe verb of the WebSocket upgrade (portforward) differs between Kubernetes versions.",
    rules: [rule('', ['pods'], ['get', 'list']), rule('', ['pods/portforward'], ['get', 'create'])],
  },
  {
    name: 'kmeshctl-view',
    namespaced: false,
    comment: 'kmeshctl status and interop status, and --node-selector, beside the role above.',
    rules: [rule('', ['nodes'], ['get', 'list']), rule('', ['namespaces', 'pods'], ['get', 'list', 'watch'])],
  },
  {
    name: 'kmeshctl-check',
    namespaced: false,
    comment:
      'kmeshctl interop check, interop status --by service and path, beside the two above: services and what Istio\nsays of TLS.',
    rules: [
      rule('', ['services'], ['get', 'list', 'watch']),
      rule('discovery.k8s.io', ['endpointslices'], ['list', 'watch']),
      rule('security.istio.io', ['peerauthentications'], ['list']),
      rule('networking.istio.io', ['destinationrules'], ['list']),
      {...rule('', ['configmaps'], ['get']), resourceNames: ['istio']},
    ],
  },
  {
    name: 'kmeshctl-enroll',
    namespaced: false,
    comment:
      'kmeshctl enroll and unenroll, beside kmeshctl-daemons and kmeshctl-view: writes one label. With kmeshctl-check they\nsay what that does to connections.',
    rules: [rule('', ['namespaces', 'pods'], ['get', 'list', 'patch'])],
  },
]

/** In the order in which they are created. */
export function roleManifests(settings: InstallSettings): Manifest[] {
  const {namespace} = settings
  const labels = ownLabels(settings)
  return [
    {
      file: 'rbac.yaml',
      comment:
        "Rights of the node agent and of kmeshctl's users. Bind what your operators need;\nkmeshctl names the missing rule when a request is denied (exit 6).",
      object: {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: {name: ACCOUNT_NAME, namespace, labels},
      },
    },
    {
      file: 'rbac.yaml',
      comment: 'The node agent: sees the cluster, notes on pods that the kernel has them.',
      object: role('ClusterRole', {name: DAEMON_ROLE, labels}, DAEMON_RULES),
    },
    {
      file: 'rbac.yaml',
      comment: '',
      object: {
        apiVersion: `${RBAC}/v1`,
        kind: 'ClusterRoleBinding',
        metadata: {name: DAEMON_ROLE, labels},
        roleRef: {apiGroup: RBAC, kind: 'ClusterRole', name: DAEMON_ROLE},
        subjects: [{kind: 'ServiceAccount', name: ACCOUNT_NAME, namespace}],
      },
    },
    ...USER_ROLES.map(({name, namespaced, comment, rules}): Manifest => {
      const metadata = {name, ...(namespaced ? {namespace} : {}), labels}
      return {
        file: 'rbac.yaml',
        comment,
        object: role(namespaced ? 'Role' : 'ClusterRole', metadata, rules),
      }
    }),
  ]
}

function role(
  kind: 'Role' | 'ClusterRole',
  metadata: Manifest['object']['metadata'],
  rules: readonly Rule[],
): Manifest['object'] {
  return {apiVersion: `${RBAC}/v1`, kind, metadata, rules}
}

function rule(group: string, resources: readonly string[], verbs: readonly string[]): Rule {
  return {apiGroups: [group], resources, verbs}
}
