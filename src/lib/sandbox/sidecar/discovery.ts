// SPDX-License-Identifier: Apache-2.0
/** The control plane of the stand-in sidecars: watches the API as any client and writes each of them its file. */
import {messageOf} from '../../errors.ts'
import {
  type Container,
  type EndpointSlice,
  type KubeObject,
  type Pod,
  RESOURCES,
  type Service,
} from '../../model/kube.ts'
import type {Clock, Informer, Informers, Log, ResourcePath} from '../../ports.ts'
import {isSidecarImage} from '../nodes/command-line.ts'
import {type Authority, createAuthority, type KeyPair} from '../pki.ts'
import type {SandboxPaths} from '../state.ts'
import type {SidecarConfig} from './config.ts'
import {openWay, removeConfig, sidecarConfigFile, writeConfig} from './config-files.ts'
import {DESTINATION_RULES, PEER_AUTHENTICATIONS} from './crds.ts'
import {type ConfigMap, configPart, identityOf, type MeshView} from './make-config.ts'
import {type DestinationPolicy, type PeerPolicy, ROOT_NAMESPACE} from './policy-objects.ts'

/** Changes that come together are one. */
const DEBOUNCE_MS = 50

export interface DiscoveryOptions {
  readonly informers: Informers
  readonly clock: Clock
  readonly log: Log
  readonly paths: Pick<SandboxPaths, 'runDir'>
}

interface Definition extends KubeObject {
  readonly spec?: {readonly versions?: readonly {readonly name: string; readonly served?: boolean}[]}
  readonly status?: {readonly conditions?: readonly {readonly type: string; readonly status: string}[]}
}

export function startDiscovery(options: DiscoveryOptions): {close(): void} {
  return new Discovery(options)
}

function runsProxy({spec}: Pod): boolean {
  const all: readonly Container[] = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]
  return all.some((container) => isSidecarImage(container) && container.args?.[0] === 'proxy')
}

class Discovery {
  readonly #options: DiscoveryOptions
  readonly #services: Informer<Service>
  readonly #slices: Informer<EndpointSlice>
  readonly #pods: Informer<Pod>
  readonly #meshConfig: Informer<ConfigMap>
  readonly #definitions: Informer<Definition>
  /** By name of the definition; only while the API has it. */
  readonly #custom = new Map<string, Informer<KubeObject>>()
  /** What each file has, without keys. */
  readonly #written = new Map<string, string>()
  readonly #keys = new Map<string, Promise<KeyPair>>()
  #authority: Promise<Authority> | undefined
  #isWaiting = false
  #running: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: DiscoveryOptions) {
    this.#options = options
    const handler = {onChange: () => this.#soon(), onDelete: () => this.#soon()}
    this.#services = options.informers.start<Service>(RESOURCES.services, {handler})
    this.#slices = options.informers.start<EndpointSlice>(RESOURCES.endpointslices, {handler})
    this.#pods = options.informers.start<Pod>(RESOURCES.pods, {
      handler: {
        onChange: () => this.#soon(),
        onDelete: ({metadata}) => this.#forget(metadata.uid ?? ''),
      },
    })
    this.#meshConfig = options.informers.start<ConfigMap>(
      {...RESOURCES.configmaps, namespace: ROOT_NAMESPACE},
      {fieldSelector: 'metadata.name=istio', handler},
    )
    this.#definitions = options.informers.start<Definition>(RESOURCES.customresourcedefinitions, {
      handler: {
        onChange: (definition) => this.#follow(definition),
        onDelete: ({metadata}) => this.#unfollow(metadata.name ?? ''),
      },
    })
  }

  close(): void {
    this.#isClosed = true
    const own = [this.#services, this.#slices, this.#pods, this.#meshConfig, this.#definitions]
    const all = [...own, ...this.#custom.values()]
    for (const informer of all) informer.close()
  }

  /** Istio's kinds come and go with their definitions. */
  #follow({metadata, spec, status}: Definition): void {
    const name = metadata.name ?? ''
    const kind = [PEER_AUTHENTICATIONS, DESTINATION_RULES].find(
      (each) => `${each.resource}.${each.group}` === name,
    )
    const isThere = status?.conditions?.some((one) => one.type === 'Established' && one.status === 'True')
    if (kind === undefined || isThere !== true || this.#custom.has(name)) return
    const served = (spec?.versions ?? [])
      .filter((version) => version.served !== false)
      .map((each) => each.name)
    const path: ResourcePath = {...kind, version: served.includes('v1') ? 'v1' : (served[0] ?? 'v1')}
    const handler = {onChange: () => this.#soon(), onDelete: () => this.#soon()}
    this.#custom.set(name, this.#options.informers.start(path, {handler}))
  }

  #unfollow(name: string): void {
    this.#custom.get(name)?.close()
    if (this.#custom.delete(name)) this.#soon()
  }

  #forget(uid: string): void {
    const file = sidecarConfigFile(this.#options.paths, uid)
    if (this.#written.delete(file)) removeConfig(file)
    this.#soon()
  }

  #soon(): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    this.#options.clock.after(DEBOUNCE_MS, () => {
      this.#running = this.#running.then(() => this.#writeAll())
    })
  }

  async #writeAll(): Promise<void> {
    this.#isWaiting = false
    const view = this.#view()
    for (const pod of view.pods.values()) {
      if (this.#isClosed) return
      if (!runsProxy(pod)) continue
      await this.#writeOne(pod, view).catch((error: unknown) =>
        this.#options.log.error(
          `sidecar of ${pod.metadata.namespace}/${pod.metadata.name}: ${messageOf(error)}`,
        ),
      )
    }
  }

  async #writeOne(pod: Pod, view: MeshView): Promise<void> {
    const file = sidecarConfigFile(this.#options.paths, pod.metadata.uid ?? '')
    const part = configPart(pod, view)
    const text = JSON.stringify(part)
    if (this.#written.get(file) === text) return
    this.#authority ??= this.#createAuthority()
    const authority = await this.#authority
    const {certificatePem, keyPem} = await this.#keyOf(identityOf(pod), authority)
    // It may have gone meanwhile.
    if (this.#isClosed || this.#pods.get(`${pod.metadata.namespace}/${pod.metadata.name}`) === undefined)
      return
    const config: SidecarConfig = {...part, certificatePem, keyPem, authorityPem: authority.certificatePem}
    writeConfig(file, config)
    this.#written.set(file, text)
  }

  async #createAuthority(): Promise<Authority> {
    openWay(this.#options.paths)
    return await createAuthority('cluster.local', this.#options.clock.nowMs())
  }

  #keyOf(identity: string, authority: Authority): Promise<KeyPair> {
    const key = this.#keys.get(identity) ?? authority.issueWorkload(identity)
    this.#keys.set(identity, key)
    return key
  }

  #view(): MeshView {
    const custom = <T extends KubeObject>({resource, group}: {resource: string; group: string}): T[] => [
      ...((this.#custom.get(`${resource}.${group}`)?.values() ?? []) as Iterable<T>),
    ]
    const pods = [...this.#pods.values()]
    return {
      services: [...this.#services.values()],
      slices: [...this.#slices.values()],
      pods: new Map(pods.map((pod) => [`${pod.metadata.namespace}/${pod.metadata.name}`, pod])),
      peerPolicies: custom<PeerPolicy>(PEER_AUTHENTICATIONS),
      meshConfig: this.#meshConfig.get(`${ROOT_NAMESPACE}/istio`),
      destinationPolicies: custom<DestinationPolicy>(DESTINATION_RULES),
    }
  }
}
