// SPDX-License-Identifier: Apache-2.0
/** Tables the way kubectl prints them: upper-case heads, no borders, three blanks between columns. */

import {stripVTControlCharacters} from 'node:util'
import {Chalk} from 'chalk'
import {clean} from './text.ts'

export type Tone = 'good' | 'warn' | 'bad' | 'dim'
export type Cell = string | number | boolean | null | undefined

export interface Column<T> {
  /** Upper case. */
  readonly header: string
  /** null, undefined and '' are shown as `<none>`. */
  value(item: T): Cell
  readonly align?: 'right'
  /** Only with `-o wide`; wide columns stand at the end. */
  readonly wide?: boolean
  tone?(item: T): Tone | undefined
}

export interface TableStyle {
  readonly color: boolean
  readonly wide: boolean
  readonly headers: boolean
}

/** Whether to colour is decided for each stream, by the caller; the sixteen colours are those of the user's theme. */
const ansi = new Chalk({level: 1})
const TONES = {good: ansi.green, warn: ansi.yellow, bad: ansi.red, dim: ansi.dim} as const

export function paint(text: string, tone: Tone | undefined, color: boolean): string {
  if (!color || tone === undefined) return text
  return TONES[tone](text)
}

/** Lines with their line breaks; '' for no items (the caller says so on stderr). */
export async function renderTable<T>(
  columns: readonly Column<T>[],
  items: readonly T[],
  style: TableStyle,
): Promise<string> {
  if (items.length === 0) return ''
  const shown = columns.filter((column) => style.wide || column.wide !== true)
  const rows = items.map((item) => shown.map((column) => cellText(column, item, style.color)))
  if (style.headers) rows.unshift(shown.map((column) => column.header))
  const aligns = shown.map((column) => column.align ?? 'left')
  if (rows.length > LARGE_TABLE_ROWS) return largeTable(rows, aligns)
  const {default: Table} = await import('cli-table3')
  const table = new Table({
    chars: NO_BORDERS,
    style: {'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true},
    colAligns: aligns,
  })
  table.push(...rows)
  return `${table.toString().replace(/ +$/gm, '')}\n`
}

/** The time of cli-table3 grows with the square of the rows: from here on cells are padded here. */
const LARGE_TABLE_ROWS = 1000

/** The same picture, for text whose characters are one column wide. */
function largeTable(rows: readonly (readonly string[])[], aligns: readonly ('left' | 'right')[]): string {
  const width = (text: string): number =>
    text.includes('\u001b') ? stripVTControlCharacters(text).length : text.length
  const widths = aligns.map((_align, index) =>
    rows.reduce((widest, row) => Math.max(widest, width(row[index] ?? '')), 0),
  )
  const pad = (text: string, index: number): string => {
    const blanks = ' '.repeat((widths[index] ?? 0) - width(text))
    return aligns[index] === 'right' ? `${blanks}${text}` : `${text}${blanks}`
  }
  return rows.map((row) => `${row.map(pad).join('   ').trimEnd()}\n`).join('')
}

function cellText<T>(column: Column<T>, item: T, color: boolean): string {
  const value = column.value(item)
  const text = value === null || value === undefined ? '' : clean(String(value))
  return paint(text === '' ? '<none>' : text, column.tone?.(item), color)
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '   ',
}
