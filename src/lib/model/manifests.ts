// SPDX-License-Identifier: Apache-2.0
/** Everything that an install puts into a cluster, as data. deploy/*.yaml and `kmeshctl install` are made of it. Pure. */
import {type KubeObject, RESOURCES} from './kube.ts'
import {roleManifests} from './manifests-roles.ts'
import {type InstallSettings, ownLabels} from './manifests-settings.ts'
import {daemonSet} from './manifests-workload.ts'

export type ManifestObject = KubeObject & {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {readonly name: string}
} & Readonly<Record<string, unknown>>

export interface Manifest {
  /** In deploy/. The names sort as `kubectl apply -f deploy/` has to go. */
  readonly file: 'namespace.yaml' | 'rbac.yaml' | 'workload.yaml'
  /** Stands above the object; lines without their `#`. */
  readonly comment: string
  readonly object: ManifestObject
}

/** In the order in which they are created; taken back in reverse. */
export function manifestsOf(settings: InstallSettings): Manifest[] {
  return [
    {
      file: 'namespace.yaml',
      comment: 'The agents use the network and paths of their nodes, which only the level privileged allows.',
      object: namespaceObject(settings),
    },
    ...roleManifests(settings),
    {
      file: 'workload.yaml',
      comment:
        'One agent a node. `kmeshctl install` makes the same, with other settings, and waits for it; image: deploy/Dockerfile.',
      object: daemonSet(settings),
    },
  ]
}

function namespaceObject(settings: InstallSettings): ManifestObject {
  const level = {'pod-security.kubernetes.io/enforce': 'privileged'}
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {name: settings.namespace, labels: {...ownLabels(settings), ...level}},
  }
}

const KINDS: Readonly<
  Record<string, {readonly group: string; readonly version: string; readonly resource: string}>
> = {
  Namespace: RESOURCES.namespaces,
  ServiceAccount: RESOURCES.serviceaccounts,
  ClusterRole: RESOURCES.clusterroles,
  ClusterRoleBinding: RESOURCES.clusterrolebindings,
  Role: RESOURCES.roles,
  DaemonSet: RESOURCES.daemonsets,
}

export interface ObjectPath {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly namespace?: string
  readonly name: string
}

/** Where an object of {@link manifestsOf} is. */
export function pathOfObject({kind, metadata}: ManifestObject): ObjectPath {
  const row = KINDS[kind]
  if (row === undefined) throw new Error(`no manifest has kind ${kind}`)
  const {name, namespace} = metadata
  return {...row, name, ...(namespace === undefined ? {} : {namespace})}
}
