// SPDX-License-Identifier: Apache-2.0
/**
 * A report of `interop check` as the page carries it: what many pairs share stands there once, and a pair is three
 * numbers. All text is made visible first: what a terminal or a browser would obey is spelled out.
 */
import type {CheckCell, CheckItem, CheckVerdict} from '../../model/interop-check.ts'
import type {Report, ReportError, ReportWarning} from '../../model/report.ts'

/** From good to bad, as the numbers of {@link PairSet} mean them. */
export const PAGE_VERDICTS: readonly CheckVerdict[] = ['works', 'unknown', 'depends', 'fails']

export interface PagePlace {
  readonly context: string | null
  readonly cluster: string | null
  readonly server: string
  /** Which clients and servers were asked about, in words. */
  readonly asked: string
}

export interface PageClient {
  readonly namespace: string
  readonly pods: number
  readonly workloads: readonly string[]
}

export interface PageServer {
  readonly namespace: string
  readonly name: string
  readonly port: number
  readonly direct: boolean
}

/** What is said of endpoints that a client meets in the same way. */
export type PageKind = Omit<CheckCell, 'endpoints' | 'examples'>

/** Number of the kind, of endpoints, and examples. */
export type PageCell = readonly [kind: number, endpoints: number, examples: readonly string[]]

export interface PairSet {
  readonly verdict: number
  readonly works: number
  readonly total: number
  /** Worst first. */
  readonly cells: readonly PageCell[]
}

export interface PageNotice {
  readonly where: string
  readonly code: string
  readonly message: string
}

export interface PageData {
  readonly generatedAt: string
  readonly place: PagePlace
  readonly requested: number
  /** Pairs by verdict, also of those that are not on the page. */
  readonly verdicts: Readonly<Record<CheckVerdict, number>>
  readonly clients: readonly PageClient[]
  readonly servers: readonly PageServer[]
  readonly kinds: readonly PageKind[]
  readonly sets: readonly PairSet[]
  /** Client, server, set; client, server, set; ... */
  readonly pairs: readonly number[]
  readonly errors: readonly PageNotice[]
  readonly warnings: readonly PageNotice[]
}

/** @param nowMs - when the report was made, milliseconds since 1970 */
export function pageData(report: Report<CheckItem>, place: PagePlace, nowMs: number): PageData {
  const clients = new Numbered<PageClient>()
  const servers = new Numbered<PageServer>()
  const kinds = new Numbered<PageKind>()
  const sets = new Numbered<PairSet>()
  const pairs: number[] = []
  for (const {client, server, verdict, share, cells} of report.items) {
    const {namespace, name, port, direct} = server
    const set: PairSet = {
      verdict: PAGE_VERDICTS.indexOf(verdict),
      works: share.works,
      total: share.works + share.fails + share.unknown,
      cells: cells.map((cell) => cellOf(cell, kinds)),
    }
    pairs.push(
      clients.numberOf({namespace: client.namespace, pods: client.pods, workloads: client.workloads}),
      servers.numberOf({namespace, name, port, direct}),
      sets.numberOf(set),
    )
  }
  return visibleAll({
    generatedAt: new Date(nowMs).toISOString(),
    place,
    requested: report.summary.requested,
    verdicts: report.summary['verdicts'] as Record<CheckVerdict, number>,
    clients: clients.values,
    servers: servers.values,
    kinds: kinds.values,
    sets: sets.values,
    pairs,
    errors: report.errors.map(errorNotice),
    warnings: report.warnings.map(warningNotice),
  })
}

function cellOf(cell: CheckCell, kinds: Numbered<PageKind>): PageCell {
  const {row, column, result, reason, sent, mtls, rule, why, fix, endpoints, examples} = cell
  return [kinds.numberOf({row, column, result, reason, sent, mtls, rule, why, fix}), endpoints, examples]
}

function errorNotice({node, pod, phase, code, message}: ReportError): PageNotice {
  return {where: [node, pod, phase].filter((part) => part !== null).join(' '), code, message}
}

function warningNotice({node, pod, code, message}: ReportWarning): PageNotice {
  return {where: [node, pod].filter((part) => typeof part === 'string').join(' '), code, message}
}

/** Equal values get one number. */
class Numbered<T> {
  readonly values: T[] = []
  private readonly numbers = new Map<string, number>()

  numberOf(value: T): number {
    const key = JSON.stringify(value)
    const known = this.numbers.get(key)
    if (known !== undefined) return known
    this.numbers.set(key, this.values.length)
    return this.values.push(value) - 1
  }
}

/** Control characters, and those that reorder, hide or join text. */
const OBEYED =
  /[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/u
const EVERY_OBEYED = new RegExp(OBEYED.source, 'gu')

/** `\u202e` for what would reverse the text after it; other text as it is. */
export function visible(text: string): string {
  if (!OBEYED.test(text)) return text
  const line = text.replace(/[\t\r\n]+/g, ' ')
  return line.replace(EVERY_OBEYED, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function visibleAll<T>(value: T): T {
  if (typeof value === 'string') return visible(value) as T
  if (typeof value === 'number' || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(visibleAll) as T
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, visibleAll(member)])) as T
}
