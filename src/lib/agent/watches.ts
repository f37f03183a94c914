// SPDX-License-Identifier: Apache-2.0
/** What the agent watches (design section 4), reduced to what it uses. */
import type {
  EndpointSlice,
  KubeObject,
  Namespace,
  NodeObject,
  ObjectMeta,
  Pod,
  Service,
} from '../model/kube.ts'
import {objectKey, RESOURCES} from '../model/kube.ts'
import type {Informer, Informers} from '../ports.ts'
import type {ClusterState} from './cluster.ts'
import type {Enroller} from './enroll.ts'

export interface WatchParts {
  readonly informers: Informers
  readonly cluster: ClusterState
  readonly enroller: Enroller
  readonly nodeName: string
  /** `node` leaves pods of other nodes out. */
  readonly pods: 'all' | 'node'
  /** A namespace, or a pod of this node, has changed. */
  readonly onNodeChange?: () => void
  /** Every list is complete for the first time. */
  readonly onSynced: () => void
}

export class Watches {
  readonly #informers = new Map<string, Informer<never>>()
  readonly #waiting = new Set<string>()
  readonly #parts: WatchParts

  constructor(parts: WatchParts) {
    this.#parts = parts
  }

  start(): void {
    const {cluster, enroller, nodeName, pods} = this.#parts
    const changed = (): void => this.#parts.onNodeChange?.()
    for (const name of ['namespaces', 'nodes', 'services', 'endpointslices', 'pods']) this.#waiting.add(name)
    this.#watch<Namespace>('namespaces', reduceNamespace, {
      set: (namespace) => {
        cluster.setNamespace(namespace)
        enroller.namespaceChanged(objectKey(namespace))
        changed()
      },
      delete: (namespace) => {
        cluster.deleteNamespace(namespace)
        enroller.namespaceChanged(objectKey(namespace))
        changed()
      },
    })
    this.#watch<NodeObject>('nodes', reduceNode, {
      set: (node) => cluster.setNode(node),
      delete: (node) => cluster.deleteNode(node),
    })
    this.#watch<Service>('services', reduceService, {
      set: (service) => cluster.setService(service),
      delete: (service) => cluster.deleteService(service),
    })
    this.#watch<EndpointSlice>('endpointslices', reduceSlice, {
      set: (slice, previous) => cluster.setSlice(slice, previous),
      delete: (slice) => cluster.deleteSlice(slice),
    })
    this.#watch<Pod>(
      'pods',
      reducePod,
      {
        set: (pod, previous) => {
          if (previous !== undefined && previous.metadata.uid !== pod.metadata.uid)
            enroller.podDeleted(previous)
          cluster.setPod(pod)
          if (pod.spec?.nodeName !== nodeName) return
          enroller.podChanged(pod)
          changed()
        },
        delete: (pod) => {
          cluster.deletePod(pod)
          enroller.podDeleted(pod)
          if (pod.spec?.nodeName === nodeName) changed()
        },
      },
      pods === 'node' ? `spec.nodeName=${nodeName}` : undefined,
    )
  }

  #watch<T extends KubeObject>(
    resource: keyof typeof RESOURCES,
    transform: (object: T) => T,
    on: {set(object: T, previous: T | undefined): void; delete(object: T): void},
    fieldSelector?: string,
  ): void {
    const informer = this.#parts.informers.start<T>(RESOURCES[resource], {
      fieldSelector,
      transform,
      handler: {
        onChange: (object, previous) => on.set(object, previous),
        onDelete: (object) => on.delete(object),
        onSynced: () => this.#synced(resource),
      },
    })
    this.#informers.set(resource, informer as unknown as Informer<never>)
  }

  #synced(resource: string): void {
    if (this.#waiting.delete(resource) && this.#waiting.size === 0) this.#parts.onSynced()
  }

  /** What is not current and why; empty when all is. */
  problems(): string[] {
    return [...this.#informers].flatMap(([resource, informer]) => {
      if (informer.problem !== undefined) return [`${resource}: ${informer.problem}`]
      return this.#waiting.has(resource) ? [`${resource}: the first list is not complete`] : []
    })
  }

  close(): void {
    for (const informer of this.#informers.values()) informer.close()
  }
}

function reduceMeta(metadata: ObjectMeta, used: Partial<ObjectMeta>): ObjectMeta {
  const {name, namespace, uid, resourceVersion} = metadata
  return withoutUndefined({name, namespace, uid, resourceVersion, ...used}) as ObjectMeta
}

function withoutUndefined<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T
}

function pick(
  values: Readonly<Record<string, string>> | undefined,
  isUsed: (name: string) => boolean,
): Record<string, string> | undefined {
  const used = Object.entries(values ?? {}).filter(([name]) => isUsed(name))
  return used.length > 0 ? Object.fromEntries(used) : undefined
}

const USED_NAMES =
  /istio\.io\/|^kmesh\.net\/|^app(\.kubernetes\.io\/(name|version))?$|^version$|^pod-template-hash$|^topology\.|^kubernetes\.io\/(service-name|config\.hash)$/

function reduceNamespace(namespace: Namespace): Namespace {
  return {metadata: reduceMeta(namespace.metadata, labelsOf(namespace.metadata))}
}

function labelsOf(metadata: ObjectMeta): Partial<ObjectMeta> {
  const labels = pick(metadata.labels, (name) => USED_NAMES.test(name))
  return labels === undefined ? {} : {labels}
}

function reduceNode({metadata, spec, status}: NodeObject): NodeObject {
  return {
    metadata: reduceMeta(metadata, labelsOf(metadata)),
    spec: withoutUndefined({podCIDR: spec?.podCIDR, podCIDRs: spec?.podCIDRs}) as NonNullable<
      NodeObject['spec']
    >,
    status: {addresses: status?.addresses ?? []},
  }
}

function reduceService({metadata, spec}: Service): Service {
  return {metadata: reduceMeta(metadata, {}), spec: spec ?? {}}
}

function reduceSlice({metadata, addressType, endpoints, ports}: EndpointSlice): EndpointSlice {
  return {
    metadata: reduceMeta(metadata, labelsOf(metadata)),
    addressType,
    ports: ports ?? [],
    endpoints: (endpoints ?? []).map(({addresses, conditions, targetRef}) =>
      withoutUndefined({addresses: addresses.slice(0, 1), conditions, targetRef}),
    ) as NonNullable<EndpointSlice['endpoints']>,
  }
}

function reducePod({metadata, spec, status}: Pod): Pod {
  const annotations = pick(metadata.annotations, (name) => USED_NAMES.test(name))
  const owners = metadata.ownerReferences?.filter((owner) => owner.controller === true)
  const ready = status?.conditions?.filter((condition) => condition.type === 'Ready')
  return {
    metadata: reduceMeta(metadata, {
      ...labelsOf(metadata),
      ...(annotations === undefined ? {} : {annotations}),
      ...(owners === undefined || owners.length === 0 ? {} : {ownerReferences: owners}),
      ...(metadata.deletionTimestamp === undefined ? {} : {deletionTimestamp: metadata.deletionTimestamp}),
    }),
    spec: withoutUndefined({
      nodeName: spec?.nodeName,
      hostNetwork: spec?.hostNetwork,
      serviceAccountName: spec?.serviceAccountName,
      containers: [],
    }) as NonNullable<Pod['spec']>,
    status: withoutUndefined({
      phase: status?.phase,
      podIP: status?.podIP,
      podIPs: status?.podIPs,
      conditions: ready?.map(({type, status: state}) => ({type, status: state})),
      containerStatuses: status?.containerStatuses?.map(({name, ready: isReady, restartCount, containerID}) =>
        withoutUndefined({name, ready: isReady, restartCount, containerID}),
      ),
    }) as NonNullable<Pod['status']>,
  }
}
