// SPDX-License-Identifier: Apache-2.0
/** Registry of output formats: one row a format. A new format is one row. */
import {type Document, documentOf, type Report} from '../model/report.ts'
import {type Column, renderTable} from './table.ts'
import {clean, escapeJsonText} from './text.ts'

/** How one kind of item is shown to people; scripts get the report itself. */
export interface View<T> {
  readonly columns: readonly Column<T>[]
  /** `kind/name` of `-o name`; null leaves the item out. */
  name?(item: T): string | null
  /** Line of totals, for stderr. */
  totals?(report: Report<T>): string | undefined
  /** Line for stderr instead of an empty table; default `No resources found`. */
  readonly empty?: string
  /** Page of `-o html`, for commands that have one. */
  html?(report: Report<T>, nowMs: number): Promise<string>
}

export interface RenderContext {
  readonly nowMs: number
  readonly color: boolean
  readonly headers: boolean
}

interface FormatRow {
  /** For machines: errors and warnings stand in the output itself. */
  readonly machine: boolean
  render<T>(report: Report<T>, view: View<T>, context: RenderContext): Promise<string>
}

export const FORMATS = {
  table: {machine: false, render: (report, view, context) => table(report, view, context, false)},
  wide: {machine: false, render: (report, view, context) => table(report, view, context, true)},
  json: {machine: true, render: async (report, _view, {nowMs}) => jsonText(documentOf(report, nowMs))},
  yaml: {machine: true, render: async (report, _view, {nowMs}) => yamlText(documentOf(report, nowMs))},
  name: {machine: false, render: async (report, view) => names(report, view)},
  jsonl: {machine: true, render: async (report) => jsonLines(report)},
  html: {machine: false, render: (report, view, {nowMs}) => page(report, view, nowMs)},
} as const satisfies Readonly<Record<string, FormatRow>>

export type FormatName = keyof typeof FORMATS

/** Formats of a command that answers once. */
export const DOCUMENT_FORMATS = [
  'table',
  'wide',
  'json',
  'yaml',
  'name',
] as const satisfies readonly FormatName[]
/** Formats of a command that asks many daemons: `jsonl` shows each answer as it comes. */
export const STREAM_FORMATS = [...DOCUMENT_FORMATS, 'jsonl'] as const satisfies readonly FormatName[]
/** Formats whose failure is a document on stdout. */
export const MACHINE_FORMATS = ['json', 'yaml', 'jsonl'] as const satisfies readonly FormatName[]

function table<T>(report: Report<T>, view: View<T>, context: RenderContext, wide: boolean): Promise<string> {
  return renderTable(view.columns, report.items, {color: context.color, headers: context.headers, wide})
}

function page<T>(report: Report<T>, view: View<T>, nowMs: number): Promise<string> {
  if (view.html === undefined) throw new Error(`${report.kind} has no page`)
  return view.html(report, nowMs)
}

function names<T>(report: Report<T>, view: View<T>): string {
  const lines = report.items.map((item) => view.name?.(item) ?? null).filter((name) => name !== null)
  return [...new Set(lines)].map((line) => `${clean(line)}\n`).join('')
}

export function jsonText(document: Document<unknown>): string {
  return `${escapeJsonText(JSON.stringify(document, null, 2))}\n`
}

/** The same document as YAML. */
export async function yamlText(document: Document<unknown>): Promise<string> {
  const {toYaml} = await import('./yaml.ts')
  return toYaml(document)
}

/** One object of a stream, `{type, object}`, with its line break. */
export function jsonLine(type: StreamType, object: unknown): string {
  return `${escapeJsonText(JSON.stringify({type, object}))}\n`
}

export type StreamType =
  | 'ITEM'
  | 'ERROR'
  | 'WARNING'
  | 'SUMMARY'
  | 'ADDED'
  | 'MODIFIED'
  | 'DELETED'
  | 'BOOKMARK'

function jsonLines<T>(report: Report<T>): string {
  return [
    ...report.items.map((item) => jsonLine('ITEM', item)),
    ...report.errors.map((error) => jsonLine('ERROR', error)),
    ...report.warnings.map((warning) => jsonLine('WARNING', warning)),
    jsonLine('SUMMARY', report.summary),
  ].join('')
}
