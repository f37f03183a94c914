// SPDX-License-Identifier: Apache-2.0
/** The list of pairs, a slice at a time; a pair opens to all that is known of it. */
import type {PageCell, PageClient, PageData, PageServer, PairSet} from '../page-data.ts'
import {type Pair, serverName} from '../page-model.ts'
import {byId, counted, make, nameOf, numberText, verdictName, verdictSign} from './dom.ts'

const SLICE = 100
/** On paper. */
const PRINTED = 500
const SHOWN_WORKLOADS = 2

export class PairList {
  private readonly data: PageData
  private readonly list = byId<HTMLUListElement>('pairs')
  private readonly more = byId<HTMLButtonElement>('more')
  private pairs: readonly Pair[] = []
  private shown = 0

  constructor(data: PageData) {
    this.data = data
    this.more.addEventListener('click', () => this.showMore())
    this.list.addEventListener('click', (event) => {
      const button = event.target instanceof Element ? event.target.closest('button') : null
      if (button !== null) this.toggle(button)
    })
    addEventListener('beforeprint', () => {
      while (this.shown < Math.min(PRINTED, this.pairs.length)) this.addSlice()
    })
    this.list.addEventListener('keydown', (event) => this.onKey(event))
  }

  show(pairs: readonly Pair[]): void {
    this.pairs = pairs
    this.shown = 0
    this.list.replaceChildren()
    this.addSlice()
  }

  focus(): void {
    const first = this.list.querySelector<HTMLElement>('button')
    ;(first ?? byId('pairs-title')).focus()
  }

  /** The open pair that holds the focus, closed. False: there is none. */
  closeFocused(): boolean {
    const item = document.activeElement?.closest('#pairs > li')
    const button = item?.querySelector('button')
    if (button?.getAttribute('aria-expanded') !== 'true') return false
    this.toggle(button)
    button.focus()
    return true
  }

  private showMore(): void {
    const from = this.shown
    this.addSlice()
    this.list.children[from]?.querySelector('button')?.focus()
  }

  private addSlice(): void {
    const slice = this.pairs.slice(this.shown, this.shown + SLICE)
    const items = slice.map((pair, index) => this.item(pair, this.shown + index))
    this.shown += slice.length
    this.list.append(...items)
    const left = this.pairs.length - this.shown
    this.more.hidden = left === 0
    byId('rest').textContent =
      left === 0 ? '' : `${counted(left, 'pair')} more, not printed: filter the page for them.`
    this.more.textContent = `Show ${Math.min(SLICE, left)} more of ${counted(this.pairs.length, 'pair')}`
  }

  private item(pair: Pair, index: number): HTMLElement {
    const client = this.data.clients[pair.client] as PageClient
    const server = this.data.servers[pair.server] as PageServer
    const set = this.data.sets[pair.set] as PairSet
    const verdict = verdictName(set.verdict)
    const reason = this.data.kinds[set.cells[0]?.[0] ?? -1]?.reason ?? ''
    const badge = make('span', {class: `badge ${verdict}`}, make('b', {}, verdictSign(set.verdict)), verdict)
    const button = make(
      'button',
      {type: 'button', 'aria-expanded': 'false', 'aria-controls': `pair-${index}`, 'data-index': index},
      badge,
      make('span', {class: 'ends'}, nameOf(shortClient(client)), ' \u2192 ', nameOf(serverName(server))),
      make('span', {class: 'share'}, shareText(set)),
      make('span', {class: 'reason'}, reason),
    )
    return make('li', {}, button)
  }

  private toggle(button: Element): void {
    const item = button.parentElement
    const isOpen = button.getAttribute('aria-expanded') === 'true'
    button.setAttribute('aria-expanded', String(!isOpen))
    if (isOpen) item?.querySelector('.details')?.remove()
    else item?.append(this.details(Number(button.getAttribute('data-index'))))
  }

  private details(index: number): HTMLElement {
    const pair = this.pairs[index] as Pair
    const client = this.data.clients[pair.client] as PageClient
    const server = this.data.servers[pair.server] as PageServer
    const set = this.data.sets[pair.set] as PairSet
    const names = client.workloads.map((workload) => `${client.namespace}/${workload}`).join(', ')
    const what = server.direct ? "a pod's own address" : 'a service'
    const facts = factsOf([
      ['Client', `${names} (${counted(client.pods, 'pod')})`],
      ['Server', `${serverName(server)}, ${what}`],
      ['Share', shareText(set)],
    ])
    const cells = set.cells.map((cell) => this.cell(cell))
    const label = `${client.namespace} to ${serverName(server)}`
    return make(
      'div',
      {class: 'details', id: `pair-${index}`, role: 'group', 'aria-label': label},
      facts,
      ...cells,
    )
  }

  private cell([number, endpoints, examples]: PageCell): HTMLElement {
    const kind = this.data.kinds[number]
    if (kind === undefined) return make('p', {}, 'unknown')
    const {result, reason, why, fix, row, column, sent, mtls, rule} = kind
    const verdict = {works: 0, unknown: 1, fails: 3}[result]
    const head = make(
      'p',
      {class: 'cell-head'},
      make('span', {class: `badge ${result}`}, make('b', {}, verdictSign(verdict)), result),
      ` ${counted(endpoints, 'endpoint')}: ${why}`,
    )
    const mode = mtls === null ? 'none: no sidecar receives, or it is not known' : mtls.mode
    const by = mtls?.policy ?? (mtls === null ? '' : "nobody: Istio's default")
    const facts = factsOf([
      ['Fix', fix ?? ''],
      ['Reason', reason],
      ['Who has them', row === null ? '' : `client ${row}, server ${column}`],
      ['Client sends', sent ?? 'not known'],
      ['mTLS of the port', mode],
      ['PeerAuthentication', by === '' ? '' : `${by}${mtls?.policy ? ` (${mtls.scope})` : ''}`],
      ['DestinationRule', rule ?? 'none decides'],
      ['For example', `${examples.join(', ')}${endpoints > examples.length ? ', ...' : ''}`],
    ])
    return make('div', {class: `cell ${result}-edge`}, head, facts)
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
    const item = document.activeElement?.closest('#pairs > li')
    const next = event.key === 'ArrowDown' ? item?.nextElementSibling : item?.previousElementSibling
    next?.querySelector('button')?.focus()
    event.preventDefault()
  }
}

function factsOf(rows: readonly (readonly [string, string])[]): HTMLElement {
  const list = make('dl')
  for (const [name, value] of rows) {
    if (value !== '') list.append(make('dt', {}, name), make('dd', {}, nameOf(value, 'value')))
  }
  return list
}

function shortClient({namespace, workloads}: PageClient): string {
  const more = workloads.length - SHOWN_WORKLOADS
  return `${namespace}/${workloads.slice(0, SHOWN_WORKLOADS).join(', ')}${more > 0 ? ` +${more}` : ''}`
}

function shareText({works, total}: PairSet): string {
  return `${numberText(works)} of ${counted(total, 'endpoint')} ${total === 1 ? 'works' : 'work'}`
}
