// SPDX-License-Identifier: Apache-2.0
/** What the agent watches (design section 4), reduced to what it uses. */
import type {EndpointSlice, KubeObject, Namespace, NodeObject, Pod, Service} from '../model/kube.ts'
import {objectKey, RESOURCES} from '../model/kube.ts'
import type {Clock, Informer, Informers, Log} from '../ports.ts'
import {CaseLog} from './case-log.ts'
import type {ClusterState} from './cluster.ts'
import type {Enroller} from './enroll.ts'
import {reduceNamespace, reduceNode, reducePod, reduceService, reduceSlice} from './reduce.ts'
import {SHAPES} from './shapes.ts'

export interface WatchParts {
  readonly clock: Clock
  readonly log: Log
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

const SHOWN_NAME = 100

export class Watches {
  readonly #informers = new Map<string, Informer<never>>()
  readonly #waiting = new Set<string>()
  readonly #parts: WatchParts
  readonly #cases: CaseLog

  constructor(parts: WatchParts) {
    this.#parts = parts
    this.#cases = new CaseLog(parts.log, parts.clock)
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
          if (pod.spec?.nodeName !== nodeName || pod.metadata.uid === undefined) return
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
      transform: (object) => this.#reduce(resource, object, transform),
      handler: {
        onChange: (object, previous) => {
          if (isNamed(object)) on.set(object, previous)
        },
        onDelete: (object) => {
          if (isNamed(object)) on.delete(object)
        },
        onSynced: () => this.#synced(resource),
      },
    })
    this.#informers.set(resource, informer as unknown as Informer<never>)
  }

  /** What is not as Kubernetes gives it is left out, and said; without a name nothing is left. */
  #reduce<T extends KubeObject>(resource: string, object: T, reduce: (object: T) => T): T {
    const onBad = (path: string) =>
      this.#cases.warn(`${resource} ${path}`, `${resource}: a field is not what Kubernetes gives, left out`, {
        field: path,
        object: String(object.metadata.name).slice(0, SHOWN_NAME),
      })
    const clean = SHAPES[resource]?.(object, '', onBad) as T | undefined
    return clean === undefined ? ({metadata: {}} as T) : reduce(clean)
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

function isNamed({metadata}: KubeObject): boolean {
  return metadata.name !== undefined
}
