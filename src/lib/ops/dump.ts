// SPDX-License-Identifier: Apache-2.0
/** Dumps BPF maps of many daemons. */
import {KmeshError} from '../errors.ts'
import {backendOf, memoryWarnings} from '../model/backend.ts'
import {type MapFilter, type MapItem, matchesFilter, sortItems} from '../model/map-item.ts'
import {compareText, type Report, type ReportError, type ReportWarning} from '../model/report.ts'
import type {Admin} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {type FoundDaemon, findDaemons} from './daemons.ts'
import {readDialect} from './dialect.ts'
import {type Entry, type MapSource, openMaps} from './dump-read.ts'
import {fanOut, targetError} from './fan-out.ts'

export interface DumpRequest {
  /** Empty: every map that can be read. */
  readonly maps: readonly string[]
  readonly filter: MapFilter
  /** With the bytes of keys and values. */
  readonly raw: boolean
}

/** Takes one entry; the daemon is read no faster than this resolves. */
export type MapSink = (item: MapItem) => Promise<void> | void

export type DumpOutcome = Omit<Report<MapItem>, 'items'>

/** Everything, sorted by node, map and key. Holds all entries that pass the filter. */
export async function collectMaps(access: DaemonAccess, request: DumpRequest): Promise<Report<MapItem>> {
  const items: MapItem[] = []
  const {kind, summary, errors, warnings} = await streamMaps(access, request, (item) => {
    items.push(item)
  })
  return {kind, summary, items: sortItems(items), errors, warnings}
}

/** Hands entries over as they come, daemons interleaved; holds none. */
export async function streamMaps(
  access: DaemonAccess,
  request: DumpRequest,
  sink: MapSink,
): Promise<DumpOutcome> {
  const output: {failure?: {readonly error: unknown}} = {}
  // Once our own output failed nothing more is read: every daemon stops at its next entry.
  const guarded: MapSink = async (item) => {
    if (output.failure !== undefined) throw output.failure.error
    try {
      await sink(item)
    } catch (error) {
      output.failure ??= {error}
      throw error
    }
  }
  const {answers, errors, summary} = await fanOut(access, await findDaemons(access), (admin, daemon) =>
    dumpDaemon(access, admin, daemon, request, guarded),
  )
  if (output.failure !== undefined) throw output.failure.error
  const values = answers.map(({value}) => value)
  const failures = values.flatMap((value) => value.failures)
  const failed = values.filter((value) => value.failures.length > 0).length
  return {
    kind: 'MapEntryList',
    summary: {
      ...summary,
      ok: summary.ok - failed,
      failed: summary.failed + failed,
      entries: sum(values.map((value) => value.entries)),
      filteredOut: sum(values.map((value) => value.filteredOut)),
    },
    errors: [...errors, ...failures].sort((a, b) => compareText(a.node, b.node)),
    warnings: [
      ...keyWarnings(values),
      ...skippedWarnings(values),
      ...memoryWarnings(
        values.filter(({inMemory}) => inMemory).map(({node}) => node),
        'no kernel holds these entries',
      ),
    ],
  }
}

interface DaemonDump {
  readonly node: string
  readonly hasKeys: boolean
  readonly inMemory: boolean
  readonly skipped: ReadonlyMap<string, string>
  readonly failures: readonly ReportError[]
  readonly entries: number
  readonly filteredOut: number
}

async function dumpDaemon(
  access: DaemonAccess,
  admin: Admin,
  daemon: FoundDaemon,
  request: DumpRequest,
  sink: MapSink,
): Promise<DaemonDump> {
  const dialect = await readDialect(admin, access.signal)
  const podIp = daemon.podObject?.status?.podIP
  const source = await openMaps(admin, dialect, {podIp, signal: access.signal})
  const failures: ReportError[] = []
  const startMs = access.clock.monotonicMs()
  const fail = (error: unknown): void => {
    failures.push(targetError(error, daemon.target, access.clock.monotonicMs() - startMs))
  }
  const maps = (request.maps.length > 0 ? request.maps : source.readable).filter((map) => {
    const error = mapError(source, map)
    if (error !== undefined) fail(error)
    return error === undefined
  })
  const counts = {entries: 0, filteredOut: 0}
  for await (const entry of maps.length === 0 ? [] : source.entries(maps)) {
    if ('error' in entry) {
      fail(entry.error)
      continue
    }
    const item = itemOf(daemon, entry, request)
    if (!matchesFilter(item, request.filter)) {
      counts.filteredOut += 1
      continue
    }
    counts.entries += 1
    const taken = sink(item)
    if (taken !== undefined) await taken
  }
  const skipped = request.maps.length > 0 ? new Map<string, string>() : source.unreadable
  const inMemory = backendOf(dialect.version) === 'memory'
  return {node: daemon.target.node, hasKeys: source.hasKeys, inMemory, skipped, failures, ...counts}
}

function itemOf({target}: FoundDaemon, {keyHex, valueHex, ...entry}: Entry, {raw}: DumpRequest): MapItem {
  const hex = raw ? {keyHex: keyHex ?? null, valueHex: valueHex ?? null} : {}
  return {node: target.node, pod: target.pod?.name ?? null, ...entry, ...hex}
}

/** Why a map cannot be read; undefined: it can. */
function mapError({readable, unreadable}: MapSource, map: string): KmeshError | undefined {
  if (readable.includes(map)) return undefined
  const type = unreadable.get(map)
  if (type !== undefined) {
    return new KmeshError(`map ${map} (${type}) cannot be listed by user space`, {code: 'MapNotReadable'})
  }
  return new KmeshError(`there is no map '${map}'`, {
    code: 'UnknownMap',
    parameter: 'MAP',
    hints: [`maps are ${readable.join(', ')}`],
  })
}

function keyWarnings(dumps: readonly DaemonDump[]): ReportWarning[] {
  const nodes = dumps.filter(({hasKeys}) => !hasKeys).map(({node}) => node)
  if (nodes.length === 0) return []
  const where = nodes.length === 1 ? `the daemon of ${nodes[0]} tells` : `${nodes.length} daemons tell`
  return [{code: 'KeysUnavailable', message: `${where} values without keys (Go daemons do); key is null`}]
}

/** One a map, however many daemons have it. */
function skippedWarnings(dumps: readonly DaemonDump[]): ReportWarning[] {
  const skipped = new Map(dumps.flatMap((dump) => [...dump.skipped]))
  return [...skipped].map(([map, type]) => ({
    code: 'MapSkipped',
    message: `map ${map} (${type}) cannot be listed by user space and was left out`,
  }))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
