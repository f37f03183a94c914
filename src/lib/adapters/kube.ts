// SPDX-License-Identifier: Apache-2.0
/** The Kube port over HTTP. */
import {KubeStatusError} from '../errors.ts'
import type {KubeList, KubeObject, WatchEvent} from '../model/kube.ts'
import type {
  Clock,
  Kube,
  KubeListOptions,
  KubeReadOptions,
  KubeWatchOptions,
  KubeWriteOptions,
  Log,
  PortForwardOptions,
  ResourcePath,
} from '../ports.ts'
import {eventOf} from './kube-answers.ts'
import {type Intent, transportError, type Verb} from './kube-errors.ts'
import {KubeHttp} from './kube-http.ts'
import {askAhead, pageFormat} from './kube-pages.ts'
import {listQuery, pathOf, queryOf} from './kube-paths.ts'
import type {Connection} from './kubeconfig.ts'
import {linesOf} from './lines.ts'
import {openPortForward} from './port-forward.ts'

export interface KubeOptions {
  readonly clock: Clock
  readonly log: Log
  /** Limit of a whole request unless the call says otherwise; 0 is none. */
  readonly requestTimeoutMs: number
  /** Name under which fields are owned; default `kmeshctl`. */
  readonly fieldManager?: string
  readonly connectTimeoutMs?: number
  readonly maxBodyBytes?: number
  readonly random?: () => number
  /** Told before each request what it does: `list pods in namespace shop`. */
  readonly onRequest?: (what: string) => void
}

const PAGE = 500
const MAX_BODY_BYTES = 128 * 1024 * 1024
const MAX_EVENT_BYTES = 16 * 1024 * 1024
const CONNECT_TIMEOUT_MS = 3000
const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json'

export function createKube(connection: Connection, options: KubeOptions): Kube {
  const http = new KubeHttp(connection, {
    ...options,
    connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    maxBodyBytes: options.maxBodyBytes ?? MAX_BODY_BYTES,
    random: options.random ?? Math.random,
  })
  return new HttpKube(http, options)
}

class HttpKube implements Kube {
  readonly server: string
  private readonly http: KubeHttp
  private readonly options: KubeOptions

  constructor(http: KubeHttp, options: KubeOptions) {
    this.http = http
    this.options = options
    this.server = http.connection.server
  }

  async get<T extends KubeObject>(path: ResourcePath, options: KubeReadOptions = {}): Promise<T> {
    return (await this.http.json({...read('get', path, options), url: pathOf(path)})) as T
  }

  async list<T extends KubeObject>(path: ResourcePath, options: KubeListOptions = {}): Promise<KubeList<T>> {
    try {
      return await this.listPages(path, options)
    } catch (error) {
      // The server forgot the snapshot between two pages: one more try, from the start.
      if (error instanceof KubeStatusError && error.status === 410) return this.listPages(path, options)
      throw error
    }
  }

  async create<T extends KubeObject>(
    path: ResourcePath,
    body: T,
    options: KubeWriteOptions = {},
  ): Promise<T> {
    return this.write('create', 'POST', path, body, options)
  }

  async update<T extends KubeObject>(
    path: ResourcePath,
    body: T,
    options: KubeWriteOptions = {},
  ): Promise<T> {
    return this.write('update', 'PUT', path, body, options)
  }

  async mergePatch<T extends KubeObject>(
    path: ResourcePath,
    patch: object,
    options: KubeWriteOptions = {},
  ): Promise<T> {
    return this.write('patch', 'PATCH', path, patch, options, 'application/merge-patch+json')
  }

  async delete(
    path: ResourcePath,
    options: KubeWriteOptions & {readonly gracePeriodSeconds?: number} = {},
  ): Promise<void> {
    const {gracePeriodSeconds} = options
    const query = {
      ...(options.dryRun ? {dryRun: 'All'} : {}),
      ...(gracePeriodSeconds === undefined ? {} : {gracePeriodSeconds: String(gracePeriodSeconds)}),
    }
    await this.http.json({
      intent: {verb: 'delete', path},
      method: 'DELETE',
      url: `${pathOf(path)}${queryOf(query)}`,
      signal: options.signal,
      timeoutMs: options.timeoutMs,
    })
  }

  async *watch<T extends KubeObject>(
    path: ResourcePath,
    options: KubeWatchOptions,
  ): AsyncGenerator<WatchEvent<T>, void, undefined> {
    const query = {...listQuery(options), watch: '1', allowWatchBookmarks: 'true'}
    const intent: Intent = {verb: 'watch', path}
    const body = await this.http.open({
      intent,
      method: 'GET',
      url: `${pathOf(path)}${queryOf(query)}`,
      signal: options.signal,
      timeoutMs: options.timeoutMs,
      ...(options.metadataOnly ? {accept: METADATA} : {}),
    })
    const onAbort = (): void => void body.destroy()
    options.signal.addEventListener('abort', onAbort, {once: true})
    try {
      for await (const line of linesOf(body, MAX_EVENT_BYTES)) {
        if (line.trim() !== '') yield projected(eventOf<T>(line, intent), options)
      }
    } catch (error) {
      throw options.signal.aborted
        ? options.signal.reason
        : transportError(error, 'read', this.server, intent)
    } finally {
      options.signal.removeEventListener('abort', onAbort)
      body.on('error', () => undefined).destroy()
    }
    options.signal.throwIfAborted()
  }

  async serverVersion(options: KubeReadOptions = {}): Promise<{readonly gitVersion: string}> {
    const answer = await this.http.json({
      intent: {verb: 'get'},
      method: 'GET',
      url: '/version',
      signal: options.signal,
      timeoutMs: options.timeoutMs,
    })
    const {gitVersion} = answer as {gitVersion?: unknown}
    return {gitVersion: typeof gitVersion === 'string' ? gitVersion : 'unknown'}
  }

  async portForward(
    namespace: string,
    pod: string,
    port: number,
    options: PortForwardOptions,
  ): ReturnType<Kube['portForward']> {
    const credentials = await this.http.credentials()
    const url = `${this.server}/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/portforward?ports=${port}`
    const tls = this.http.tls(credentials)
    return openPortForward({
      url,
      credentials,
      tls,
      namespace,
      pod,
      port,
      clock: this.options.clock,
      ...options,
    })
  }

  close(): Promise<void> {
    return this.http.close()
  }

  private async listPages<T extends KubeObject>(
    path: ResourcePath,
    options: KubeListOptions,
  ): Promise<KubeList<T>> {
    const items: T[] = []
    const format = await pageFormat(path, options)
    const ahead = new Map<string, Promise<KubeList<T>>>()
    const ask = async (from: string | undefined): Promise<KubeList<T>> => {
      const page = await this.http.json({
        ...read('list', path, options),
        url: `${pathOf(path)}${queryOf({...listQuery(options, from), limit: String(PAGE)})}`,
        accept: format.accept,
        read: async (bytes, contentType) => {
          await askAhead(format.continues(bytes, contentType), ask, ahead)
          return format.read(bytes, contentType)
        },
      })
      return page as KubeList<T>
    }
    let next: string | undefined
    for (;;) {
      const page = await (ahead.get(next ?? '') ?? ask(next))
      ahead.delete(next ?? '')
      // One by one: a page has no limit that a server must keep to.
      for (const item of page.items) items.push(item)
      next = page.metadata.continue || undefined
      if (next === undefined) return {metadata: page.metadata, items}
    }
  }

  private async write<T extends KubeObject>(
    verb: Verb,
    method: 'POST' | 'PUT' | 'PATCH',
    path: ResourcePath,
    body: object,
    options: KubeWriteOptions,
    contentType = 'application/json',
  ): Promise<T> {
    const fieldManager = this.options.fieldManager ?? 'kmeshctl'
    const query = {fieldManager, ...(options.dryRun ? {dryRun: 'All'} : {})}
    const answer = await this.http.json({
      intent: {verb, path},
      method,
      url: `${pathOf(path)}${queryOf(query)}`,
      body,
      contentType,
      signal: options.signal,
      timeoutMs: options.timeoutMs,
    })
    return answer as T
  }
}

function projected<T extends KubeObject>(event: WatchEvent<T>, {project}: KubeListOptions): WatchEvent<T> {
  if (project === undefined || event.type === 'BOOKMARK') return event
  return {type: event.type, object: project(event.object) as T}
}

function read(verb: Verb, path: ResourcePath, {signal, timeoutMs}: KubeReadOptions) {
  return {intent: {verb, path}, method: 'GET', signal, timeoutMs} as const
}
