// SPDX-License-Identifier: Apache-2.0
/** The script of the page: reads its data, shows it, and does what filters and keys ask for. */
import type {PageData} from '../page-data.ts'
import {
  columnOf,
  filterOf,
  type MatrixMode,
  type MatrixOrder,
  matrixOf,
  type Pair,
  pairsOf,
  rowsOf,
  sumsOf,
  WORST_VERDICT,
} from '../page-model.ts'
import {
  byId,
  counted,
  make,
  numberText,
  VERDICT_MEANINGS,
  VERDICT_NAMES,
  verdictName,
  verdictSign,
} from './dom.ts'
import {MatrixView, sumsText} from './matrix-view.ts'
import {PairList} from './pair-list.ts'
import {showSummary} from './summary.ts'

const data = JSON.parse(byId('data').textContent) as PageData
const all = pairsOf(data)
const text = byId<HTMLInputElement>('text')
const clients = byId<HTMLSelectElement>('clients')
const servers = byId<HTMLSelectElement>('servers')
const mode = byId<HTMLSelectElement>('mode')
const order = byId<HTMLSelectElement>('order')
const scopeButton = byId<HTMLButtonElement>('scope')
const shownVerdicts = new Set<number>(VERDICT_NAMES.keys())
let passing: readonly Pair[] = all
let scope: {readonly row: string; readonly column: string} | null = null

const matrix = new MatrixView(byId('viewport'), byId<HTMLTableElement>('matrix'), {
  open: (row, column) => {
    setScope({row, column})
    list.focus()
  },
})
const list = new PairList(data)

function refresh(): void {
  const passes = filterOf(data, {
    text: text.value,
    verdicts: shownVerdicts,
    clients: clients.value === '' ? null : clients.value.slice(1),
    servers: servers.value === '' ? null : servers.value.slice(1),
  })
  passing = all.filter(passes)
  const shown = matrixOf(data, passing, mode.value as MatrixMode, order.value as MatrixOrder)
  byId('size').textContent =
    `${counted(shown.rows.length, 'row')}, ${counted(shown.columns.length, 'column')}`
  matrix.show(shown)
  setScope(null)
}

/** The pairs of one cell, or all. */
function setScope(next: typeof scope): void {
  scope = next
  matrix.choose(next)
  const shown = next === null ? passing : passing.filter((pair) => isInScope(pair, next.row, next.column))
  list.show(shown)
  scopeButton.hidden = next === null
  if (next !== null) {
    const words = `${next.row} \u2192 ${next.column}`
    scopeButton.replaceChildren(make('bdi', {}, words), ' \u00d7')
    scopeButton.setAttribute('aria-label', `Only ${words}; show all pairs`)
  }
  const sums = shown.length === 0 ? '' : `: ${sumsText(sumsOf(data, shown))}`
  const where = next === null ? '' : ` from ${next.row} to ${next.column}`
  byId('count').textContent =
    `Showing ${numberText(shown.length)} of ${counted(all.length, 'pair')}${where}${sums}`
}

function isInScope({client, server}: Pair, row: string, column: string): boolean {
  const [from, to] = [data.clients[client], data.servers[server]]
  if (from === undefined || to === undefined) return false
  const how = mode.value as MatrixMode
  return columnOf(how, to) === column && rowsOf(how, from).includes(row)
}

function leaveScope(): void {
  const held = byId('pairs').contains(document.activeElement) || document.activeElement === scopeButton
  setScope(null)
  if (held) matrix.focus()
}

/** Buttons that switch verdicts on and off, worst first. */
function makeVerdicts(): void {
  for (let verdict = WORST_VERDICT; verdict >= 0; verdict -= 1) {
    const name = verdictName(verdict)
    const number = data.verdicts[VERDICT_NAMES[verdict] ?? 'works']
    const button = make(
      'button',
      {type: 'button', class: `tile ${name}-edge`, 'aria-pressed': 'true', 'data-verdict': verdict},
      make('span', {class: `badge ${name}`}, make('b', {'aria-hidden': 'true'}, verdictSign(verdict)), name),
      make('span', {class: 'number'}, numberText(number)),
      make('span', {class: 'meaning'}, VERDICT_MEANINGS[verdict] ?? ''),
    )
    button.addEventListener('click', () => {
      if (!shownVerdicts.delete(verdict)) shownVerdicts.add(verdict)
      button.setAttribute('aria-pressed', String(shownVerdicts.has(verdict)))
      refresh()
    })
    byId('verdicts').append(button)
  }
}

/** Values begin with `=`, so that no namespace looks like `every`. */
function fillNamespaces(select: HTMLSelectElement, namespaces: readonly string[]): void {
  const names = [...new Set(namespaces)].sort()
  select.append(
    make('option', {value: ''}, 'every namespace'),
    ...names.map((name) => make('option', {value: `=${name}`}, name)),
  )
}

function reset(): void {
  text.value = ''
  clients.value = ''
  servers.value = ''
  for (const verdict of VERDICT_NAMES.keys()) shownVerdicts.add(verdict)
  for (const button of document.querySelectorAll('.tile')) button.setAttribute('aria-pressed', 'true')
  refresh()
}

function onKey(event: KeyboardEvent): void {
  const isTyping = event.target === text
  if (event.key === '/' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault()
    text.focus()
    text.select()
  } else if (event.key === 'Escape') {
    if (isTyping) {
      text.value = ''
      refresh()
    } else if (!list.closeFocused() && scope !== null) leaveScope()
  }
}

let isWaiting = false
/** Once a frame, however fast somebody types. */
function refreshSoon(): void {
  if (isWaiting) return
  isWaiting = true
  requestAnimationFrame(() => {
    isWaiting = false
    refresh()
  })
}

showSummary(data)
makeVerdicts()
fillNamespaces(
  clients,
  data.clients.map(({namespace}) => namespace),
)
fillNamespaces(
  servers,
  data.servers.map(({namespace}) => namespace),
)
text.addEventListener('input', refreshSoon)
for (const select of [clients, servers, mode, order]) select.addEventListener('change', refresh)
byId('reset').addEventListener('click', reset)
byId('filters').addEventListener('submit', (event) => event.preventDefault())
scopeButton.addEventListener('click', leaveScope)
document.addEventListener('keydown', onKey)
refresh()
