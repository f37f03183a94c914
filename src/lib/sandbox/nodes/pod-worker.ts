// SPDX-License-Identifier: Apache-2.0
/** The life of one pod on its node: network, containers, status, end. */
import {rmSync} from 'node:fs'
import {join} from 'node:path'
import {KubeStatusError, messageOf} from '../../errors.ts'
import {type Container, type Pod, RESOURCES} from '../../model/kube.ts'
import type {ResourcePath} from '../../ports.ts'
import {podRecordFile, writeJson} from '../state.ts'
import type {Addresses} from './addresses.ts'
import {type ContainerRole, ContainerRunner} from './container.ts'
import type {NodeContext} from './node-context.ts'
import {PodContainers, viewOf} from './pod-containers.ts'
import {PodEvents} from './pod-events.ts'
import {containerSettings, type PodFacts, podRecord, roleOfInit} from './pod-facts.ts'
import type {PodNetwork} from './pod-network.ts'
import {podStatus} from './pod-status.ts'

const RETRY_MS = 500
const LAST_NETWORK_RETRY_MS = 4000
/** As kubelets call it. */
const NO_NETWORK = 'FailedCreatePodSandBox'
const DEFAULT_GRACE_SECONDS = 30
const CGROUP_TIMEOUT_MS = 5000

/** Gives and takes back the node's pod addresses. */
export interface AddressPool {
  take(): Addresses
  give(addresses: Addresses): void
}

/** What the pods of a node share. */
export interface PodServices {
  readonly pool: AddressPool
  readonly network: PodNetwork
}

export class PodWorker {
  #pod: Pod
  readonly #node: NodeContext
  readonly #services: PodServices
  readonly #facts: PodFacts
  #containers: PodContainers
  #started: Promise<void>
  #ending: Promise<void> | undefined
  /** Aborted when it ends: then nothing is tried again. */
  readonly #isEnding = new AbortController()
  #hasNetwork: boolean
  /** The object is gone from the API; nothing is written any more. */
  #isDeleted = false
  #statusWanted = false
  #statusLoop: Promise<void> | undefined

  constructor(node: NodeContext, services: PodServices, pod: Pod) {
    this.#node = node
    this.#services = services
    this.#pod = pod
    const hostNetwork = pod.spec?.hostNetwork === true
    this.#hasNetwork = hostNetwork
    this.#facts = {
      namespace: pod.metadata.namespace ?? '',
      name: pod.metadata.name ?? '',
      uid: pod.metadata.uid ?? '',
      hostNetwork,
      addresses: hostNetwork ? node.addresses : services.pool.take(),
      cgroup: join(node.cgroup, hostNetwork ? 'system' : 'kubepods', `pod${pod.metadata.uid}`),
      startedAt: `${new Date(node.clock.nowMs()).toISOString().slice(0, 19)}Z`,
    }
    this.#containers = this.#containersOf(pod)
    this.#started = this.#start().catch((error: unknown) => this.#complain('it cannot be started', error))
  }

  get facts(): PodFacts {
    return this.#facts
  }

  /** Namespace that port-forwards of this pod connect in. */
  get namespacePath(): string {
    return this.#facts.hostNetwork ? this.#node.namespacePath : this.#node.network.podNamespace(this.#facts)
  }

  outputFile(container: string): string | undefined {
    return this.#containers.all.find((runner) => runner.settings.container.name === container)?.settings
      .outputFile
  }

  /** The API has a newer object. */
  update(pod: Pod): void {
    this.#pod = pod
    if (pod.metadata.deletionTimestamp === undefined) return
    const grace = pod.metadata.deletionGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS
    // Once it ends its record goes, and the last status that we write ourselves comes back here.
    if (this.#ending === undefined) this.#writeRecord()
    void this.end(grace * 1000)
  }

  /** The object is gone already: nobody waits for us. */
  async deleted(): Promise<void> {
    this.#isDeleted = true
    await this.end(0)
  }

  /** Stops it, takes its things away and then the object out of the API. */
  end(graceMs: number): Promise<void> {
    this.#isEnding.abort()
    this.#ending ??= this.#end(graceMs)
    return this.#ending
  }

  async #start(): Promise<void> {
    if (!this.#facts.hostNetwork) await this.#addNetwork()
    if (this.#ending !== undefined || this.#node.stopping.aborted) return
    this.#writeRecord()
    await this.#containers.start()
  }

  #containersOf({spec}: Pod): PodContainers {
    const init = spec?.initContainers ?? []
    const runnerOf = (container: Container, role: ContainerRole, waitingFor: string) =>
      new ContainerRunner(
        this.#node,
        containerSettings(this.#node, this.#facts, this.#pod, container, this.namespacePath, role),
        () => this.#changed(),
        waitingFor,
      )
    const waitingFor = init.length > 0 ? 'PodInitializing' : 'ContainerCreating'
    return new PodContainers(
      {
        init: init.map((container) => runnerOf(container, roleOfInit(container), waitingFor)),
        main: (spec?.containers ?? []).map((container) => runnerOf(container, 'main', waitingFor)),
      },
      this.#node.clock,
    )
  }

  /** Tries until it has one or ends; meanwhile status and events say what is in the way. */
  async #addNetwork(): Promise<void> {
    const events = new PodEvents(this.#node, this.#facts)
    const stopping = AbortSignal.any([this.#isEnding.signal, this.#node.stopping])
    for (let waitMs = RETRY_MS; !stopping.aborted; waitMs = Math.min(waitMs * 2, LAST_NETWORK_RETRY_MS)) {
      try {
        await this.#services.network.add(this.#facts)
        this.#hasNetwork = true
        return
      } catch (error) {
        if (stopping.aborted) return
        this.#complain('its network cannot be made', error)
        for (const runner of this.#containers.all) runner.waitFor(`${NO_NETWORK}: ${messageOf(error)}`)
        await events
          .warn(NO_NETWORK, `Failed to create pod sandbox: ${messageOf(error)}`)
          .catch((thrown: unknown) => this.#complain('its event cannot be written', thrown))
        await this.#node.clock.sleep(waitMs, stopping).catch(() => {})
      }
    }
  }

  async #removeNetwork(): Promise<void> {
    for (const problem of await this.#services.network.remove(this.#facts)) {
      this.#complain('its network cannot be taken away', problem)
    }
  }

  async #end(graceMs: number): Promise<void> {
    // Init containers may take any time: they are stopped, not waited for.
    await this.#containers.stop(graceMs)
    await this.#started
    if (!(await this.#node.cgroups.remove(this.#facts.cgroup, CGROUP_TIMEOUT_MS))) {
      this.#complain('processes are left', `${this.#facts.cgroup} is still in use`)
    }
    if (!this.#facts.hostNetwork) {
      await this.#removeNetwork()
      this.#services.pool.give(this.#facts.addresses)
    }
    rmSync(podRecordFile(this.#node.paths, this.#facts.namespace, this.#facts.name), {force: true})
    for (const runner of this.#containers.all) rmSync(runner.settings.outputFile, {force: true})
    await this.#statusLoop
    await this.#deleteObject()
  }

  async #deleteObject(): Promise<void> {
    while (!this.#isDeleted && !this.#node.stopping.aborted) {
      try {
        await this.#node.kube.delete(this.#path(), {gracePeriodSeconds: 0})
        return
      } catch (error) {
        if (error instanceof KubeStatusError && error.status === 404) return
        this.#complain('its object cannot be deleted', error)
        await this.#node.clock.sleep(RETRY_MS)
      }
    }
  }

  #path(subresource?: string): ResourcePath {
    const {namespace, name} = this.#facts
    return {...RESOURCES.pods, namespace, name, ...(subresource === undefined ? {} : {subresource})}
  }

  #changed(): void {
    if (this.#node.stopping.aborted) return
    if (this.#ending === undefined) this.#writeRecord()
    this.#statusWanted = true
    this.#statusLoop ??= this.#sendStatus()
  }

  /** One request at a time, always with the newest state. */
  async #sendStatus(): Promise<void> {
    while (this.#statusWanted && !this.#isDeleted && !this.#node.stopping.aborted) {
      this.#statusWanted = false
      try {
        this.#pod = await this.#node.kube.mergePatch(this.#path('status'), {status: this.#status()})
      } catch (error) {
        if (error instanceof KubeStatusError && error.status === 404) break
        this.#complain('its status cannot be written', error)
        this.#statusWanted = true
        await this.#node.clock.sleep(RETRY_MS)
      }
    }
    // In the same step as the last look: whoever comes later starts a new loop.
    this.#statusLoop = undefined
  }

  #status(): object {
    const nowMs = this.#node.clock.nowMs()
    const view = {
      startedAt: this.#facts.startedAt,
      addresses: this.#hasNetwork ? this.#facts.addresses.map(({address}) => address) : [],
      nodeAddresses: this.#node.addresses.map(({address}) => address),
      restartPolicy: this.#pod.spec?.restartPolicy ?? 'Always',
      containers: this.#containers.main.map(viewOf),
      initContainers: this.#containers.init.map(viewOf),
    }
    return podStatus(view, this.#pod.status?.conditions ?? [], new Date(nowMs).toISOString())
  }

  #writeRecord(): void {
    const terminating = this.#pod.metadata.deletionTimestamp !== undefined
    const record = podRecord(this.#node, this.#facts, this.namespacePath, this.#containers, terminating)
    writeJson(podRecordFile(this.#node.paths, record.namespace, record.name), record)
  }

  #complain(what: string, error: unknown): void {
    const {namespace, name} = this.#facts
    this.#node.log.error(`pod ${namespace}/${name}: ${what}: ${messageOf(error)}`, {node: this.#node.name})
  }
}
