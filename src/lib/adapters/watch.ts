// SPDX-License-Identifier: Apache-2.0
/** The Informers port: lists that stay current over disconnects, server restarts and lost history. */
import {KubeStatusError, messageOf} from '../errors.ts'
import {type KubeObject, objectKey, type WatchEvent} from '../model/kube.ts'
import type {Clock, Informer, InformerOptions, Informers, Kube, Log, ResourcePath} from '../ports.ts'

export interface InformersOptions {
  readonly kube: Kube
  readonly clock: Clock
  readonly log: Log
  /** 0 to 1; Math.random but in tests. */
  readonly random?: () => number
  /** A watch without any event, bookmarks included, is opened anew after this time. */
  readonly inactivityMs?: number
}

const INACTIVITY_MS = 120_000
const FIRST_BACKOFF_MS = 200
const MAX_BACKOFF_MS = 10_000
/** A watch that lived this long was a good one: the next failure starts with the first back-off. */
const GOOD_WATCH_MS = 1000
const COMPLAINT_MS = 60_000

export function createInformers(options: InformersOptions): Informers {
  return {
    start: <T extends KubeObject>(path: ResourcePath, wanted: InformerOptions<T>): Informer<T> => {
      const informer = new WatchingInformer<T>(path, wanted, options)
      void informer.run()
      return informer
    },
  }
}

interface Entry<T> {
  readonly object: T
  /** Of the object before it was transformed. Compared for equality only: it is opaque. */
  readonly resourceVersion: string | undefined
  readonly uid: string | undefined
}

class WatchingInformer<T extends KubeObject> implements Informer<T> {
  synced = false
  problem: string | undefined
  private readonly path: ResourcePath
  private readonly wanted: InformerOptions<T>
  private readonly options: InformersOptions
  private readonly entries = new Map<string, Entry<T>>()
  private readonly controller = new AbortController()
  private resourceVersion: string | undefined
  private failures = 0
  private quietUntilMs = 0
  /** Watches in a row that told nothing at all, not even a bookmark. */
  private silent = 0

  constructor(path: ResourcePath, wanted: InformerOptions<T>, options: InformersOptions) {
    this.path = path
    this.wanted = wanted
    this.options = options
  }

  get(key: string): T | undefined {
    return this.entries.get(key)?.object
  }

  *values(): IterableIterator<T> {
    for (const {object} of this.entries.values()) yield object
  }

  close(): void {
    this.controller.abort(new Error('informer closed'))
  }

  /** Lists and watches until it is closed. */
  async run(): Promise<void> {
    const {signal} = this.controller
    while (!signal.aborted) {
      const startMs = this.options.clock.monotonicMs()
      try {
        if (this.resourceVersion === undefined) await this.relist()
        await this.follow()
        await this.pauseAfter(startMs, undefined)
      } catch (error) {
        if (signal.aborted) return
        // History is gone: what happened meanwhile is told by comparing with a fresh list.
        if (error instanceof KubeStatusError && error.status === 410) this.resourceVersion = undefined
        await this.pauseAfter(startMs, error)
      }
    }
  }

  private async relist(): Promise<void> {
    const {labelSelector, fieldSelector, metadataOnly} = this.wanted
    const {signal} = this.controller
    const list = await this.options.kube.list<T>(this.path, {
      labelSelector,
      fieldSelector,
      metadataOnly,
      signal,
    })
    signal.throwIfAborted()
    if (this.silent === 0) this.problem = undefined
    const usable = list.items.filter((object) => this.hasName(object))
    const listed = new Map(usable.map((object) => [objectKey(object), object]))
    if (this.silent > 0 && this.differs(listed)) this.tellSilence()
    for (const [key, entry] of [...this.entries]) {
      if (!listed.has(key)) this.remove(key, entry.object)
    }
    for (const object of listed.values()) this.put(object)
    this.resourceVersion = list.metadata.resourceVersion
    if (!this.synced) {
      this.synced = true
      this.tell(() => this.wanted.handler.onSynced?.())
    }
  }

  private async follow(): Promise<void> {
    const {clock, kube, inactivityMs = INACTIVITY_MS} = this.options
    const {labelSelector, fieldSelector, metadataOnly} = this.wanted
    const watch = new AbortController()
    const quiet = new Error('no event for too long')
    const closed = (): void => watch.abort(this.controller.signal.reason)
    this.controller.signal.addEventListener('abort', closed, {once: true})
    let stop = clock.after(inactivityMs, () => watch.abort(quiet))
    const stopHealthy = clock.after(GOOD_WATCH_MS, () => {
      if (this.silent === 0) this.problem = undefined
    })
    try {
      const options = {labelSelector, fieldSelector, metadataOnly, resourceVersion: this.resourceVersion}
      for await (const event of kube.watch<T>(this.path, {...options, signal: watch.signal})) {
        stop()
        stop = clock.after(inactivityMs, () => watch.abort(quiet))
        this.apply(event)
      }
    } catch (error) {
      if (error !== quiet) throw error
      this.silent += 1
      // Once it may be the network. Twice: what was missed is found by a list, and then again after each silence.
      if (this.silent > 1) this.resourceVersion = undefined
      this.options.log.debug('watch was silent, opening it anew', {resource: this.path.resource})
    } finally {
      stop()
      stopHealthy()
      this.controller.signal.removeEventListener('abort', closed)
    }
  }

  private differs(listed: ReadonlyMap<string, T>): boolean {
    if (listed.size !== this.entries.size) return true
    for (const [key, {metadata}] of listed) {
      const known = this.entries.get(key)
      if (known?.resourceVersion !== metadata.resourceVersion || known?.uid !== metadata.uid) return true
    }
    return false
  }

  /** Stays the problem until an event comes: lists alone keep it current, but late. */
  private tellSilence(): void {
    const {log, inactivityMs = INACTIVITY_MS} = this.options
    if (this.problem === undefined)
      log.warn('watch told nothing while objects changed', {resource: this.path.resource})
    this.problem = `the watch tells nothing while objects change; they are listed every ${inactivityMs / 1000} s`
  }

  private apply({type, object}: WatchEvent<T>): void {
    this.controller.signal.throwIfAborted()
    this.problem = undefined
    this.silent = 0
    if (type !== 'BOOKMARK' && this.hasName(object)) {
      if (type === 'DELETED') this.remove(objectKey(object), this.transformed(object))
      else this.put(object)
    }
    const {resourceVersion} = (object as Partial<T> | null)?.metadata ?? {}
    if (typeof resourceVersion === 'string') this.resourceVersion = resourceVersion
  }

  /** What has no name cannot be kept. Said once a minute at most. */
  private hasName(object: T): boolean {
    const {name, namespace = ''} = ((object as Partial<T> | null)?.metadata ?? {}) as Record<string, unknown>
    if (typeof name === 'string' && name !== '' && typeof namespace === 'string') return true
    const nowMs = this.options.clock.monotonicMs()
    if (nowMs >= this.quietUntilMs)
      this.options.log.warn('an object without a name is left out', {resource: this.path.resource})
    if (nowMs >= this.quietUntilMs) this.quietUntilMs = nowMs + COMPLAINT_MS
    return false
  }

  private put(object: T): void {
    const key = objectKey(object)
    const {resourceVersion, uid} = object.metadata
    const previous = this.entries.get(key)
    if (previous !== undefined && previous.resourceVersion === resourceVersion && previous.uid === uid) return
    // The same name, another object: the old one was deleted while we could not see it.
    const isReplaced = previous !== undefined && previous.uid !== uid
    if (isReplaced) this.remove(key, previous.object)
    const kept = this.transformed(object)
    this.entries.set(key, {object: kept, resourceVersion, uid})
    this.tell(() => this.wanted.handler.onChange(kept, isReplaced ? undefined : previous?.object))
  }

  private remove(key: string, object: T): void {
    if (this.entries.delete(key)) this.tell(() => this.wanted.handler.onDelete(object))
  }

  private transformed(object: T): T {
    return this.wanted.transform === undefined ? object : this.wanted.transform(object)
  }

  /** A handler that throws is a defect; it must not stop the others from being told. */
  private tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.options.log.error('a handler failed', {resource: this.path.resource, error: messageOf(error)})
    }
  }

  /** Before the next try: nothing after a good watch or the first 410, else a growing time with jitter. */
  private async pauseAfter(startMs: number, error: unknown): Promise<void> {
    const {clock, log, random = Math.random} = this.options
    const isGood = clock.monotonicMs() - startMs >= GOOD_WATCH_MS
    if (isGood) this.failures = 0
    if (error !== undefined) {
      this.problem = messageOf(error)
      log.warn('watch failed', {resource: this.path.resource, error: this.problem})
    }
    const isFirstExpiry = this.resourceVersion === undefined && this.synced && this.failures === 0
    if ((error === undefined && isGood) || isFirstExpiry) {
      this.failures += isFirstExpiry ? 1 : 0
      return
    }
    const limitMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.failures)
    this.failures += 1
    await clock.sleep(limitMs * (0.5 + random() / 2), this.controller.signal).catch(() => undefined)
  }
}
