// SPDX-License-Identifier: Apache-2.0
// Goal: watches resume, tell when they cannot, stay bounded, and are cheap by the hundred.
// Method: the watch function on a store and a fake response and clock; then a real server with many watchers.
import assert from 'node:assert/strict'
import {once} from 'node:events'
import type {ServerResponse} from 'node:http'
import {Writable} from 'node:stream'
import {test} from 'node:test'
import {type TLSSocket, connect as tlsConnect} from 'node:tls'
import type {StoredObject} from '../../../src/lib/sandbox/api/object.ts'
import {resourceRow} from '../../../src/lib/sandbox/api/resources.ts'
import {Store} from '../../../src/lib/sandbox/api/store.ts'
import {serveWatch, type WatchLimits} from '../../../src/lib/sandbox/api/watch.ts'
import {call, watch} from '../../contracts/kube-api-client.ts'
import {startApi} from './api-fixture.ts'

const ROW = resourceRow('configmaps')
const LIMITS: WatchLimits = {backlogBytes: 2000, bookmarkIntervalMs: 60_000, defaultTimeoutMs: 600_000}

function configMap(name: string, text = ''): StoredObject {
  const metadata = {name, namespace: 'shop', uid: name, resourceVersion: '', creationTimestamp: ''}
  return {apiVersion: 'v1', kind: 'ConfigMap', metadata, data: {text}}
}

/** Collects lines; as long as `isStuck` it takes nothing, like a client that does not read. */
class FakeResponse extends Writable {
  readonly lines: string[] = []
  readonly #isStuck: boolean
  constructor(isStuck = false) {
    super({decodeStrings: false})
    this.#isStuck = isStuck
  }
  writeHead(): this {
    return this
  }
  flushHeaders(): void {}
  override _write(chunk: string, _: string, done: () => void): void {
    this.lines.push(chunk)
    if (!this.#isStuck) done()
  }
}

function fakeClock() {
  const timers: {atMs: number; run: () => void}[] = []
  let nowMs = 0
  return {
    clock: {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      sleep: async () => {},
      after: (delayMs: number, run: () => void) => {
        const timer = {atMs: nowMs + delayMs, run}
        timers.push(timer)
        return () => {
          const index = timers.indexOf(timer)
          if (index >= 0) timers.splice(index, 1)
        }
      },
    },
    advance: (byMs: number) => {
      nowMs += byMs
      for (const timer of timers.filter(({atMs}) => atMs <= nowMs)) {
        timers.splice(timers.indexOf(timer), 1)
        timer.run()
      }
    },
    timers,
  }
}

function start(store: Store, query: string, response: FakeResponse, time = fakeClock()): void {
  const as = {shape: 'whole', rowObject: 'Metadata', nowMs: 0} as const
  const request = {row: ROW, query: new URLSearchParams(query), matches: () => true, as}
  serveWatch(store, time.clock, request, response as unknown as ServerResponse, LIMITS)
}

function summary(lines: readonly string[]): string[] {
  return lines.map((line) => {
    const {type, object} = JSON.parse(line)
    return `${type} ${object.metadata?.name ?? object.code ?? ''}`.trim()
  })
}

test('resumes after the version it was given', () => {
  const store = new Store(100)
  const first = store.put(ROW, configMap('a'))
  store.put(ROW, configMap('b'))
  store.remove(ROW, first)
  const response = new FakeResponse()
  start(store, `resourceVersion=${first.metadata.resourceVersion}`, response)
  store.put(ROW, configMap('c'))
  assert.deepEqual(summary(response.lines), ['ADDED b', 'DELETED a', 'ADDED c'])
})

test('a version that is no longer known is 410, also one of an earlier life of the server', () => {
  const store = new Store(100, 8)
  for (let count = 0; count < 20; count += 1) store.put(ROW, configMap(`a${count}`))
  for (const version of ['101', '7']) {
    const response = new FakeResponse()
    start(store, `resourceVersion=${version}`, response)
    assert.deepEqual(summary(response.lines), ['ERROR 410'])
    assert.ok(response.writableEnded)
  }
  const recent = new FakeResponse()
  start(store, `resourceVersion=${store.version - 2}`, recent)
  assert.deepEqual(summary(recent.lines), ['ADDED a18', 'ADDED a19'])
})

test('bookmarks come each minute, and before the watch ends in time', () => {
  const store = new Store(100)
  const time = fakeClock()
  const response = new FakeResponse()
  start(store, 'allowWatchBookmarks=true&timeoutSeconds=90&resourceVersion=100', response, time)
  time.advance(60_000)
  assert.deepEqual(summary(response.lines), ['BOOKMARK'])
  assert.equal(JSON.parse(response.lines[0] ?? '').object.metadata.resourceVersion, '100')
  time.advance(30_000)
  assert.deepEqual(summary(response.lines), ['BOOKMARK', 'BOOKMARK'])
  assert.ok(response.writableEnded)
})

test('a watcher that does not read is dropped, and costs nothing afterwards', async () => {
  const store = new Store(100)
  const time = fakeClock()
  const stuck = new FakeResponse(true)
  start(store, 'resourceVersion=100&allowWatchBookmarks=true', stuck, time)
  for (let count = 0; count < 20; count += 1) store.put(ROW, configMap(`a${count}`, 'x'.repeat(200)))
  assert.ok(stuck.destroyed)
  await new Promise((resolve) => stuck.once('close', resolve))
  assert.equal(time.timers.length, 0)
})

test('100 watchers hear of 200 changes among 1,500 objects', async () => {
  const fixture = await startApi({historyLimit: 8192})
  const access = {server: fixture.server, authorityPem: fixture.authority.certificatePem, ...fixture.admin}
  try {
    await call(access, 'POST', '/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {name: 'many'},
    })
    const path = {group: '', version: 'v1', resource: 'configmaps', namespace: 'many'}
    const make = (name: string) =>
      fixture.kube.create(path, {apiVersion: 'v1', kind: 'ConfigMap', metadata: {name}})
    for (let base = 0; base < 1500; base += 50) {
      await Promise.all(Array.from({length: 50}, (_, index) => make(`c${base + index}`)))
    }
    const {metadata, items} = await fixture.kube.list(path)
    assert.equal(items.length, 1500)
    const url = `/api/v1/namespaces/many/configmaps?watch=1&resourceVersion=${metadata.resourceVersion}`
    const watches = await Promise.all(Array.from({length: 100}, () => watch(access, url)))
    const heard = Promise.all(
      watches.map(async (one) => {
        const names = new Set<string>()
        for (let count = 0; count < 200; count += 1) names.add((await one.next()).object.metadata.name)
        return names.size
      }),
    )
    for (let base = 0; base < 200; base += 20) {
      await Promise.all(Array.from({length: 20}, (_, index) => make(`n${base + index}`)))
    }
    assert.deepEqual(new Set(await heard), new Set([200]))
    for (const one of watches) one.close()
  } finally {
    await fixture.close()
  }
})

test('on a real connection: who stops reading is cut off, the others and the server go on', async () => {
  const fixture = await startApi()
  const access = {server: fixture.server, authorityPem: fixture.authority.certificatePem, ...fixture.admin}
  try {
    await call(access, 'POST', '/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {name: 'big'},
    })
    const stuck = await openStuckWatch(fixture)
    const reader = await watch(access, '/api/v1/namespaces/big/configmaps?watch=1')
    const text = 'x'.repeat(1 << 20)
    for (let count = 0; count < 40; count += 1) {
      const path = '/api/v1/namespaces/big/configmaps'
      const body = {apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: `c${count}`}, data: {text}}
      assert.equal((await call(access, 'POST', path, body)).status, 201)
      assert.equal((await reader.next()).object.metadata.name, `c${count}`)
    }
    stuck.resume()
    let bytes = 0
    stuck.on('data', (chunk) => {
      bytes += chunk.length
    })
    await once(stuck, 'close')
    assert.ok(bytes < 30 << 20, `${bytes} bytes of 40 MB came`)
    reader.close()
  } finally {
    await fixture.close()
  }
})

/** A watch whose client takes nothing from the connection. */
async function openStuckWatch({
  port,
  authority,
  admin,
}: Awaited<ReturnType<typeof startApi>>): Promise<TLSSocket> {
  const socket = tlsConnect({
    host: '127.0.0.1',
    port,
    ca: authority.certificatePem,
    cert: admin.certificatePem,
    key: admin.keyPem,
  })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  socket.pause()
  socket.write('GET /api/v1/namespaces/big/configmaps?watch=1 HTTP/1.1\r\nHost: api\r\n\r\n')
  return socket
}
