// SPDX-License-Identifier: Apache-2.0
/** Text of `path`: the hops, what may happen, and one closing sentence. */
import type {CheckVerdict} from '../model/interop-check.ts'
import type {HopState, PathHop, PathItem} from '../model/path.ts'
import {hostPort} from '../model/path-sentence.ts'
import type {PathTrace} from '../model/path-trace.ts'
import {type PathWay, reasonText} from '../model/path-ways.ts'
import type {RenderContext, View} from './formats.ts'
import {type Column, renderTable, type Tone} from './table.ts'
import {clean, count} from './text.ts'

/** Told apart without colours too. */
const SIGNS: Readonly<Record<HopState, {readonly sign: string; readonly tone: Tone}>> = {
  ok: {sign: '+', tone: 'good'},
  differs: {sign: '!', tone: 'bad'},
  missing: {sign: '-', tone: 'bad'},
  unknown: {sign: '?', tone: 'warn'},
  skipped: {sign: '.', tone: 'dim'},
}
const VERDICT_TONES: Readonly<Record<CheckVerdict, Tone>> = {
  works: 'good',
  unknown: 'warn',
  depends: 'bad',
  fails: 'bad',
}

const HOP_COLUMNS: readonly Column<PathHop>[] = [
  {header: 'HOP', value: ({hop}) => hop},
  {
    header: 'STATE',
    value: ({state}) => `${SIGNS[state].sign} ${state}`,
    tone: ({state}) => SIGNS[state].tone,
  },
  {header: 'KERNEL', value: ({kernel}) => kernel ?? '-'},
  {header: 'KUBERNETES', value: ({kubernetes}) => kubernetes ?? '-'},
  {header: 'NOTE', value: ({note}) => note ?? '-'},
]

interface WayRow {
  readonly way: PathWay
  readonly all: number
}

const SHOWN_PODS = 3
const SHOWN_WAYS = 12

const WAY_COLUMNS: readonly Column<WayRow>[] = [
  {header: 'SHARE', value: ({way, all}) => `${way.weight}/${all}`},
  {header: 'BY', value: ({way}) => way.via},
  {header: 'PEER', value: ({way}) => hostPort(way.address, way.port)},
  {header: 'PODS', value: ({way}) => podsText(way.pods)},
  {header: 'VERDICT', value: ({way}) => way.verdict, tone: ({way}) => VERDICT_TONES[way.verdict]},
  {header: 'REASON', value: ({way}) => way.reason},
  {header: 'WHY', value: ({way}) => reasonText(way.reason), wide: true},
  {header: 'FIX', value: ({way}) => way.fix ?? '-', wide: true},
]

/** For what the pieces below are not. */
export const pathView: View<PathItem> = {
  columns: [],
  name: ({client}) => `pod/${client.name}`,
}

export async function* pathPieces(
  items: readonly PathItem[],
  context: RenderContext & {readonly wide: boolean},
): AsyncGenerator<string, void, undefined> {
  for (const [index, item] of items.entries()) {
    if (index > 0) yield '\n'
    const all = item.ways.reduce((sum, {weight}) => sum + weight, 0)
    yield `${clean(titleOf(item))}\n\n`
    yield await renderTable(HOP_COLUMNS, item.hops, context)
    yield '\n'
    const ways = item.ways.map((way) => ({way, all}))
    const shown = context.wide ? ways : ways.slice(0, SHOWN_WAYS)
    yield await renderTable(WAY_COLUMNS, shown, context)
    if (shown.length < ways.length) yield `and ${ways.length - shown.length} more (-o wide)\n`
    yield `\n${clean(item.sentence)}\n`
    if (item.trace !== undefined) yield traceText(item.trace)
  }
}

function traceText({connections, agrees, peers, pods, errors, surprises}: PathTrace): string {
  const sums = [countsText('to', peers), countsText('answered by', pods), countsText('failed', errors)]
  const said = agrees ? '+ agrees' : `! differs: ${surprises.join('; ') || 'nothing was connected'}`
  const parts = sums.filter((text) => text !== '').join('; ')
  return `${clean(`trace: ${count(connections, 'connection')}, ${parts} ${said}`)}\n`
}

function countsText(title: string, counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([text, number]) => `${text} (${number})`)
  return parts.length === 0 ? '' : `${title} ${parts.join(', ')}`
}

function titleOf({client, destination}: PathItem): string {
  const {address, port, service, pod} = destination
  const what = service === null ? (pod === null ? '' : ` (pod ${pod})`) : ` (service ${service})`
  return `${client.namespace}/${client.name} on ${client.node} -> ${hostPort(address, port)}${what}`
}

function podsText(pods: readonly string[]): string {
  if (pods.length === 0) return '-'
  const more = pods.length > SHOWN_PODS ? `,+${pods.length - SHOWN_PODS}` : ''
  return `${pods.slice(0, SHOWN_PODS).join(',')}${more}`
}
