// SPDX-License-Identifier: Apache-2.0
/** Fakes of the ports that enroll and interop stand on. */
import {KubeStatusError, UnreachableError} from '../../src/lib/errors.ts'
import type {DaemonTarget, EnrollmentEntry, ReadyReply, VersionReply} from '../../src/lib/model/api.ts'
import type {KubeObject} from '../../src/lib/model/kube.ts'
import type {Admin, AdminDialer, Clock, Kube, KubeListOptions, ResourcePath} from '../../src/lib/ports.ts'

/** Time that jumps to the next timer as soon as nothing else is left to run. */
export class FakeClock implements Clock {
  private now = Date.parse('2026-03-01T12:00:00Z')
  private readonly timers: {readonly at: number; readonly run: () => void}[] = []
  private isPumping = false

  nowMs(): number {
    return this.now
  }

  monotonicMs(): number {
    return this.now
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const cancel = this.after(delayMs, resolve)
      signal?.addEventListener('abort', () => {
        cancel()
        reject(signal.reason)
      })
    })
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = {at: this.now + delayMs, run}
    this.timers.push(timer)
    this.pump()
    return () => {
      const index = this.timers.indexOf(timer)
      if (index >= 0) this.timers.splice(index, 1)
    }
  }

  private pump(): void {
    if (this.isPumping) return
    this.isPumping = true
    setImmediate(() =>
      setImmediate(() => {
        this.isPumping = false
        this.timers.sort((a, b) => a.at - b.at)
        const next = this.timers.shift()
        if (next === undefined) return
        this.now = next.at
        next.run()
        this.pump()
      }),
    )
  }
}

export interface PatchCall {
  readonly path: ResourcePath
  readonly patch: {
    readonly metadata: {readonly resourceVersion: string; readonly labels: Record<string, string | null>}
  }
  readonly dryRun: boolean
}

/** Namespaces and pods in memory; label patches work and check resourceVersion. */
export class FakeKube {
  readonly server = 'https://fake'
  readonly objects: KubeObject[] = []
  readonly patches: PatchCall[] = []
  readonly lists: ResourcePath[] = []
  /** Runs before each patch: the other side of a race, or a failure. */
  beforePatch: (call: PatchCall) => void = () => undefined
  beforeList: (path: ResourcePath) => void = () => undefined

  constructor(...objects: readonly KubeObject[]) {
    this.objects.push(...objects)
  }

  get port(): Kube {
    return this as unknown as Kube
  }

  async get(path: ResourcePath): Promise<KubeObject> {
    return this.find(path)
  }

  async list(path: ResourcePath, options: KubeListOptions = {}) {
    this.beforeList(path)
    this.lists.push(path)
    const items = this.objects.filter(
      (object) => isIn(path, object) && hasLabel(object, options.labelSelector),
    )
    return {metadata: {resourceVersion: '1'}, items}
  }

  async mergePatch(path: ResourcePath, patch: PatchCall['patch'], options: {dryRun?: boolean} = {}) {
    const call = {path, patch, dryRun: options.dryRun ?? false}
    this.patches.push(call)
    this.beforePatch(call)
    const object = this.find(path)
    if (patch.metadata.resourceVersion !== object.metadata.resourceVersion) {
      throw new KubeStatusError(409, 'Conflict', 'the object has been modified')
    }
    if (!call.dryRun) this.label(path, patch.metadata.labels)
    return object
  }

  /** Changes labels as somebody else would; null removes. */
  label(path: ResourcePath, labels: Record<string, string | null>): void {
    this.edit(path, (object) => {
      const merged = Object.entries({...object.metadata.labels, ...labels})
      const kept = merged.filter((entry): entry is [string, string] => entry[1] !== null)
      return {...object.metadata, labels: Object.fromEntries(kept)}
    })
  }

  edit(path: ResourcePath, change: (object: KubeObject) => KubeObject['metadata']): void {
    const object = this.find(path)
    const resourceVersion = String(Number(object.metadata.resourceVersion) + 1)
    const metadata = {...change(object), resourceVersion}
    this.objects[this.objects.indexOf(object)] = {...object, metadata}
  }

  labels(resource: 'pods' | 'namespaces', name: string): KubeObject['metadata']['labels'] {
    return this.objects.find((object) => kindOf(object) === resource && object.metadata.name === name)
      ?.metadata.labels
  }

  private find(path: ResourcePath): KubeObject {
    const found = this.objects.find((object) => isIn(path, object) && object.metadata.name === path.name)
    if (found) return found
    throw new KubeStatusError(404, 'NotFound', `${path.resource} "${path.name}" not found`)
  }
}

function kindOf(object: KubeObject): string {
  return object.metadata.namespace === undefined ? 'namespaces' : 'pods'
}

function isIn(path: ResourcePath, object: KubeObject): boolean {
  const inside = path.namespace === undefined || path.namespace === object.metadata.namespace
  return path.resource === kindOf(object) && inside
}

function hasLabel(object: KubeObject, selector: string | undefined): boolean {
  const [key = '', value] = selector?.split('=') ?? []
  return selector === undefined || object.metadata.labels?.[key] === value
}

/** Answers of one daemon; `entries` is asked anew for each call. */
export interface FakeDaemon {
  readonly version?: Partial<VersionReply>
  readonly ready?: ReadyReply
  readonly entries?: () => readonly EnrollmentEntry[]
  readonly fails?: boolean
}

export const OUR_VERSION = {
  capabilities: ['enrollment'],
  sidecarPolicy: 'exclude',
  existingPods: 'live',
} as const

export function fakeDialer(daemons: Readonly<Record<string, FakeDaemon>>): {
  readonly dialer: AdminDialer
  readonly targets: readonly DaemonTarget[]
  readonly calls: string[]
} {
  const calls: string[] = []
  const dial = (target: DaemonTarget): Admin => {
    const daemon = daemons[target.node] ?? {}
    const call = async (endpoint: string): Promise<unknown> => {
      calls.push(`${target.node} ${endpoint}`)
      if (daemon.fails) throw new UnreachableError('connect', 'connection refused')
      if (endpoint === 'version') return daemon.version ?? OUR_VERSION
      if (endpoint === 'ready') return daemon.ready ?? {ready: true, checks: []}
      return daemon.entries?.() ?? []
    }
    const once = <T>(_fact: string, ask: () => Promise<T>): Promise<T> => ask()
    return {target, call, once, close: async () => undefined} as unknown as Admin
  }
  const targets = Object.keys(daemons).map((node) => ({
    node,
    pod: {namespace: 'kmesh-system', name: `kmesh-${node}`},
  }))
  return {dialer: {dial, close: async () => undefined}, targets, calls}
}
