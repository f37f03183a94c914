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
  const lines = new TableLines(columns, style)
  let text = ''
  for await (const piece of lines.text(items.map((item) => lines.pack(item)))) text += piece
  return text
}

/** ASCII and colours: such cells are padded here, and cli-table3, which knows wide characters, is not loaded. */
const NARROW = /^[\x1b -~]*$/
/** The time of cli-table3 grows with the square of the rows: from here on all cells are padded here. */
const LARGE_TABLE_ROWS = 1000
/** Lines of one piece. */
const PIECE_LINES = 400
/** Between the cells of a packed row: no cell has control characters. */
const CELL_END = '\n'
const BLANKS = ' '.repeat(200)

/** A table whose rows are first packed, one by one in any order, and then printed; it holds their widths only. */
export class TableLines<T> {
  private readonly columns: readonly Column<T>[]
  private readonly style: TableStyle
  private readonly widths: number[]
  private count = 0
  /** Every character of every cell is one column wide. */
  private isNarrow = true

  constructor(columns: readonly Column<T>[], style: TableStyle) {
    this.style = style
    this.columns = columns.filter((column) => style.wide || column.wide !== true)
    this.widths = this.columns.map(({header}) => (style.headers ? header.length : 0))
  }

  /** A row as {@link text} takes it. */
  pack(item: T): string {
    this.count += 1
    let packed = ''
    for (const [index, column] of this.columns.entries()) {
      const cell = cellText(column, item, this.style.color)
      const width = widthOf(cell)
      this.isNarrow &&= NARROW.test(cell)
      if (width > (this.widths[index] as number)) this.widths[index] = width
      packed += index === 0 ? cell : CELL_END + cell
    }
    return packed
  }

  /** @param rows - all that were packed, in the order in which they are shown */
  async *text(rows: Iterable<string>): AsyncGenerator<string, void, undefined> {
    if (this.count === 0) return
    const rowCount = this.count + (this.style.headers ? 1 : 0)
    if (this.isNarrow || rowCount > LARGE_TABLE_ROWS) yield* this.pieces(rows)
    else yield await this.small([...rows].map((row) => row.split(CELL_END)))
  }

  private async small(rows: string[][]): Promise<string> {
    const {default: Table} = await import('cli-table3')
    const table = new Table({
      chars: NO_BORDERS,
      style: {'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true},
      colAligns: this.columns.map(({align}) => align ?? 'left'),
    })
    if (this.style.headers) table.push(this.columns.map(({header}) => header))
    table.push(...rows)
    return `${table.toString().replace(/ +$/gm, '')}\n`
  }

  /** The same picture, for text whose characters are one column wide. */
  private *pieces(rows: Iterable<string>): Generator<string, void, undefined> {
    let lines = this.style.headers ? this.line(this.columns.map(({header}) => header)) : ''
    let held = 0
    for (const row of rows) {
      lines += this.line(row.split(CELL_END))
      held += 1
      if (held < PIECE_LINES) continue
      yield lines
      lines = ''
      held = 0
    }
    if (lines !== '') yield lines
  }

  private line(cells: readonly string[]): string {
    let line = ''
    for (const [index, cell] of cells.entries()) {
      const blanks = blanksOf((this.widths[index] as number) - widthOf(cell))
      const between = index === 0 ? '' : '   '
      line += this.columns[index]?.align === 'right' ? between + blanks + cell : between + cell + blanks
    }
    return `${line.trimEnd()}\n`
  }
}

function widthOf(text: string): number {
  return text.includes('\u001b') ? stripVTControlCharacters(text).length : text.length
}

function blanksOf(width: number): string {
  return width <= BLANKS.length ? BLANKS.slice(0, width) : ' '.repeat(width)
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
