// SPDX-License-Identifier: Apache-2.0
/** The watched part of the cluster with the indexes that make one change cheap. Tells which services and pods to look at again. */
import type {EndpointSlice, Namespace, NodeObject, Pod, Service} from '../model/kube.ts'
import {objectKey} from '../model/kube.ts'
import {
  type DesiredBackend,
  desiredPod,
  type Family,
  familyOf,
  isAddress,
  type KnownPod,
  podsOfSlice,
  serviceOfSlice,
} from './desired.ts'

export interface ClusterListener {
  serviceChanged(key: string): void
  podChanged(key: string): void
}

interface StoredPod extends KnownPod {
  readonly pod: Pod
}

export class ClusterState {
  readonly services = new Map<string, Service>()
  readonly namespaces = new Map<string, Namespace>()
  readonly nodes = new Map<string, NodeObject>()
  readonly #pods = new Map<string, StoredPod>()
  readonly #slices = new Map<string, Map<string, EndpointSlice>>()
  /** A service stands there once for each of its slices that names the pod. */
  readonly #servicesByPod = new Map<string, readonly string[]>()
  readonly #listener: ClusterListener

  constructor(listener: ClusterListener) {
    this.#listener = listener
  }

  setService(service: Service): void {
    this.services.set(objectKey(service), service)
    this.#listener.serviceChanged(objectKey(service))
  }

  deleteService(service: Service): void {
    this.services.delete(objectKey(service))
    this.#listener.serviceChanged(objectKey(service))
  }

  /** @param previous - the slice as it was; its service may have been another one */
  setSlice(slice: EndpointSlice, previous: EndpointSlice | undefined): void {
    if (previous !== undefined) this.#forgetSlice(previous)
    const service = serviceOfSlice(slice)
    if (service === undefined) return
    const slices = this.#slices.get(service) ?? new Map<string, EndpointSlice>()
    slices.set(objectKey(slice), slice)
    this.#slices.set(service, slices)
    for (const pod of podsOfSlice(slice)) {
      this.#servicesByPod.set(pod, [...(this.#servicesByPod.get(pod) ?? []), service])
    }
    this.#listener.serviceChanged(service)
  }

  deleteSlice(slice: EndpointSlice): void {
    this.#forgetSlice(slice)
  }

  #forgetSlice(slice: EndpointSlice): void {
    const service = serviceOfSlice(slice)
    const slices = service === undefined ? undefined : this.#slices.get(service)
    if (service === undefined || slices === undefined || !slices.delete(objectKey(slice))) return
    if (slices.size === 0) this.#slices.delete(service)
    for (const pod of podsOfSlice(slice)) this.#releaseUser(pod, service)
    this.#listener.serviceChanged(service)
  }

  #releaseUser(pod: string, service: string): void {
    const users = this.#servicesByPod.get(pod) ?? []
    const position = users.indexOf(service)
    if (position < 0) return
    const left = users.toSpliced(position, 1)
    if (left.length === 0) this.#servicesByPod.delete(pod)
    else this.#servicesByPod.set(pod, left)
  }

  setPod(pod: Pod): void {
    const key = objectKey(pod)
    const before = this.#pods.get(key)
    const backends = desiredPod(pod)
    this.#pods.set(key, {pod, uid: pod.metadata.uid, backends})
    if (before?.uid === pod.metadata.uid && sameBackends(before?.backends ?? [], backends)) return
    this.#podMoved(key)
  }

  deletePod(pod: Pod): void {
    if (this.#pods.delete(objectKey(pod))) this.#podMoved(objectKey(pod))
  }

  #podMoved(key: string): void {
    this.#listener.podChanged(key)
    for (const service of this.servicesOfPod(key)) this.#listener.serviceChanged(service)
  }

  setNamespace(namespace: Namespace): void {
    this.namespaces.set(objectKey(namespace), namespace)
  }

  deleteNamespace(namespace: Namespace): void {
    this.namespaces.delete(objectKey(namespace))
  }

  setNode(node: NodeObject): void {
    this.nodes.set(objectKey(node), node)
  }

  deleteNode(node: NodeObject): void {
    this.nodes.delete(objectKey(node))
  }

  knownPod(key: string): KnownPod | undefined {
    return this.#pods.get(key)
  }

  pod(key: string): Pod | undefined {
    return this.#pods.get(key)?.pod
  }

  podKeys(): IterableIterator<string> {
    return this.#pods.keys()
  }

  slicesOf(service: string): EndpointSlice[] {
    return [...(this.#slices.get(service)?.values() ?? [])]
  }

  servicesOfPod(key: string): string[] {
    return [...new Set(this.#servicesByPod.get(key))]
  }

  /** Primary family of the cluster's pods as the first node's pod range, else address, tells it; 4 before that. */
  podFamily(): Family {
    for (const node of this.nodes.values()) {
      const range = (node.spec?.podCIDRs?.[0] ?? node.spec?.podCIDR)?.split('/')[0]
      const address = range ?? node.status?.addresses?.find((entry) => entry.type === 'InternalIP')?.address
      if (isAddress(address)) return familyOf(address)
    }
    return 4
  }
}

function sameBackends(a: readonly DesiredBackend[], b: readonly DesiredBackend[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, index) => {
      const other = b[index]
      return one.name === other?.name && one.address === other.address && one.frontend === other.frontend
    })
  )
}
