// SPDX-License-Identifier: Apache-2.0
/** One informer for each kind, shared by all controllers. */
import {
  type EndpointSlice,
  type KubeObject,
  type Namespace,
  type NodeObject,
  objectKey,
  type Pod,
  RESOURCES,
  type Service,
} from '../../model/kube.ts'
import type {Informer, Informers, ResourcePath} from '../../ports.ts'
import type {DaemonSet, Deployment, ReplicaSet} from './apps.ts'

export type ChangeHandler<T> = (object: T, previous: T | undefined, isDeleted: boolean) => void

/** The objects of one kind, and whoever wants to hear of changes. */
export interface Shared<T extends KubeObject> {
  get(key: string): T | undefined
  values(): Iterable<T>
  /** Objects of one namespace. */
  inNamespace(namespace: string): Iterable<T>
  readonly synced: boolean
  /** Register before {@link ClusterView.start}. */
  onChange(handler: ChangeHandler<T>): void
  /** Called once when the first list is complete. */
  onSynced(handler: () => void): void
}

export interface ClusterView {
  readonly namespaces: Shared<Namespace>
  readonly nodes: Shared<NodeObject>
  readonly pods: Shared<Pod>
  readonly services: Shared<Service>
  readonly endpointslices: Shared<EndpointSlice>
  readonly deployments: Shared<Deployment>
  readonly replicasets: Shared<ReplicaSet>
  readonly daemonsets: Shared<DaemonSet>
  /** Metadata only. */
  readonly configmaps: Shared<KubeObject>
  /** Metadata only. */
  readonly serviceaccounts: Shared<KubeObject>
  start(): void
  close(): void
}

interface Source<T extends KubeObject> extends Shared<T> {
  start(informers: Informers): void
  close(): void
}

export function createClusterView(informers: Informers): ClusterView {
  const view = {
    namespaces: source<Namespace>(RESOURCES.namespaces),
    nodes: source<NodeObject>(RESOURCES.nodes),
    pods: source<Pod>(RESOURCES.pods),
    services: source<Service>(RESOURCES.services),
    endpointslices: source<EndpointSlice>(RESOURCES.endpointslices),
    deployments: source<Deployment>(RESOURCES.deployments),
    replicasets: source<ReplicaSet>(RESOURCES.replicasets),
    daemonsets: source<DaemonSet>(RESOURCES.daemonsets),
    configmaps: source<KubeObject>(RESOURCES.configmaps, true),
    serviceaccounts: source<KubeObject>(RESOURCES.serviceaccounts, true),
  }
  return {
    ...view,
    start: () => {
      for (const one of Object.values(view)) one.start(informers)
    },
    close: () => {
      for (const one of Object.values(view)) one.close()
    },
  }
}

function source<T extends KubeObject>(path: ResourcePath, metadataOnly = false): Source<T> {
  const handlers: ChangeHandler<T>[] = []
  const syncedHandlers: (() => void)[] = []
  const byNamespace = new Map<string, Map<string, T>>()
  let informer: Informer<T> | undefined

  function remember(object: T, isDeleted: boolean): void {
    const namespace = object.metadata.namespace ?? ''
    const objects = byNamespace.get(namespace) ?? new Map<string, T>()
    if (isDeleted) objects.delete(objectKey(object))
    else objects.set(objectKey(object), object)
    if (objects.size === 0) byNamespace.delete(namespace)
    else byNamespace.set(namespace, objects)
  }
  function tell(object: T, previous: T | undefined, isDeleted: boolean): void {
    remember(object, isDeleted)
    for (const handler of handlers) handler(object, previous, isDeleted)
  }

  return {
    get: (key) => informer?.get(key),
    values: () => informer?.values() ?? [],
    inNamespace: (namespace) => byNamespace.get(namespace)?.values() ?? [],
    get synced() {
      return informer?.synced ?? false
    },
    onChange: (handler) => void handlers.push(handler),
    onSynced: (handler) => void syncedHandlers.push(handler),
    start: (informers) => {
      informer = informers.start<T>(path, {
        metadataOnly,
        handler: {
          onChange: (object, previous) => tell(object, previous, false),
          onDelete: (object) => tell(object, undefined, true),
          onSynced: () => {
            for (const handler of syncedHandlers) handler()
          },
        },
      })
    },
    close: () => informer?.close(),
  }
}
