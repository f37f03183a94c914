// SPDX-License-Identifier: Apache-2.0
/** A cluster that changes at random, as Kubernetes would let it: names, addresses and pods come back as others. */
import type {KubeObject} from '../../src/lib/model/kube.ts'
import type {FakeInformers, FakeNode} from './fakes.ts'
import {
  Addresses,
  CHOICES,
  type ModelPod,
  type ModelService,
  type ModelSlice,
  NODE,
  namespaceObject,
  nodeObject,
  podObject,
  randomEndpoints,
  randomPorts,
  serviceObject,
  sliceObject,
} from './property-objects.ts'
import type {Random} from './seed.ts'

type Change = (cluster: Cluster) => void

export class Cluster {
  readonly namespaces = new Map<string, string | undefined>()
  readonly pods = new Map<string, ModelPod>()
  readonly services = new Map<string, ModelService>()
  readonly slices = new Map<string, ModelSlice>()
  readonly nodes = new Set<string>()
  readonly random: Random
  /** Where changes are told; undefined while no agent runs. */
  informers: FakeInformers | undefined
  readonly #machine: FakeNode
  #serial = 0
  readonly #addresses: Addresses

  constructor(random: Random, machine: FakeNode) {
    this.random = random
    this.#machine = machine
    this.#addresses = new Addresses(random)
  }

  /** One change, sometimes one that carries others with it. */
  change(): void {
    const weights: readonly (readonly [number, Change])[] = [
      [2, (c) => c.#changeNamespace()],
      [1, (c) => c.#deleteNamespace()],
      [1, (c) => c.#changeNode()],
      [16, (c) => c.#putPod()],
      [6, (c) => c.#changePod()],
      [4, (c) => c.#deletePod()],
      [4, (c) => c.#putService()],
      [2, (c) => c.#deleteService()],
      [8, (c) => c.#putSlice()],
      [2, (c) => c.#deleteSlice()],
    ]
    let left = this.random.below(weights.reduce((sum, [weight]) => sum + weight, 0))
    const chosen = weights.find(([weight]) => {
      left -= weight
      return left < 0
    })
    chosen?.[1](this)
  }

  /** For an agent that starts: everything that there is. */
  listAll(): void {
    for (const name of this.nodes) this.#tell('nodes', nodeObject(name))
    for (const name of this.namespaces.keys())
      this.#tell('namespaces', namespaceObject(name, this.namespaces.get(name)))
    for (const pod of this.pods.values()) this.tellPod(pod)
    for (const service of this.services.values()) this.#tell('services', serviceObject(service))
    for (const slice of this.slices.values()) this.#tell('endpointslices', sliceObject(slice))
  }

  tellPod(pod: ModelPod): void {
    this.#tell('pods', podObject(pod))
  }

  #tell(resource: string, object: KubeObject): void {
    this.informers?.put(resource, object)
  }

  #changeNamespace(): void {
    const name = this.random.pick(CHOICES.namespaces)
    this.namespaces.set(name, this.random.pick(CHOICES.modes))
    this.#tell('namespaces', namespaceObject(name, this.namespaces.get(name)))
  }

  /** With everything in it, in either order of the watches. */
  #deleteNamespace(): void {
    const name = this.random.pick(CHOICES.namespaces)
    if (!this.namespaces.has(name) || this.random.chance(0.85)) return
    const isFirst = this.random.chance(0.5)
    this.namespaces.delete(name)
    if (isFirst) this.informers?.remove('namespaces', `undefined/${name}`)
    for (const map of [this.slices, this.services] as const)
      for (const key of [...map.keys()]) if (key.startsWith(`${name}/`)) this.#remove(map, key)
    for (const key of [...this.pods.keys()]) if (key.startsWith(`${name}/`)) this.#removePod(key)
    if (!isFirst) this.informers?.remove('namespaces', `undefined/${name}`)
  }

  #changeNode(): void {
    const name = this.random.pick(CHOICES.nodes)
    if (this.nodes.delete(name)) this.informers?.remove('nodes', `undefined/${name}`)
    else {
      this.nodes.add(name)
      this.#tell('nodes', nodeObject(name))
    }
  }

  #ensureNamespace(): string {
    const name = this.random.pick(CHOICES.namespaces)
    if (!this.namespaces.has(name)) {
      this.namespaces.set(name, undefined)
      this.#tell('namespaces', namespaceObject(name, this.namespaces.get(name)))
    }
    return name
  }

  /** A new pod; where the name is taken, the watch tells its successor without a word about its end. */
  #putPod(): void {
    const key = `${this.#ensureNamespace()}/${this.random.pick(CHOICES.pods)}`
    const old = this.pods.get(key)
    if (old !== undefined && this.random.chance(0.8)) return
    if (old !== undefined) this.#end(old)
    if (old !== undefined && this.random.chance(0.5)) this.informers?.remove('pods', key)
    this.#serial += 1
    const pod: ModelPod = {
      key,
      uid: `uid-${this.#serial}`,
      node: this.random.pick(CHOICES.nodes),
      hostNetwork: this.random.chance(0.1),
      sidecar: this.random.chance(0.1),
      mode: this.random.chance(0.6) ? undefined : this.random.pick(CHOICES.modes),
      phase: 'Pending',
      ips: [],
      restarts: 0,
      ownsAddresses: false,
      annotation: undefined,
    }
    this.pods.set(key, pod)
    if (this.random.chance(0.7)) this.#run(pod)
    this.tellPod(pod)
  }

  #run(pod: ModelPod): void {
    pod.phase = 'Running'
    pod.ownsAddresses = !pod.hostNetwork
    const families = this.random.pick([[4], [4, 6], [6]] as const)
    pod.ips = families.map((family) =>
      pod.hostNetwork ? (family === 4 ? '192.0.2.1' : 'fd00:9::1') : this.#addresses.take(family),
    )
    this.#sandbox(pod)
  }

  #sandbox(pod: ModelPod): void {
    this.#serial += 1
    if (pod.node !== NODE || pod.hostNetwork) return
    // Numbers of namespaces come back at once, cookies never.
    this.#machine.run(pod.uid, BigInt(this.#serial), `inode-${this.#serial % 3}`)
  }

  #changePod(): void {
    const pod = this.#pickPod()
    if (pod === undefined) return
    const what = this.random.below(10)
    if (what < 4) pod.mode = this.random.pick(CHOICES.modes)
    else if (what < 7 && pod.phase === 'Pending') this.#run(pod)
    else if (what < 8 && pod.phase === 'Running') {
      pod.restarts += 1
      this.#sandbox(pod)
    } else if (what < 9 && pod.phase === 'Running') {
      pod.phase = this.random.pick(['Succeeded', 'Failed'])
      this.#end(pod)
    }
    this.tellPod(pod)
  }

  #pickPod(): ModelPod | undefined {
    return this.pods.size === 0 ? undefined : this.random.pick([...this.pods.values()])
  }

  #deletePod(): void {
    const pod = this.#pickPod()
    if (pod !== undefined) this.#removePod(pod.key)
  }

  #removePod(key: string): void {
    const pod = this.pods.get(key)
    if (pod === undefined) return
    this.#end(pod)
    this.pods.delete(key)
    this.informers?.remove('pods', key)
  }

  /** Its processes are over; its addresses may go to the next one at once, though a finished pod shows them on. */
  #end(pod: ModelPod): void {
    this.#machine.pods.delete(pod.uid)
    if (pod.ownsAddresses) for (const ip of pod.ips) this.#addresses.free(ip)
    pod.ownsAddresses = false
  }

  #putService(): void {
    const key = `${this.#ensureNamespace()}/${this.random.pick(CHOICES.services)}`
    const old = this.services.get(key)
    if (old !== undefined && this.random.chance(0.3)) this.#remove(this.services, key)
    const same = this.services.get(key)
    const families = same?.families ?? this.random.pick([[4], [6], [4, 6], [6, 4]] as const)
    const type =
      same?.type ?? this.random.pick(['ClusterIP', 'ClusterIP', 'ClusterIP', 'Headless', 'ExternalName'])
    const service: ModelService = {
      key,
      type,
      families,
      ips: same?.ips ?? (type === 'ClusterIP' ? families.map((family) => this.#addresses.take(family)) : []),
      ports: randomPorts(this.random),
    }
    this.services.set(key, service)
    this.#tell('services', serviceObject(service))
  }

  #deleteService(): void {
    if (this.services.size > 0) this.#remove(this.services, this.random.pick([...this.services.keys()]))
  }

  #putSlice(): void {
    const namespace = this.#ensureNamespace()
    const family = this.random.pick([4, 6] as const)
    const service = this.random.pick(CHOICES.services)
    const key = `${namespace}/${service}-${family}-${this.random.below(2)}`
    const pods = [...this.pods.values()].filter(
      (pod) => pod.key.startsWith(`${namespace}/`) && this.random.chance(0.5),
    )
    const endpoints = randomEndpoints(pods, family, this.random)
    const slice = {key, service: `${namespace}/${service}`, family, endpoints}
    this.slices.set(key, slice)
    this.#tell('endpointslices', sliceObject(slice))
  }

  #deleteSlice(): void {
    if (this.slices.size > 0) this.#remove(this.slices, this.random.pick([...this.slices.keys()]))
  }

  #remove(map: Map<string, ModelService> | Map<string, ModelSlice>, key: string): void {
    const service = map === this.services ? this.services.get(key) : undefined
    map.delete(key)
    this.informers?.remove(service === undefined ? 'endpointslices' : 'services', key)
    for (const ip of service?.ips ?? []) this.#addresses.free(ip)
  }
}
