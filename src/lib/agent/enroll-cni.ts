// SPDX-License-Identifier: Apache-2.0
/**
 * The way in through CNI: the kernel has the pod before its first packet. The watch may not have told the pod yet,
 * and may tell it at any moment meanwhile; whoever is second finds the other's record.
 */
import {KmeshError, KubeStatusError} from '../errors.ts'
import {type Namespace, type Pod, RESOURCES} from '../model/kube.ts'
import type {EnrollParts} from './enroll-parts.ts'
import type {PodCapture} from './pod-capture.ts'
import {kubeletUid, type PodRecord} from './pod-record.ts'

const REQUEST_TIMEOUT_MS = 5000

export interface CniPod {
  readonly namespace: string
  readonly name: string
  /** As the kubelet has it; empty where the runtime does not tell it. */
  readonly uid: string
  /** Absolute path; empty where the namespace is gone (on the way out only). */
  readonly netnsPath: string
}

export interface CniAnswer {
  readonly enrolled: boolean
  readonly rule: string
  /** Of the namespace in decimal, where the pod is enrolled. */
  readonly cookie: string | null
}

/** What the Enroller does for CNI. */
export interface CniHost {
  records(): Iterable<PodRecord>
  /** Makes the record of a pod that the watch has not told. */
  fetched(pod: Pod): PodRecord
  namespaceFetched(namespace: Namespace): void
  /**
   * Short-circuits the sidecar, where the pod is to be without it; else returns at once.
   * @throws CommandError, KmeshError
   */
  bypass(record: PodRecord): Promise<void>
  /** Decides and carries it out now. @throws KernelError, KmeshError of the state directory */
  settle(record: PodRecord): void
  /** Its sandbox is no more. */
  detached(record: PodRecord): void
  /** The pod is no more. */
  drop(record: PodRecord): void
  /** Looks for its processes. */
  seek(record: PodRecord): void
}

export class CniPods {
  readonly #parts: EnrollParts
  readonly #capture: PodCapture
  readonly #host: CniHost

  constructor(parts: EnrollParts, capture: PodCapture, host: CniHost) {
    this.#parts = parts
    this.#capture = capture
    this.#host = host
  }

  /**
   * Returns when the kernel has the pod, or need not. Done again it changes nothing.
   * @throws KmeshError `NodeNamespace`, `PodNotFound`, `WrongNode`; KernelError; what the API server gave
   */
  async add(request: CniPod): Promise<CniAnswer> {
    this.#cookieOf(request.netnsPath)
    const record = await this.#recordOf(request)
    // Again: the namespace may have gone while the API server was asked.
    const identify = () =>
      this.#capture.identify(record, this.#cookieOf(request.netnsPath), request.netnsPath)
    identify()
    await this.#host.bypass(record)
    if (this.#find(request) !== record) throw this.#notFound(request)
    identify()
    this.#host.settle(record)
    const {intent, rule, cookie} = record
    return {enrolled: intent, rule, cookie: intent ? cookie : null}
  }

  /**
   * The sandbox is taken down. Another sandbox of the same pod stays as it is.
   * @throws KernelError, KmeshError of the state directory
   */
  remove(request: CniPod): void {
    const record = this.#find(request)
    if (record === undefined) {
      const kept = this.#capture.state.enrolled.get(request.uid)
      if (kept !== undefined && this.#isOf(request.netnsPath, kept)) this.#capture.forgetKept(request.uid)
      return
    }
    if (this.#isOf(request.netnsPath, record)) this.#takeDown(record)
    else this.#host.seek(record)
  }

  /** Asks the API server for pods that the watch has not told for long; drops those that are gone. */
  async confirm(record: PodRecord): Promise<void> {
    const {namespace = '', name = ''} = record.pod.metadata
    const pod = await this.#get<Pod>({...RESOURCES.pods, namespace, name})
    if (record.isFetched && pod?.metadata.uid !== record.uid) this.#host.drop(record)
  }

  #takeDown(record: PodRecord): void {
    this.#capture.detach(record)
    this.#host.detached(record)
    if (record.isFetched) this.#host.drop(record)
    else this.#host.seek(record)
  }

  /** @throws KmeshError `NodeNamespace`: then the whole node would be enrolled */
  #cookieOf(netnsPath: string): string {
    const {netns, proc} = this.#parts
    const identity = proc.identityOf(netnsPath)
    if (identity !== undefined && proc.nodeNamespaces().has(identity))
      throw new KmeshError(`${netnsPath} is the node's network namespace, not a pod's`, {
        code: 'NodeNamespace',
      })
    return netns.cookie(netnsPath).toString()
  }

  /** Is this the sandbox that we know? A path that is gone is known by its name only. */
  #isOf(
    netnsPath: string,
    known: {readonly cookie: string | null; readonly netnsPath?: string | null},
  ): boolean {
    if (netnsPath === '') return false
    if (this.#parts.proc.identityOf(netnsPath) === undefined) return known.netnsPath === netnsPath
    return this.#cookieOf(netnsPath) === known.cookie
  }

  async #recordOf(request: CniPod): Promise<PodRecord> {
    const pod = this.#find(request)?.pod ?? (await this.#fetch(request))
    await this.#learnNamespace(request.namespace)
    // The watch may have been faster.
    return this.#find(request) ?? this.#host.fetched(pod)
  }

  #find({namespace, name, uid}: CniPod): PodRecord | undefined {
    for (const record of this.#host.records()) {
      const {metadata} = record.pod
      if (metadata.namespace !== namespace || metadata.name !== name) continue
      if (isUidOf(uid, record.pod)) return record
    }
    return undefined
  }

  async #fetch({namespace, name, uid}: CniPod): Promise<Pod> {
    const pod = await this.#get<Pod>({...RESOURCES.pods, namespace, name})
    if (pod === undefined || !isUidOf(uid, pod)) throw this.#notFound({namespace, name, uid})
    const node = pod.spec?.nodeName
    if (node !== this.#parts.nodeName)
      throw new KmeshError(`pod ${namespace}/${name} is of node ${node}, this is ${this.#parts.nodeName}`, {
        code: 'WrongNode',
      })
    return pod
  }

  #notFound({namespace, name, uid}: Omit<CniPod, 'netnsPath'>): KmeshError {
    return new KmeshError(`there is no pod ${namespace}/${name} with uid ${uid}`, {code: 'PodNotFound'})
  }

  async #learnNamespace(name: string): Promise<void> {
    if (this.#parts.namespace(name) !== undefined) return
    const namespace = await this.#get<Namespace>({...RESOURCES.namespaces, name})
    if (namespace !== undefined) this.#host.namespaceFetched(namespace)
  }

  async #get<T extends Pod | Namespace>(
    path: Parameters<EnrollParts['kube']['get']>[0],
  ): Promise<T | undefined> {
    try {
      return await this.#parts.kube.get<T>(path, {timeoutMs: REQUEST_TIMEOUT_MS})
    } catch (error) {
      if (error instanceof KubeStatusError && error.status === 404) return undefined
      throw error
    }
  }
}

function isUidOf(uid: string, pod: Pod): boolean {
  return uid === '' || uid === pod.metadata.uid || uid === kubeletUid(pod)
}
