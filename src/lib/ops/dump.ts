// SPDX-License-Identifier: Apache-2.0
/** Dumps BPF maps of many daemons. */
import {backendOf, memoryWarnings} from '../model/backend.ts'
import {type MapFilter, type MapItem, matchesFilter} from '../model/map-item.ts'
import {compareText, type Report, type ReportError, type ReportWarning} from '../model/report.ts'
import type {Admin} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {type FoundDaemon, findDaemons} from './daemons.ts'
import {readDialect} from './dialect.ts'
import {goMaps} from './dump-read-go.ts'
import {ownMaps} from './dump-read-own.ts'
import type {Entry} from './dump-source.ts'
import {fanOut, targetError} from './fan-out.ts'

export interface DumpRequest {
  /** Empty: every map that can be read. */
  readonly maps: readonly string[]
  readonly filter: MapFilter
  /** With the bytes of keys and values. */
  readonly raw: boolean
}

/** Takes one entry; the daemon is read no faster than this resolves. */
export type MapSink = (item: MapItem) => Promise<void> | undefined

export type DumpOutcome = Omit<Report<MapItem>, 'items'>

/** Hands entries over as they come, daemons interleaved; holds none. */
export async function streamMaps(
  access: DaemonAccess,
  request: DumpRequest,
  sink: MapSink,
): Promise<DumpOutcome> {
  const output: {failure?: {readonly error: unknown}} = {}
  // Once our own output failed nothing more is read: every daemon stops at its next entry.
  const fail = (error: unknown): never => {
    output.failure ??= {error}
    throw error
  }
  // No promise for each entry: most of them are taken at once.
  const guarded: MapSink = (item) => {
    if (output.failure !== undefined) throw output.failure.error
    try {
      return sink(item)?.catch(fail)
    } catch (error) {
      return fail(error)
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
  const source =
    dialect.name === 'own'
      ? await ownMaps(admin, request.maps, access.signal)
      : await goMaps(admin, dialect, request.maps, {podIp, signal: access.signal})
  const failures: ReportError[] = []
  const startMs = access.clock.monotonicMs()
  const fail = (error: unknown): void => {
    failures.push(targetError(error, daemon.target, access.clock.monotonicMs() - startMs))
  }
  const counts = {entries: 0, filteredOut: 0}
  const takeEntry = (entry: Entry): Promise<void> | undefined => {
    const item = itemOf(daemon, entry, request)
    if (!matchesFilter(item, request.filter)) {
      counts.filteredOut += 1
      return undefined
    }
    counts.entries += 1
    return sink(item)
  }
  for await (const found of source.entries()) {
    for (const entry of found) {
      const taken = 'error' in entry ? fail(entry.error) : takeEntry(entry)
      if (taken !== undefined) await taken
    }
  }
  const {hasKeys, skipped} = source
  const inMemory = backendOf(dialect.version) === 'memory'
  return {node: daemon.target.node, hasKeys, inMemory, skipped, failures, ...counts}
}

/** Field by field: spread objects cost a large map a tenth of a second. */
function itemOf({target}: FoundDaemon, entry: Entry, {raw}: DumpRequest): MapItem {
  const {map, key, value, names} = entry
  const item = {node: target.node, pod: target.pod?.name ?? null, map, key, value, names}
  return raw ? {...item, keyHex: entry.keyHex ?? null, valueHex: entry.valueHex ?? null} : item
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
