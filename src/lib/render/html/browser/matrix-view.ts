// SPDX-License-Identifier: Apache-2.0
/**
 * The matrix, as an ARIA grid with one tab stop. Of large ones only what is seen stands there, between spacers; on
 * paper up to 100 rows and columns stand there whole.
 */
import {type Counts, type Matrix, worstOf} from '../page-model.ts'
import {make, numberText, shortNumber, VERDICT_NAMES, verdictName, verdictSign} from './dom.ts'

const WHOLE = 24
const WHOLE_ON_PAPER = 100
/** Of the heads; longer names are cut and stand in their title. */
const MAX_NAME_LENGTH = 40
const MIN_NAME_LENGTH = 10
/** As page.css has them. */
const ROW_HEIGHT_PX = 26
const COLUMN_WIDTH_PX = 46
/** Rows and columns beyond each edge of the visible part. */
const MARGIN = 6

interface Range {
  readonly from: number
  readonly to: number
}

export interface MatrixEvents {
  open(row: string, column: string): void
}

export class MatrixView {
  private readonly table: HTMLTableElement
  private readonly viewport: HTMLElement
  private readonly events: MatrixEvents
  private matrix: Matrix = {rows: [], columns: [], counts: () => undefined}
  private row = 0
  private column = 0
  private chosen: {readonly row: string; readonly column: string} | null = null
  private drawn = ''
  private whole = WHOLE

  constructor(viewport: HTMLElement, table: HTMLTableElement, events: MatrixEvents) {
    this.viewport = viewport
    this.table = table
    this.events = events
    viewport.addEventListener('scroll', () => requestAnimationFrame(() => this.draw()), {passive: true})
    // Also after the first draw, which gives the viewport its size.
    new ResizeObserver(() => this.draw()).observe(viewport)
    addEventListener('beforeprint', () => this.drawUpTo(WHOLE_ON_PAPER))
    addEventListener('afterprint', () => this.drawUpTo(WHOLE))
    table.addEventListener('keydown', (event) => this.onKey(event))
    table.addEventListener('click', (event) => this.onClick(event))
  }

  show(matrix: Matrix): void {
    this.matrix = matrix
    this.row = Math.min(this.row, Math.max(0, matrix.rows.length - 1))
    this.column = Math.min(this.column, Math.max(0, matrix.columns.length - 1))
    this.table.setAttribute('aria-rowcount', String(matrix.rows.length + 1))
    this.table.setAttribute('aria-colcount', String(matrix.columns.length + 1))
    this.table.style.setProperty('--row-head', `${longest(matrix.rows)}ch`)
    this.table.style.setProperty('--column-head', `${longest(matrix.columns)}ch`)
    this.drawUpTo(WHOLE)
  }

  /** Marks the cell whose pairs are listed. */
  choose(chosen: {readonly row: string; readonly column: string} | null): void {
    this.chosen = chosen
    this.table.querySelector('[aria-selected]')?.removeAttribute('aria-selected')
    if (chosen === null) return
    const [row, column] = [this.matrix.rows.indexOf(chosen.row), this.matrix.columns.indexOf(chosen.column)]
    this.cellAt(row, column)?.setAttribute('aria-selected', 'true')
  }

  focus(): void {
    this.reveal()
    this.draw()
    this.cellAt(this.row, this.column)?.focus()
  }

  private drawUpTo(whole: number): void {
    this.whole = whole
    this.drawn = ''
    this.draw()
  }

  private draw(): void {
    const {rows, columns} = this.matrix
    const {scrollTop, scrollLeft, clientHeight, clientWidth} = this.viewport
    const down = this.rangeOf(rows.length, scrollTop, clientHeight, ROW_HEIGHT_PX)
    const across = this.rangeOf(columns.length, scrollLeft, clientWidth, COLUMN_WIDTH_PX)
    const key = [down.from, down.to, across.from, across.to].join()
    if (key === this.drawn) return
    this.drawn = key
    const hadFocus = this.table.contains(document.activeElement)
    const body = make('tbody')
    if (down.from > 0) body.append(spacerRow(down.from))
    for (let row = down.from; row < down.to; row += 1) body.append(this.line(row, across))
    if (down.to < rows.length) body.append(spacerRow(rows.length - down.to))
    this.table.replaceChildren(make('thead', {}, this.head(across)), body)
    if (hadFocus) this.cellAt(this.row, this.column)?.focus({preventScroll: true})
  }

  private rangeOf(count: number, scrolled: number, size: number, step: number): Range {
    if (count <= this.whole) return {from: 0, to: count}
    const first = Math.floor(scrolled / step) - MARGIN
    return {
      from: Math.max(0, first),
      to: Math.min(count, first + Math.ceil(size / step) + 2 * MARGIN),
    }
  }

  private head({from, to}: Range): HTMLElement {
    const corner = make('td', {class: 'corner'}, 'client \\ server')
    const line = make('tr', {'aria-rowindex': 1}, corner)
    if (from > 0) line.append(spacer(from))
    for (let column = from; column < to; column += 1) {
      const name = this.matrix.columns[column] ?? ''
      const text = make('bdi', {}, name)
      line.append(
        make('th', {scope: 'col', title: name, 'aria-colindex': column + 2}, make('span', {}, text)),
      )
    }
    if (to < this.matrix.columns.length) line.append(spacer(this.matrix.columns.length - to))
    return line
  }

  private line(row: number, {from, to}: Range): HTMLElement {
    const name = this.matrix.rows[row] ?? ''
    const line = make('tr', {'aria-rowindex': row + 2})
    line.append(make('th', {scope: 'row', title: name, 'aria-colindex': 1}, make('bdi', {}, name)))
    if (from > 0) line.append(spacer(from))
    for (let column = from; column < to; column += 1) line.append(this.cell(row, column))
    if (to < this.matrix.columns.length) line.append(spacer(this.matrix.columns.length - to))
    return line
  }

  private cell(row: number, column: number): HTMLElement {
    const [client, server] = [this.matrix.rows[row] ?? '', this.matrix.columns[column] ?? '']
    const counts = this.matrix.counts(client, server)
    const cell = make('td', {
      role: 'gridcell',
      tabindex: row === this.row && column === this.column ? 0 : -1,
      'aria-colindex': column + 2,
      'data-row': row,
      'data-column': column,
    })
    const label = `${client} to ${server}: ${counts === undefined ? 'no pair shown' : sumsText(counts)}`
    cell.setAttribute('aria-label', label)
    cell.title = label
    if (client === this.chosen?.row && server === this.chosen.column)
      cell.setAttribute('aria-selected', 'true')
    if (counts === undefined) return cell
    const worst = worstOf(counts)
    cell.className = verdictName(worst)
    cell.append(make('b', {}, verdictSign(worst)), shortNumber(counts[worst] ?? 0))
    return cell
  }

  private cellAt(row: number, column: number): HTMLElement | null {
    return this.table.querySelector(`[data-row="${row}"][data-column="${column}"]`)
  }

  private onClick(event: Event): void {
    const cell = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-row]') : null
    if (cell === null) return
    this.moveTo(Number(cell.dataset['row']), Number(cell.dataset['column']))
    this.open()
  }

  private onKey(event: KeyboardEvent): void {
    const {rows, columns} = this.matrix
    const page = Math.max(1, Math.floor(this.viewport.clientHeight / ROW_HEIGHT_PX) - 4)
    const isFar = event.ctrlKey
    const steps: Readonly<Record<string, readonly [number, number]>> = {
      ArrowUp: [this.row - 1, this.column],
      ArrowDown: [this.row + 1, this.column],
      ArrowLeft: [this.row, this.column - 1],
      ArrowRight: [this.row, this.column + 1],
      PageUp: [this.row - page, this.column],
      PageDown: [this.row + page, this.column],
      Home: [isFar ? 0 : this.row, 0],
      End: [isFar ? rows.length - 1 : this.row, columns.length - 1],
    }
    const step = steps[event.key]
    if (step !== undefined) this.moveTo(...step)
    else if (event.key === 'Enter' || event.key === ' ') this.open()
    else return
    event.preventDefault()
  }

  private open(): void {
    const [client, server] = [this.matrix.rows[this.row], this.matrix.columns[this.column]]
    if (client !== undefined && server !== undefined) this.events.open(client, server)
  }

  private moveTo(row: number, column: number): void {
    this.cellAt(this.row, this.column)?.setAttribute('tabindex', '-1')
    this.row = clamp(row, this.matrix.rows.length)
    this.column = clamp(column, this.matrix.columns.length)
    this.reveal()
    this.draw()
    const cell = this.cellAt(this.row, this.column)
    cell?.setAttribute('tabindex', '0')
    cell?.focus({preventScroll: true})
  }

  /** Scrolls so that the current cell is beside the heads, not below them. */
  private reveal(): void {
    const corner = this.table.querySelector<HTMLElement>('.corner')
    const [left, top] = [corner?.offsetWidth ?? 0, corner?.offsetHeight ?? 0]
    const {viewport} = this
    const [x, y] = [this.column * COLUMN_WIDTH_PX, this.row * ROW_HEIGHT_PX]
    const right = viewport.clientWidth - left - COLUMN_WIDTH_PX
    const bottom = viewport.clientHeight - top - ROW_HEIGHT_PX
    viewport.scrollLeft = Math.min(x, Math.max(viewport.scrollLeft, x - right))
    viewport.scrollTop = Math.min(y, Math.max(viewport.scrollTop, y - bottom))
  }
}

function clamp(index: number, count: number): number {
  return Math.max(0, Math.min(count - 1, index))
}

function spacer(columns: number): HTMLElement {
  const cell = make('td', {class: 'spacer', colspan: columns, 'aria-hidden': 'true'})
  cell.style.minWidth = `${columns * COLUMN_WIDTH_PX}px`
  return cell
}

function spacerRow(rows: number): HTMLElement {
  const line = make('tr', {class: 'spacer', 'aria-hidden': 'true'}, make('td'))
  line.style.height = `${rows * ROW_HEIGHT_PX}px`
  return line
}

/** `fails 3, works 12`. */
export function sumsText(counts: Counts): string {
  const parts = VERDICT_NAMES.map((name, verdict) => [name, counts[verdict] ?? 0] as const)
  return (
    parts
      .filter(([, number]) => number > 0)
      .reverse()
      .map(([name, number]) => `${name} ${numberText(number)}`)
      .join(', ') || 'none'
  )
}

function longest(names: readonly string[]): number {
  const lengths = names.map((name) => Math.min(MAX_NAME_LENGTH, name.length))
  return Math.max(MIN_NAME_LENGTH, ...lengths)
}
