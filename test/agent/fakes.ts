// SPDX-License-Identifier: Apache-2.0
/** Ports of the agent in memory. */
import {ConflictError, KernelError, KmeshError, KubeStatusError} from '../../src/lib/errors.ts'
import type {EndpointSlice, KubeObject, Namespace, Pod, Service} from '../../src/lib/model/kube.ts'
import type {
  Informer,
  InformerHandler,
  InformerOptions,
  Informers,
  Kube,
  Log,
  Netns,
  PinTree,
  PodClasses,
  PodNamespace,
  Proc,
  StateFiles,
} from '../../src/lib/ports.ts'

/** Keeps what it is told; `lines` has `level message`. */
export function memoryLog(): Log & {readonly lines: string[]} {
  const lines: string[] = []
  const at = (level: string) => (message: string) => void lines.push(`${level} ${message}`)
  return {
    lines,
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
}

/** `failWrites` lets the next writes throw, before they change anything. */
export class MemoryFiles implements StateFiles {
  readonly contents = new Map<string, string>()
  /** Names in the order of their writes. */
  readonly writes: string[] = []
  failWrites = false

  read(name: string): string | undefined {
    return this.contents.get(name)
  }

  write(name: string, text: string): void {
    if (this.failWrites) throw new Error('ENOSPC: no space left on device')
    this.writes.push(name)
    this.contents.set(name, text)
  }

  async writeAsync(name: string, text: string): Promise<void> {
    this.write(name, text)
  }

  remove(name: string): void {
    this.contents.delete(name)
  }
}

/** Like the real one: pods without a cgroup have no class, and one of somebody else is refused. */
export class FakeClasses extends Map<string, number> implements PodClasses {
  requireAvailable(): void {}

  put(uid: string, classid: number): boolean {
    const found = this.get(uid)
    if (found === undefined) return false
    if (found !== 0 && found !== classid)
      throw new KmeshError('a class of somebody else', {code: 'ForeignClassid'})
    this.set(uid, classid)
    return true
  }

  take(uid: string, classid: number): boolean {
    if (this.get(uid) !== classid) return false
    this.set(uid, 0)
    return true
  }
}

/** Processes of pods: uid -> cookie. The path carries the cookie for the Netns fake. */
export class FakeNode implements Proc, Netns {
  readonly pods = new Map<string, {cookie: bigint; identity: string}>()
  readonly own = new Set(['node-namespace'])
  /** Of namespaces without a process, as CNI has them at first: path -> identity. */
  readonly paths = new Map<string, string>()

  /** Cgroups of net_cls: uid -> class. */
  readonly classes = new FakeClasses()

  run(uid: string, cookie: bigint, identity = `namespace-${cookie}`): void {
    this.pods.set(uid, {cookie, identity})
  }

  async podNamespaces(uids: ReadonlySet<string>): Promise<ReadonlyMap<string, PodNamespace>> {
    const found = [...this.pods].filter(([uid]) => uids.has(uid))
    return new Map(
      found.map(([uid, {cookie, identity}]) => [uid, {path: `/proc/${cookie}/ns/net`, identity}]),
    )
  }

  nodeNamespaces(): ReadonlySet<string> {
    return this.own
  }

  async networkNamespaces(): Promise<readonly PodNamespace[]> {
    const ofPods = [...this.pods.values()].map(({cookie, identity}) => ({
      path: `/proc/${cookie}/ns/net`,
      identity,
    }))
    return [...ofPods, ...[...this.paths].map(([path, identity]) => ({path, identity}))]
  }

  identityOf(path: string): string | undefined {
    const cookie = path.split('/')[2] ?? ''
    const pod = [...this.pods.values()].find((one) => String(one.cookie) === cookie)
    return pod?.identity ?? this.paths.get(path)
  }

  cookie(path: string): bigint {
    if (this.identityOf(path) === undefined) throw new KernelError('open', 2, path)
    return BigInt(path.split('/')[2] ?? '')
  }

  within<T>(): T {
    throw new Error('not used by the agent')
  }

  socket(): number {
    throw new Error('not used by the agent')
  }

  listen(): number {
    throw new Error('not used by the agent')
  }
}

export interface Patch {
  readonly name: string
  readonly body: unknown
}

/** Only merge patches, and reads of `objects` by `resource/namespace/name`; `failWith` answers them with a status. */
export class FakeKube {
  readonly patches: Patch[] = []
  readonly reads: string[] = []
  /** `namespace/pod reason` of each. */
  readonly events: string[] = []
  readonly objects = new Map<string, KubeObject>()
  failWith: number | undefined
  /** After a patch of the claim. */
  onPatch: (key: string, uid: string, annotation: string | null) => void = () => undefined
  /** After any patch of annotations. */
  onAnnotations: (key: string, annotations: Readonly<Record<string, string | null>>) => void = () => undefined
  /** What happens while a read is under way. */
  onRead: () => void = () => undefined

  asKube(): Kube {
    return this as unknown as Kube
  }

  async get(path: {resource: string; namespace?: string; name?: string}): Promise<KubeObject> {
    const key = [path.resource, path.namespace, path.name].filter((part) => part !== undefined).join('/')
    this.reads.push(key)
    await Promise.resolve()
    this.onRead()
    if (this.failWith !== undefined)
      throw new KubeStatusError(this.failWith, 'Test', `status ${this.failWith}`)
    const object = this.objects.get(key)
    if (object === undefined) throw new KubeStatusError(404, 'NotFound', `${key} not found`)
    return object
  }

  async serverVersion(): Promise<{gitVersion: string}> {
    return {gitVersion: 'v1.33.0'}
  }

  async create(_path: object, body: KubeObject): Promise<KubeObject> {
    const {involvedObject, reason} = body as unknown as {involvedObject: {name: string}; reason: string}
    this.events.push(`${body.metadata.namespace}/${involvedObject.name} ${reason}`)
    if (this.failWith !== undefined)
      throw new KubeStatusError(this.failWith, 'Test', `status ${this.failWith}`)
    return body
  }

  async mergePatch(path: {namespace?: string; name?: string}, body: object): Promise<KubeObject> {
    this.patches.push({name: `${path.namespace}/${path.name}`, body})
    if (this.failWith !== undefined)
      throw new KubeStatusError(this.failWith, 'Test', `status ${this.failWith}`)
    const {metadata} = body as {metadata?: {uid?: string; annotations?: Record<string, string | null>}}
    const annotation = metadata?.annotations?.['kmesh.net/redirection']
    if (annotation !== undefined)
      this.onPatch(`${path.namespace}/${path.name}`, metadata?.uid ?? '', annotation)
    this.onAnnotations(`${path.namespace}/${path.name}`, metadata?.annotations ?? {})
    return {metadata: {}}
  }
}

interface Watched {
  readonly handler: InformerHandler<KubeObject>
  readonly transform: (object: KubeObject) => KubeObject
  readonly objects: Map<string, KubeObject>
}

/** A cluster whose changes arrive at once. */
export class FakeInformers implements Informers {
  problem: string | undefined
  readonly #watched = new Map<string, Watched>()

  start<T extends KubeObject>(path: {resource: string}, options: InformerOptions<T>): Informer<T> {
    this.#watched.set(path.resource, {
      handler: options.handler as unknown as InformerHandler<KubeObject>,
      transform: (options.transform ?? ((object: T) => object)) as unknown as Watched['transform'],
      objects: new Map(),
    })
    const informer = {synced: true, get: () => undefined, values: () => [].values(), close: () => {}}
    return Object.defineProperty(informer, 'problem', {get: () => this.problem}) as unknown as Informer<T>
  }

  put(resource: string, object: KubeObject): void {
    const watched = this.#of(resource)
    const key = `${object.metadata.namespace}/${object.metadata.name}`
    const reduced = watched.transform(object)
    const previous = watched.objects.get(key)
    watched.objects.set(key, reduced)
    watched.handler.onChange(reduced, previous)
  }

  remove(resource: string, key: string): void {
    const watched = this.#of(resource)
    const object = watched.objects.get(key)
    watched.objects.delete(key)
    if (object !== undefined) watched.handler.onDelete(object)
  }

  sync(): void {
    for (const {handler} of this.#watched.values()) handler.onSynced?.()
  }

  #of(resource: string): Watched {
    const watched = this.#watched.get(resource)
    if (watched === undefined) throw new Error(`nobody watches ${resource}`)
    return watched
  }
}

export class FakePins implements PinTree {
  readonly #listed: () => readonly string[]
  removed: string[] = []
  isLocked = false

  constructor(listed: () => readonly string[]) {
    this.#listed = listed
  }

  list(directory: string): readonly string[] {
    return this.#listed().filter((pin) => pin.startsWith(`${directory}/`))
  }

  remove(directory: string): void {
    this.removed.push(directory)
  }

  rename(): void {
    throw new Error('these pins do not move')
  }

  lock(directory: string): Disposable {
    if (this.isLocked) throw new ConflictError(`another kmesh-daemon uses ${directory}`)
    this.isLocked = true
    return {
      [Symbol.dispose]: () => {
        this.isLocked = false
      },
    }
  }
}

export function namespace(name: string, mode?: string): Namespace {
  return {metadata: {name, ...(mode === undefined ? {} : {labels: {'istio.io/dataplane-mode': mode}})}}
}

export function pod(
  key: string,
  ips: readonly string[],
  more: Partial<Pod['metadata']> & {spec?: object; phase?: string} = {},
): Pod {
  const [ns = '', name = ''] = key.split('/')
  const {spec, phase = 'Running', ...metadata} = more
  return {
    metadata: {namespace: ns, name, uid: `uid-${name}`, ...metadata},
    spec: {nodeName: 'n1', containers: [], ...spec},
    status: {phase, podIPs: ips.map((ip) => ({ip})), conditions: [{type: 'Ready', status: 'True'}]},
  }
}

export function service(
  key: string,
  ips: readonly string[],
  ports: readonly object[] = [{port: 80}],
  more: object = {},
): Service {
  const [ns = '', name = ''] = key.split('/')
  return {
    metadata: {namespace: ns, name},
    spec: {clusterIPs: ips, ports: ports as never, ...more},
  }
}

/** @param endpoints - `pod=address`, or an address alone for one without a pod; `!` in front: not ready */
export function slice(
  key: string,
  of: string,
  endpoints: readonly string[],
  ports: readonly object[] = [{port: 8080}],
  addressType: EndpointSlice['addressType'] = 'IPv4',
): EndpointSlice {
  const [ns = '', name = ''] = key.split('/')
  return {
    metadata: {namespace: ns, name, labels: {'kubernetes.io/service-name': of}},
    addressType,
    ports: ports as never,
    endpoints: endpoints.map((text) => {
      const ready = !text.startsWith('!')
      const [first = '', second] = text.replace('!', '').split('=')
      const addresses = [second ?? first]
      const targetRef = {kind: 'Pod', namespace: ns, name: first, uid: `uid-${first}`}
      return {addresses, conditions: {ready}, ...(second === undefined ? {} : {targetRef})}
    }),
  }
}
