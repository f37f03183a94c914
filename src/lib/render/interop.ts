// SPDX-License-Identifier: Apache-2.0
/** Table of `interop status`. */
import type {InteropItem, InteropState, SidecarView} from '../model/interop.ts'
import type {Report} from '../model/report.ts'
import type {View} from './formats.ts'
import {type Column, paint, type Tone} from './table.ts'
import {age, clean, count} from './text.ts'

const TONES: Readonly<Record<InteropState, Tone>> = {
  active: 'good',
  pending: 'warn',
  stale: 'bad',
  conflict: 'bad',
}

const STATE: Column<InteropItem> = {
  header: 'STATE',
  value: (item) => item.state ?? 'unknown',
  tone: (item) => (item.state === null ? 'warn' : TONES[item.state]),
}
const NAMESPACE: Column<InteropItem> = {header: 'NAMESPACE', value: (item) => item.namespace}
const REASON: Column<InteropItem> = {header: 'REASON', value: (item) => item.reason}
const INTENT: Column<InteropItem> = {header: 'INTENT', value: intentOf}
const NOW: Column<InteropItem> = {header: 'NOW', value: nowOf}

const COMMON: Pick<View<InteropItem>, 'name' | 'totals'> = {
  name: (item) => `${item.kind.toLowerCase()}/${item.name}`,
  totals: totalsOf,
}

export const interopView: View<InteropItem> = {
  ...COMMON,
  columns: [
    NAMESPACE,
    {header: 'POD', value: (item) => (item.kind === 'Namespace' ? '(namespace)' : item.name)},
    {header: 'NODE', value: (item) => (item.kind === 'Pod' ? item.node : null)},
    INTENT,
    NOW,
    {header: 'SOURCE', value: (item) => (item.kind === 'Pod' ? item.source : null)},
    {header: 'SIDECAR', value: sidecarText},
    STATE,
    REASON,
    {header: 'CLAIMS', value: (item) => (item.kind === 'Pod' ? item.claims.join('+') : null), wide: true},
    {header: 'REVISION', value: (item) => ('sidecar' in item ? item.sidecar.revision : null), wide: true},
    {header: 'INTENT AGE', value: (item) => ageOf(item), wide: true},
  ],
}

/** Who receives: the counts are of ready endpoints. */
export const interopServiceView: View<InteropItem> = {
  ...COMMON,
  columns: [
    NAMESPACE,
    {header: 'SERVICE', value: (item) => item.name},
    INTENT,
    {header: 'RECEIVED BY', value: nowOf},
    {header: 'BYPASSED', value: bypassedOf, align: 'right'},
    {header: 'NOT READY', value: (item) => (item.kind === 'Service' ? item.notReady : null), align: 'right'},
    STATE,
    REASON,
  ],
}

export const interopClusterView: View<InteropItem> = {
  ...COMMON,
  columns: [
    {header: 'NAMESPACES', value: (item) => (item.kind === 'Cluster' ? item.namespaces : null)},
    INTENT,
    NOW,
    {header: 'BYPASSED', value: bypassedOf, align: 'right'},
    STATE,
    REASON,
    {header: 'STATES', value: (item) => (item.kind === 'Cluster' ? countsText(item.states) : null)},
  ],
}

function nowOf(item: InteropItem): string {
  if (item.kind === 'Pod') return item.capture ?? 'unknown'
  return item.kind === 'Service' ? countsText(item.endpoints, 'no endpoints') : countsText(item.pods)
}

function bypassedOf(item: InteropItem): number | null {
  return 'bypassed' in item ? item.bypassed : null
}

function intentOf(item: InteropItem): string {
  return 'intents' in item ? countsText(item.intents) : item.intent
}

function sidecarText(item: InteropItem): string | null {
  if (!('sidecar' in item)) return null
  return isBypassed(item) ? 'bypassed' : sidecarOf(item.sidecar)
}

function isBypassed(item: InteropItem): boolean {
  return item.kind === 'Pod' && item.sidecar.injected === true && item.bypass?.active === true
}

/** What is now, and what a restart makes of it. */
function sidecarOf({injected, nextStart}: SidecarView): string | null {
  if (injected === null) return nextStart ? 'new pods' : null
  if (injected) return nextStart ? 'injected' : 'until restart'
  return nextStart ? 'at restart' : null
}

function ageOf(item: InteropItem): string | null {
  return item.kind === 'Pod' && item.intentAgeMs !== null ? age(item.intentAgeMs) : null
}

function totalsOf(report: Report<InteropItem>): string | undefined {
  const {requested, namespaces, services, captures, states} = report.summary
  if (report.items.length === 0) return undefined
  const served = services === undefined ? '' : `${count(Number(services), 'service')}, `
  const heads = `${count(Number(namespaces), 'namespace')}, ${served}${count(requested, 'pod')}`
  return `${heads}; captured by: ${countsText(captures)}; states: ${countsText(states)}`
}

/** `kmesh 3, none 1`, without zeros. */
function countsText(counts: unknown, none = 'no pods'): string {
  const entries = Object.entries(counts as Readonly<Record<string, number>>).filter(
    ([, number]) => number > 0,
  )
  return entries.map(([name, number]) => `${name} ${number}`).join(', ') || none
}

const WORDS = {ADDED: 'added', MODIFIED: 'changed', DELETED: 'removed'} as const

/** One change as a line: `12:00:03 changed shop/web intent kmesh, now none: pending (KernelDiffers)`. UTC. */
export function changeLine(
  type: keyof typeof WORDS,
  item: InteropItem,
  nowMs: number,
  color: boolean,
): string {
  const time = new Date(nowMs).toISOString().slice(11, 19)
  const kind = item.kind === 'Pod' ? '' : `${item.kind.toLowerCase()}/`
  const place = item.kind === 'Pod' || item.kind === 'Service' ? `${item.namespace}/` : ''
  const name = `${kind}${place}${item.name}`
  const state = paint(item.state ?? 'unknown', item.state === null ? 'warn' : TONES[item.state], color)
  const reason = item.reason === null ? '' : ` (${clean(item.reason)})`
  const notReady = item.kind === 'Service' && item.notReady > 0 ? `, not ready ${item.notReady}` : ''
  const what = `intent ${clean(intentOf(item))}, now ${clean(nowOf(item))}${notReady}`
  return `${time} ${WORDS[type]} ${clean(name)} ${what}: ${state}${reason}\n`
}
