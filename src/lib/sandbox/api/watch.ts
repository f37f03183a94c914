// SPDX-License-Identifier: Apache-2.0
/** One watch request: a stream of JSON lines until somebody ends it. */
import type {ServerResponse} from 'node:http'
import type {Clock} from '../../ports.ts'
import {inVersion, objectJson, partialObject, type StoredObject} from './object.ts'
import {groupVersion, type ResourceRow} from './resource-row.ts'
import type {Predicate} from './selectors.ts'
import {badRequest, invalid, StatusError, toStatusError} from './status.ts'
import type {Change, Store} from './store.ts'
import {type Representation, tableJson} from './table.ts'

export interface WatchRequest {
  readonly row: ResourceRow
  readonly query: URLSearchParams
  readonly matches: Predicate
  readonly as: Representation
}

export interface WatchLimits {
  /** A watcher that lets more than this many bytes pile up is dropped: it lists again and catches up. */
  readonly backlogBytes: number
  readonly bookmarkIntervalMs: number
  readonly defaultTimeoutMs: number
}

export const WATCH_LIMITS: WatchLimits = {
  backlogBytes: 8 << 20,
  bookmarkIntervalMs: 60_000,
  defaultTimeoutMs: 45 * 60_000,
}

/** Answers a watch; returns at once, the stream goes on by itself. */
export function serveWatch(
  store: Store,
  clock: Clock,
  request: WatchRequest,
  response: ServerResponse,
  limits: WatchLimits = WATCH_LIMITS,
): void {
  const {row, query, matches, as} = request
  if (query.get('sendInitialEvents') !== null) {
    const cause = {
      reason: 'FieldValueForbidden',
      message:
        'Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled',
      field: 'sendInitialEvents',
    }
    throw invalid({group: 'meta.k8s.io', kind: 'ListOptions'}, '', [cause])
  }
  const timeoutMs = timeoutOf(query) ?? limits.defaultTimeoutMs
  const since = query.get('resourceVersion') ?? ''
  response.writeHead(200, {'content-type': 'application/json', 'cache-control': 'no-cache, private'})
  response.flushHeaders()

  const send = (line: string): void => {
    // Between the end of a connection and its close event there may still be changes.
    if (response.destroyed || response.writableEnded) return
    response.write(line)
    // A client that does not read must not make us hold its events; it finds the connection closed.
    if (response.writableLength > limits.backlogBytes) response.destroy()
  }
  const onChange = (change: Change): void => {
    const line = changeLine(row, change, matches, as, clock)
    if (line !== undefined) send(line)
  }
  try {
    for (const change of firstChanges(store, row, since)) onChange(change)
  } catch (thrown) {
    response.end(`{"type":"ERROR","object":${JSON.stringify(toStatusError(thrown).body())}}\n`)
    return
  }
  const stopListening = store.listen(row, onChange, () => response.end())
  const bookmarks = query.get('allowWatchBookmarks') === 'true'
  const bookmark = (): void => {
    if (bookmarks) send(bookmarkLine(row, store.version))
  }
  let stopBookmarks = (): void => {}
  const repeat = (): void => {
    stopBookmarks = clock.after(limits.bookmarkIntervalMs, () => {
      bookmark()
      repeat()
    })
  }
  if (bookmarks) repeat()
  const stopTimeout = clock.after(timeoutMs, () => {
    bookmark()
    response.end()
  })
  response.on('close', () => {
    stopListening()
    stopBookmarks()
    stopTimeout()
  })
}

function timeoutOf(query: URLSearchParams): number | undefined {
  const text = query.get('timeoutSeconds')
  if (text === null || text === '0') return undefined
  if (!/^\d{1,9}$/.test(text)) throw badRequest(`timeoutSeconds: "${text}" is not a number of seconds`)
  // Node's timers hold 31 bits of milliseconds.
  return Math.min(Number(text) * 1000, 0x7fffffff)
}

/** Without a version, or with `0`, a watch begins with what is there. */
function firstChanges(store: Store, row: ResourceRow, since: string): Iterable<Change> {
  if (since === '' || since === '0') {
    return [...store.values(row)].map((object) => ({
      type: 'ADDED',
      object,
      previous: undefined,
      version: Number(object.metadata.resourceVersion),
    }))
  }
  if (!/^\d{1,16}$/.test(since)) {
    throw new StatusError(400, 'BadRequest', `resourceVersion: Invalid value: "${since}"`)
  }
  return store.changesSince(row, Number(since))
}

const changeJson = new WeakMap<Change, string>()

/** What one watcher hears: an object that enters or leaves its selection was added or deleted for it. */
function changeLine(
  row: ResourceRow,
  change: Change,
  matches: Predicate,
  as: Representation,
  clock: Clock,
): string | undefined {
  const object = inVersion(row, change.object)
  const now = change.type !== 'DELETED' && matches(change.object)
  const before = change.previous !== undefined && matches(change.previous)
  if (change.type === 'ADDED' ? !now : !now && !before) return undefined
  const type = now ? (before ? 'MODIFIED' : 'ADDED') : 'DELETED'
  if (as.shape === 'whole' && type === change.type && object === change.object) {
    let line = changeJson.get(change)
    if (line === undefined) {
      line = `{"type":"${type}","object":${objectJson(object)}}\n`
      changeJson.set(change, line)
    }
    return line
  }
  return `{"type":"${type}","object":${shaped(row, object, as, clock)}}\n`
}

function shaped(row: ResourceRow, object: StoredObject, as: Representation, clock: Clock): string {
  if (as.shape === 'whole') return objectJson(object)
  if (as.shape === 'metadata') return objectJson(partialObject(object))
  const {resourceVersion} = object.metadata
  return tableJson(row, [object], {...as, nowMs: clock.nowMs()}, {resourceVersion}).trimEnd()
}

function bookmarkLine(row: ResourceRow, version: number): string {
  const metadata = {resourceVersion: String(version), creationTimestamp: null}
  const object = {kind: row.kind, apiVersion: groupVersion(row), metadata}
  return `${JSON.stringify({type: 'BOOKMARK', object})}\n`
}
