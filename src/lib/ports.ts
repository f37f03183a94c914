// SPDX-License-Identifier: Apache-2.0
/**
 * The outside as this project sees it. Only adapters implement these, only the
 * wiring files name an adapter, everything else receives what it needs.
 */
import type {Duplex} from 'node:stream'
import type {DaemonTarget, EndpointName, Params, Reply} from './model/api.ts'
import type {SidecarRulesState} from './model/bypass.ts'
import type {KubeList, KubeObject, WatchEvent} from './model/kube.ts'
import type {LevelLease} from './model/level-lease.ts'

/** Time. Tests bring their own; nothing but adapters reads the system's. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number
  /** Milliseconds of a clock that never goes back. */
  monotonicMs(): number
  /** Resolves after `delayMs`; rejects with the signal's reason when it is aborted first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>
  /** Calls `run` once after `delayMs`, unless the returned function was called before. Keeps no process alive. */
  after(delayMs: number, run: () => void): () => void
}

export type LogFields = Readonly<Record<string, unknown>>

/** Leveled log of one part of a program. Never gets secrets. */
export interface Log {
  trace(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

// ---------------------------------------------------------------- Kubernetes

/** Names a collection or, with `name`, an object: `/api/v1/namespaces/shop/pods/web-1/scale`. */
export interface ResourcePath {
  /** `''` is the core group. */
  readonly group: string
  readonly version: string
  /** Plural in lower case: `pods`, `endpointslices`. */
  readonly resource: string
  readonly namespace?: string | undefined
  readonly name?: string
  readonly subresource?: string
}

export interface KubeReadOptions {
  readonly signal?: AbortSignal | undefined
  /** Whole request; default is the adapter's request timeout. 0 is none. */
  readonly timeoutMs?: number | undefined
}

/** Members of an object: `true` keeps one whole, a tree its members; of a list, those of each element. */
export interface FieldTree {
  readonly [member: string]: true | FieldTree
}

export interface KubeListOptions extends KubeReadOptions {
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** `'0'` allows an answer from the server's cache. */
  readonly resourceVersion?: string | undefined
  /** Ask for PartialObjectMetadata: no spec, no status. */
  readonly metadataOnly?: boolean | undefined
  /** Members that are used, see {@link FieldTree}; a server sends the others all the same, they are dropped unread. */
  readonly fields?: FieldTree | undefined
  /** Reduces each object as its page (or event) comes, so that a large list is never held whole. */
  readonly project?: ((object: KubeObject) => KubeObject) | undefined
}

export interface KubeWriteOptions extends KubeReadOptions {
  /** Adds `dryRun=All`: the server does all but store. */
  readonly dryRun?: boolean | undefined
}

export interface KubeWatchOptions extends KubeListOptions {
  readonly signal: AbortSignal
}

/**
 * Typed requests to one API server. Every request carries the credentials and
 * impersonation headers of its configuration. Reads are retried on 429 and
 * passing server errors, writes never.
 *
 * @throws KubeStatusError, DeniedError (401, 403), UnreachableError, TimeoutError
 */
export interface Kube {
  /** Server URL, for messages. */
  readonly server: string
  get<T extends KubeObject>(path: ResourcePath, options?: KubeReadOptions): Promise<T>
  /** All pages (500 objects each); fails whole when one page fails. */
  list<T extends KubeObject>(path: ResourcePath, options?: KubeListOptions): Promise<KubeList<T>>
  create<T extends KubeObject>(path: ResourcePath, body: T, options?: KubeWriteOptions): Promise<T>
  update<T extends KubeObject>(path: ResourcePath, body: T, options?: KubeWriteOptions): Promise<T>
  /** JSON merge patch with `fieldManager=kmeshctl` (or what the adapter was told). */
  mergePatch<T extends KubeObject>(path: ResourcePath, patch: object, options?: KubeWriteOptions): Promise<T>
  delete(
    path: ResourcePath,
    options?: KubeWriteOptions & {readonly gracePeriodSeconds?: number},
  ): Promise<void>
  /**
   * One watch, as the server gives it: ends when the server ends it, throws KubeStatusError 410 when
   * `resourceVersion` is too old. Reconnecting is the business of {@link Informers}.
   */
  watch<T extends KubeObject>(path: ResourcePath, options: KubeWatchOptions): AsyncIterable<WatchEvent<T>>
  /** `GET /version`. */
  serverVersion(options?: KubeReadOptions): Promise<{readonly gitVersion: string}>
  /**
   * One TCP connection to `127.0.0.1:port` inside the pod, over WebSocket `v4.channel.k8s.io`.
   * The stream ends when the pod's side ends; an error of the node destroys it with an UnreachableError.
   */
  portForward(namespace: string, pod: string, port: number, options: PortForwardOptions): Promise<Duplex>
  close(): Promise<void>
}

export interface PortForwardOptions {
  readonly connectTimeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** Bytes of the pod arrived: how many. */
  readonly onData?: ((bytes: number) => void) | undefined
}

/** What an informer tells. Objects are in the store before the call. */
export interface InformerHandler<T> {
  /** Added or changed; also for each object of the first list and of every relist that differs. */
  onChange(object: T, previous: T | undefined): void
  onDelete(object: T): void
  /** The first list is complete and every object of it was handed out. */
  onSynced?(): void
}

export interface InformerOptions<T> {
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  readonly metadataOnly?: boolean | undefined
  /** Reduces an object to what is used, before it is kept. */
  readonly transform?: ((object: T) => T) | undefined
  readonly handler: InformerHandler<T>
}

/** A list that is kept current until it is closed, over disconnects and 410. */
export interface Informer<T> {
  readonly synced: boolean
  /** Message of the last failure while the watch is down, else undefined. */
  readonly problem: string | undefined
  get(key: string): T | undefined
  values(): IterableIterator<T>
  close(): void
}

export interface Informers {
  start<T extends KubeObject>(path: ResourcePath, options: InformerOptions<T>): Informer<T>
}

// ---------------------------------------------------------------- daemons

/** One daemon's admin endpoint, over whatever leads there. */
export interface Admin {
  readonly target: DaemonTarget
  /**
   * One request with a JSON (or text, see {@link Reply}) answer.
   * @throws UnreachableError, TimeoutError, DaemonError (status and the daemon's text)
   */
  call<E extends EndpointName>(endpoint: E, params: Params<E>, options?: KubeReadOptions): Promise<Reply<E>>
  /** The lines of a newline-delimited JSON answer, each one parsed, as many as came together; limits on line length hold. */
  lines<E extends EndpointName>(
    endpoint: E,
    params: Params<E>,
    options?: KubeReadOptions,
  ): AsyncIterable<readonly Readonly<Record<string, unknown>>[]>
  /** The members of a JSON object as they come, lists element by element: limits hold for each element. */
  members<E extends EndpointName>(
    endpoint: E,
    params: Params<E>,
    options?: KubeReadOptions,
  ): AsyncIterable<readonly Member[]>
  /** Status of a HEAD request to any path, to find out what an unknown daemon knows. Throws no DaemonError. */
  head(path: string, options?: KubeReadOptions): Promise<number>
  /** Status of a GET whose body is dropped unread, for servers that do not know HEAD. Throws no DaemonError. */
  peek(path: string, options?: KubeReadOptions): Promise<number>
  /** Status and text of an endpoint, whatever the status is. */
  text<E extends EndpointName>(
    endpoint: E,
    params: Params<E>,
    options?: KubeReadOptions,
  ): Promise<{readonly status: number; readonly text: string}>
  /** What `ask` found the first time it was asked about this daemon in this run; failures are asked again. */
  once<T>(fact: 'dialect' | 'mode', ask: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** Part of a JSON object that is read as it comes. A list is told by an empty list, then by its elements. */
export interface Member {
  readonly name: string
  /** An element of the list `name`. */
  readonly isItem: boolean
  readonly value: unknown
}

/** Opens admin endpoints. `dial` connects nothing yet: the first request does. */
export interface AdminDialer {
  dial(target: DaemonTarget): Admin
  /** Undefined where no tunnel leads to the daemons. */
  readonly tunnels?: Tunnels | undefined
  /** Closes every endpoint that was dialled. */
  close(): Promise<void>
}

/** What becomes of one daemon's way through the API server. */
export interface TunnelListener {
  opened(): void
  /** Bytes of the daemon arrived: how many. */
  heard(bytes: number): void
  /** The handshake failed: the API server is busy, it dropped us, or this one node cannot be reached. */
  failed(why: 'busy' | 'dropped' | 'node'): void
  /** The handshake is tried again. */
  retried(): void
}

export interface Tunnels {
  /** One listener a target; returns what ends it. */
  listen(target: DaemonTarget, listener: TunnelListener): () => void
}

export interface StoredLease extends LevelLease {
  /** The kmeshctl that wrote it still runs. */
  readonly isHeld: boolean
}

/** Leases that kmeshctl keeps for daemons that cannot; they outlive a kill. */
export interface LeaseFiles {
  list(): readonly StoredLease[]
  /** On disk, held by this process, when it returns. Replaces the one of the same server, node and logger. */
  write(lease: LevelLease): void
  remove(lease: LevelLease): void
}

// ---------------------------------------------------------------- kernel

export interface BpfMapInfo {
  readonly id: number
  /** At most 15 characters, as the kernel has it. */
  readonly name: string
  /** Kernel's number of the type: 1 hash, 2 array, 24 sk_storage, 27 ringbuf. */
  readonly type: number
  readonly keyBytes: number
  readonly valueBytes: number
  readonly maxEntries: number
  /** Of BPF_MAP_CREATE. */
  readonly flags: number
}

/** A map as an object file asks for it; the globals' one under our name. */
export type BpfMapLayout = Omit<BpfMapInfo, 'id'>

/** Entries as the kernel has them, back to back; entry i starts at `i * keyBytes`. */
export interface BpfBatch {
  readonly count: number
  readonly keys: Uint8Array
  readonly values: Uint8Array
}

/** One open map. Every method throws KernelError, `errno` as bpf(2) gives it. */
export interface BpfMap extends Disposable {
  readonly info: BpfMapInfo
  lookup(key: Uint8Array): Uint8Array | undefined
  /** Creates or replaces. KernelError errno 7 (E2BIG) or 12: the map is full. */
  update(key: Uint8Array, value: Uint8Array): void
  /** Returns false where the key was not there. */
  delete(key: Uint8Array): boolean
  /** Writes many in as few system calls as the kernel allows; on failure `KernelError`, some may be written. */
  updateBatch(batch: BpfBatch): void
  /**
   * Reads the whole map in steps of about `chunkEntries`. Not a snapshot: entries that change meanwhile may
   * be missed; none comes twice unless it was deleted and made again.
   */
  read(chunkEntries?: number): Iterable<BpfBatch>
}

/** Bounded reader of a BPF ring buffer; never blocks. */
export interface BpfRing extends Disposable {
  /** Hands at most `maxRecords` records to `onRecord` (valid during the call only); returns how many there were. */
  drain(maxRecords: number, onRecord: (record: Uint8Array) => void): number
  /** Records that the kernel dropped because the buffer was full, where it tells; else 0. */
  readonly dropped: number
}

/** Where one program of the object is attached and pinned. */
export interface BpfAttachment {
  /** Function name of the program in the object. */
  readonly program: string
  /** Absolute path of the pinned link. */
  readonly linkPin: string
  readonly cgroupPath: string
}

export interface BpfLoadRequest {
  readonly objectFile: string
  /** Map name in the object -> absolute pin path. A pin that exists and fits is adopted, else one is made. */
  readonly mapPins: Readonly<Record<string, string>>
  /** Map name -> max_entries, instead of the object's. */
  readonly mapSizes: Readonly<Record<string, number>>
  readonly attachments: readonly BpfAttachment[]
}

export interface BpfLoadResult {
  readonly adoptedMaps: readonly string[]
  readonly createdMaps: readonly string[]
  /** Links that were there and now run the new program; no connection passed without one. */
  readonly replacedLinks: readonly string[]
  readonly createdLinks: readonly string[]
}

export interface Bpf {
  /** Maps of an object file; the kernel is not told. @throws KernelError when it is no BPF object */
  layouts(objectFile: string): readonly BpfMapLayout[]
  /** Loads the object, adopts or pins maps, attaches or swaps programs under their pinned links. All or nothing. */
  load(request: BpfLoadRequest): BpfLoadResult
  openPinned(pinPath: string): BpfMap
  openRing(pinPath: string): BpfRing
  /** Removes a pin; the object goes when nothing else holds it. No error where there is none. */
  unpin(pinPath: string): void
}

/** Network namespaces, each named by a path such as `/proc/4711/ns/net`. */
export interface Netns {
  /** Runs `run` inside and comes back before anything else can run; `run` must not await. */
  within<T>(namespacePath: string, run: () => T): T
  /** The kernel's number of the namespace, as connect hooks see it (`SO_NETNS_COOKIE`). */
  cookie(namespacePath: string): bigint
  /** Descriptor of a fresh TCP socket made inside: `new net.Socket({fd}).connect(...)` connects from there. */
  socket(namespacePath: string, family: 4 | 6): number
  /** Descriptor of a listening TCP socket inside, for `server.listen({fd})`. */
  listen(namespacePath: string, address: string, port: number): number
}

/**
 * Rules in a pod's network namespace that keep its traffic away from its sidecar (iptables, IPv4 and IPv6). With a
 * `cookie`, in decimal, only where the path leads to that namespace: else KmeshError `NamespaceChanged`, and nothing
 * is done. The path is followed once, whatever it leads to meanwhile.
 */
export interface SidecarRules {
  /** Reads only. @throws CommandError, KernelError; KmeshError `MissingTool`, `BadRules`, `BusyRules`, `TooLarge` */
  look(namespacePath: string, cookie?: string): Promise<SidecarRulesState>
  /**
   * RETURN at position 1 of PREROUTING and OUTPUT of table nat, once, in the backend that holds Istio's chains, in
   * both while neither does; needless and doubled ones go. Repeated it changes nothing. All of it or nothing.
   *
   * @returns what stands there afterwards; nothing was changed where `redirection` is `tproxy` or `nftables`
   * @throws as `look`; KmeshError `IptablesLocked`, `NoIptables`, and `IptablesHalfDone` where undoing failed, too
   */
  put(namespacePath: string, cookie?: string): Promise<SidecarRulesState>
  /** Takes out what is ours and nothing else. @throws as `put` */
  remove(namespacePath: string, cookie?: string): Promise<void>
}

// ---------------------------------------------------------------- processes

export interface CommandRequest {
  readonly file: string
  readonly args: readonly string[]
  readonly input?: string | undefined
  /** Network namespace to run in; default is the caller's. */
  readonly namespacePath?: string | undefined
  readonly cgroupPath?: string | undefined
  readonly user?: number | undefined
  readonly group?: number | undefined
  /** The whole environment; default is the caller's. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Default 10 s; SIGKILL when it passes. */
  readonly timeoutMs?: number | undefined
}

/** A long-running process. It outlives the caller unless somebody kills it. */
export interface ProcessRequest {
  readonly file: string
  readonly args: readonly string[]
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  readonly workingDir?: string | undefined
  /** stdout and stderr are appended there. */
  readonly outputFile: string
  readonly namespacePath?: string | undefined
  /** Directory of the cgroup that it is in from its first instruction on. */
  readonly cgroupPath?: string | undefined
  readonly user?: number | undefined
  readonly group?: number | undefined
}

export interface ProcessExit {
  /** null where a signal ended it. */
  readonly exitCode: number | null
  readonly signal: string | null
}

export interface RunningProcess {
  readonly pid: number
  readonly exited: Promise<ProcessExit>
  /** No error where it is gone. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void
}

/** Programs of this machine. */
export interface Commands {
  /**
   * Runs to the end and gives what it printed to stdout.
   * @throws CommandError `CommandFailed` with the program, its exit status, its stderr and stdout; KmeshError of that code where it did not start
   */
  run(request: CommandRequest): Promise<string>
  /** @throws KmeshError `CommandFailed` where it cannot be started */
  start(request: ProcessRequest): Promise<RunningProcess>
}

// ---------------------------------------------------------------- files of the node agent

/** Small files of one folder that survive a crash. Names are plain file names. */
export interface StateFiles {
  /** Undefined where there is no such file. */
  read(name: string): string | undefined
  /** Replaces the file whole: written beside it, flushed to disk, renamed. */
  write(name: string, text: string): void
  /** The same without blocking; calls for one name must not overlap. */
  writeAsync(name: string, text: string): Promise<void>
  /** With what interrupted writes left; no error where there is none. */
  remove(name: string): void
}

/** A plain file as it was read. */
export interface NodeFile {
  /** Behind symbolic links. */
  readonly path: string
  readonly bytes: Uint8Array
  readonly modifiedMs: number
}

/**
 * Files of the node that other programs read and write, too. Paths are absolute. A write is made beside the file,
 * under a name that no CNI runtime reads, flushed and renamed. Errors are those of the file system.
 */
export interface NodeFiles {
  /** Names in the folder, in byte order; undefined where there is no folder. */
  names(directory: string): readonly string[] | undefined
  /** Undefined where nothing is. @throws KmeshError `NotAFile`, `TooLarge` */
  read(path: string, maxBytes: number): NodeFile | undefined
  /**
   * Replaces what was read; mode and owner stay. A symbolic link stays, too: its target is replaced.
   * @throws ConflictError where the file is another one by now; then nothing is changed
   */
  replace(file: NodeFile, bytes: Uint8Array): void
  /** Makes or replaces a file of this mode; returns false where it is there already. */
  write(path: string, bytes: Uint8Array, mode: number): boolean
  /** Copies, with the time of its last change; returns false where size and that time are the same already. */
  copy(source: string, path: string, mode: number): Promise<boolean>
  /** Returns false where nothing was. */
  remove(path: string): boolean
  /** Removes what interrupted writes left in the folder. */
  sweep(directory: string): void
  /** Returns false where it is there already; the folder above must exist. */
  makeDirectory(directory: string, mode: number): boolean
  /** Returns false where it is not there or not empty. */
  removeDirectory(directory: string): boolean
  /** Keeps other agents off the folder while the process lives. @throws ConflictError `AlreadyRunning` */
  lock(directory: string): Disposable
  /** Calls after something in the folder has changed; may miss changes, may call without one. */
  watch(directory: string, onChange: () => void): Disposable
}

/** What a program other than this one needs to ask the API server in our name. Secret. */
export interface KubeAccess {
  readonly server: string
  /** PEM. */
  readonly ca: string | undefined
  readonly serverName: string | undefined
  readonly skipsVerification: boolean
  /** PEM. */
  readonly certificate: string | undefined
  readonly key: string | undefined
  readonly token: string | undefined
}

export interface PodNamespace {
  /** `<proc>/<pid>/ns/net` of the pod's process with the lowest id. */
  readonly path: string
  /** Tells namespaces apart while they live: device and inode. */
  readonly identity: string
}

/** Finds pods among the processes of this machine. */
export interface Proc {
  /** Network namespaces of those of the pods (by uid, as cgroup paths spell it) that have a process. */
  podNamespaces(uids: ReadonlySet<string>): Promise<ReadonlyMap<string, PodNamespace>>
  /** Identities of this process's and of process 1's network namespace: never a pod's. */
  nodeNamespaces(): ReadonlySet<string>
  /** Every network namespace that a process is in, or that is mounted where process 1 sees it; each once. */
  networkNamespaces(): Promise<readonly PodNamespace[]>
  /** Identity of the network namespace of that path; undefined where there is none. */
  identityOf(path: string): string | undefined
}

/** Class ids (cgroup v1 net_cls) of the cgroups of pods, by uid as cgroup paths spell it. Throws KmeshError. */
export interface PodClasses {
  /** @throws KmeshError `NoNetCls` where it is not mounted */
  requireAvailable(): void
  /** Of the pod's own cgroup; undefined where it has none. */
  get(uid: string): number | undefined
  /** Sets it for the pod's cgroup and all below; false where it has none. @throws KmeshError `ForeignClassid` */
  put(uid: string, classid: number): boolean
  /** Sets those that have this one to 0; false where there was none. */
  take(uid: string, classid: number): boolean
}

/** The directory tree of pins on a BPF file system. */
export interface PinTree {
  /** Absolute paths of every pin below, sorted; empty where the directory is missing. */
  list(directory: string): readonly string[]
  /** Removes the directory with all pins below; no error where there is none. */
  remove(directory: string): void
  /** A pin or a directory of pins, in one step; a pin that has the new name is replaced. */
  rename(from: string, to: string): void
  /** Keeps other agents off this directory while the process lives. @throws ConflictError, KmeshError when it is no bpffs */
  lock(directory: string): Disposable
}
