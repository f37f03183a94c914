// SPDX-License-Identifier: Apache-2.0
/** Just enough of a Kubernetes API for a real kmesh-daemon: lists, watches and merge patches, over plain HTTP. */
import {writeFileSync} from 'node:fs'
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http'
import type {AddressInfo} from 'node:net'
import type {KubeObject} from '../../src/lib/model/kube.ts'

interface Watcher {
  readonly resource: string
  readonly response: ServerResponse
}

type Stored = KubeObject & {metadata: {resourceVersion?: string; annotations?: Record<string, string>}}

export class HttpApi {
  readonly patches: {readonly path: string; readonly body: unknown}[] = []
  /** Status for the next patches instead of doing them. */
  failPatchesWith: number | undefined
  readonly #objects = new Map<string, Map<string, Stored>>()
  readonly #watchers = new Set<Watcher>()
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  #version = 100

  async start(kubeconfig: string): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const {port} = this.#server.address() as AddressInfo
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {name: 'a', cluster: {server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true}},
      ],
      users: [{name: 'a', user: {token: 't'}}],
      contexts: [{name: 'a', context: {cluster: 'a', user: 'a'}}],
      'current-context': 'a',
    }
    writeFileSync(kubeconfig, JSON.stringify(config))
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  /** Creates or replaces. */
  put(resource: string, object: object): void {
    this.#version += 1
    const stored = structuredClone(object) as Stored
    stored.metadata.resourceVersion = String(this.#version)
    const all = this.#all(resource)
    const type = all.has(keyOf(stored)) ? 'MODIFIED' : 'ADDED'
    all.set(keyOf(stored), stored)
    this.#tell(resource, type, stored)
  }

  get(resource: string, key: string): Stored | undefined {
    return this.#all(resource).get(key)
  }

  remove(resource: string, key: string): void {
    const stored = this.#all(resource).get(key)
    this.#all(resource).delete(key)
    this.#version += 1
    if (stored === undefined) return
    stored.metadata.resourceVersion = String(this.#version)
    this.#tell(resource, 'DELETED', stored)
  }

  #all(resource: string): Map<string, Stored> {
    const all = this.#objects.get(resource) ?? new Map<string, Stored>()
    this.#objects.set(resource, all)
    return all
  }

  #tell(resource: string, type: string, object: unknown): void {
    for (const watcher of this.#watchers) {
      if (watcher.resource === resource) watcher.response.write(`${JSON.stringify({type, object})}\n`)
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://api')
    const parts = url.pathname.split('/').filter((part) => part !== '')
    const rest = parts.slice(parts[0] === 'api' ? 2 : 3)
    response.setHeader('Content-Type', 'application/json')
    if (request.method === 'PATCH') return this.#patch(request, response, rest)
    const resource = rest.at(-1) ?? ''
    if (url.searchParams.get('watch') === 'true' || url.searchParams.get('watch') === '1') {
      const watcher = {resource, response}
      this.#watchers.add(watcher)
      response.on('close', () => this.#watchers.delete(watcher))
      response.flushHeaders()
      return
    }
    if (rest.length === 2 || rest.length === 4) return this.#one(response, rest)
    const items = [...this.#all(resource).values()]
    const metadata = {resourceVersion: String(this.#version)}
    response.end(JSON.stringify({kind: 'List', apiVersion: 'v1', metadata, items}))
  }

  #one(response: ServerResponse, rest: readonly string[]): void {
    const [first = '', second = '', third = '', fourth] = rest
    const found = rest.length === 2 ? this.get(first, second) : this.get(third, `${second}/${fourth}`)
    const none = {kind: 'Status', code: 404, message: 'not found', reason: 'NotFound'}
    response.statusCode = found === undefined ? 404 : 200
    response.end(JSON.stringify(found ?? none))
  }

  async #patch(request: IncomingMessage, response: ServerResponse, rest: readonly string[]): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const body = JSON.parse(Buffer.concat(chunks).toString())
    this.patches.push({path: rest.join('/'), body})
    const [, namespace, resource = '', name] = rest
    const stored = this.get(resource, `${namespace}/${name}`)
    const status = this.failPatchesWith ?? (stored === undefined ? 404 : 200)
    if (status !== 200 || stored === undefined) {
      response.writeHead(status)
      response.end(JSON.stringify({kind: 'Status', code: status, message: 'no', reason: 'Test'}))
      return
    }
    const next = structuredClone(stored)
    const annotations: Record<string, string> = {...next.metadata.annotations}
    for (const [key, value] of Object.entries(body.metadata.annotations)) {
      if (value === null) delete annotations[key]
      else annotations[key] = String(value)
    }
    next.metadata.annotations = annotations
    this.put(resource, next)
    response.end(JSON.stringify(this.get(resource, `${namespace}/${name}`)))
  }
}

function keyOf({metadata}: KubeObject): string {
  return metadata.namespace === undefined ? String(metadata.name) : `${metadata.namespace}/${metadata.name}`
}
