// SPDX-License-Identifier: Apache-2.0
/** What the page shows: pairs that pass its filters, and their sums by rows and columns. Runs in the browser. */
import type {PageClient, PageData, PageServer, PairSet} from './page-data.ts'

export interface PageFilter {
  /** Words that all have to be in a pair's texts. */
  readonly text: string
  readonly verdicts: ReadonlySet<number>
  /** Null: every namespace. */
  readonly clients: string | null
  readonly servers: string | null
}

export interface Pair {
  readonly client: number
  readonly server: number
  readonly set: number
}

export type MatrixMode = 'namespaces' | 'workloads'
export type MatrixOrder = 'worst' | 'name'
/** Pairs by verdict. */
export type Counts = readonly number[]

export interface Matrix {
  readonly rows: readonly string[]
  readonly columns: readonly string[]
  /** Undefined: no pair. */
  counts(row: string, column: string): Counts | undefined
}

export const WORST_VERDICT = 3

/** Pairs of the page, worst first. */
export function pairsOf({pairs, sets}: PageData): readonly Pair[] {
  const found: Pair[] = []
  for (let at = 0; at < pairs.length; at += 3) {
    found.push({
      client: pairs[at] as number,
      server: pairs[at + 1] as number,
      set: pairs[at + 2] as number,
    })
  }
  return found.sort((a, b) => (sets[b.set]?.verdict ?? 0) - (sets[a.set]?.verdict ?? 0))
}

export function serverName({namespace, name, port}: PageServer): string {
  return `${namespace}/${name}:${port}`
}

/** Rows that a client stands in: its namespace, or each of its workloads. */
export function rowsOf(mode: MatrixMode, {namespace, workloads}: PageClient): readonly string[] {
  return mode === 'namespaces' ? [namespace] : workloads.map((workload) => `${namespace}/${workload}`)
}

export function columnOf(mode: MatrixMode, server: PageServer): string {
  return mode === 'namespaces' ? server.namespace : serverName(server)
}

/** A function that tells whether a pair passes. */
export function filterOf(data: PageData, filter: PageFilter): (pair: Pair) => boolean {
  const words = filter.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  const hits = words.map((word) => ({
    clients: data.clients.map((client) => clientText(client).includes(word)),
    servers: data.servers.map((server) => serverName(server).toLowerCase().includes(word)),
    sets: data.sets.map((set) => setText(data, set).includes(word)),
  }))
  return ({client, server, set}) =>
    filter.verdicts.has(data.sets[set]?.verdict ?? -1) &&
    (filter.clients === null || data.clients[client]?.namespace === filter.clients) &&
    (filter.servers === null || data.servers[server]?.namespace === filter.servers) &&
    hits.every((hit) => hit.clients[client] || hit.servers[server] || hit.sets[set])
}

function clientText({namespace, workloads}: PageClient): string {
  return workloads
    .map((workload) => `${namespace}/${workload}`)
    .join('\n')
    .toLowerCase()
}

function setText({kinds}: PageData, {cells}: PairSet): string {
  const parts = cells.flatMap(([number, , examples]): readonly (string | null | undefined)[] => {
    const kind = kinds[number]
    if (kind === undefined) return examples
    const {reason, why, fix, row, column, sent, mtls, rule} = kind
    return [reason, why, fix, row, column, sent, mtls?.mode, mtls?.policy, rule, ...examples]
  })
  return parts.join('\n').toLowerCase()
}

export function matrixOf(
  data: PageData,
  pairs: readonly Pair[],
  mode: MatrixMode,
  order: MatrixOrder,
): Matrix {
  const cells = new Map<string, Map<string, number[]>>()
  const rows = new Map<string, number[]>()
  const columns = new Map<string, number[]>()
  for (const pair of pairs) {
    const verdict = data.sets[pair.set]?.verdict ?? 0
    const column = columnOf(mode, data.servers[pair.server] as PageServer)
    for (const row of rowsOf(mode, data.clients[pair.client] as PageClient)) {
      add(rows, row, verdict)
      add(columns, column, verdict)
      const line = cells.get(row) ?? new Map<string, number[]>()
      cells.set(row, line)
      add(line, column, verdict)
    }
  }
  return {
    rows: inOrder(rows, order),
    columns: inOrder(columns, order),
    counts: (row, column) => cells.get(row)?.get(column),
  }
}

function add(counts: Map<string, number[]>, key: string, verdict: number): void {
  const found = counts.get(key) ?? [0, 0, 0, 0]
  counts.set(key, found)
  found[verdict] = (found[verdict] ?? 0) + 1
}

function inOrder(lines: ReadonlyMap<string, Counts>, order: MatrixOrder): readonly string[] {
  return [...lines]
    .sort(([a, of], [b, other]) => (order === 'worst' ? byWorst(of, other) : 0) || (a < b ? -1 : 1))
    .map(([name]) => name)
}

function byWorst(a: Counts, b: Counts): number {
  for (let verdict = WORST_VERDICT; verdict > 0; verdict -= 1) {
    const difference = (b[verdict] ?? 0) - (a[verdict] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** The worst verdict that is there. */
export function worstOf(counts: Counts): number {
  return counts.findLastIndex((number) => number > 0)
}

/** Sums by verdict. */
export function sumsOf(data: PageData, pairs: readonly Pair[]): Counts {
  const sums = [0, 0, 0, 0]
  for (const {set} of pairs) {
    const verdict = data.sets[set]?.verdict ?? 0
    sums[verdict] = (sums[verdict] ?? 0) + 1
  }
  return sums
}
