// SPDX-License-Identifier: Apache-2.0
/** Table of `interop status`. */
import type {InteropItem, InteropState, SidecarView} from '../model/interop.ts'
import type {Report} from '../model/report.ts'
import type {View} from './formats.ts'
import type {Tone} from './table.ts'
import {age, count} from './text.ts'

const TONES: Readonly<Record<InteropState, Tone>> = {
  active: 'good',
  pending: 'warn',
  stale: 'bad',
  conflict: 'bad',
}

export const interopView: View<InteropItem> = {
  columns: [
    {header: 'NAMESPACE', value: (item) => item.namespace},
    {header: 'POD', value: (item) => (item.kind === 'Namespace' ? '(namespace)' : item.name)},
    {header: 'NODE', value: (item) => (item.kind === 'Pod' ? item.node : null)},
    {header: 'INTENT', value: (item) => item.intent},
    {header: 'NOW', value: (item) => nowOf(item)},
    {header: 'SOURCE', value: (item) => (item.kind === 'Pod' ? item.source : null)},
    {header: 'SIDECAR', value: (item) => (isBypassed(item) ? 'bypassed' : sidecarOf(item.sidecar))},
    {
      header: 'STATE',
      value: (item) => item.state ?? 'unknown',
      tone: (item) => (item.state === null ? 'warn' : TONES[item.state]),
    },
    {header: 'REASON', value: (item) => (item.kind === 'Pod' ? item.reason : null)},
    {header: 'CLAIMS', value: (item) => (item.kind === 'Pod' ? item.claims.join('+') : null), wide: true},
    {header: 'REVISION', value: (item) => item.sidecar.revision, wide: true},
    {header: 'INTENT AGE', value: (item) => ageOf(item), wide: true},
  ],
  name: (item) => `${item.kind.toLowerCase()}/${item.name}`,
  totals: (report) => totalsOf(report),
}

function nowOf(item: InteropItem): string {
  if (item.kind === 'Pod') return item.capture ?? 'unknown'
  return countsText(item.pods)
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
  const {requested, namespaces, captures, states} = report.summary
  if (report.items.length === 0) return undefined
  const heads = `${count(Number(namespaces), 'namespace')}, ${count(requested, 'pod')}`
  return `${heads}; captured by: ${countsText(captures)}; states: ${countsText(states)}`
}

/** `kmesh 3, none 1`, without zeros. */
function countsText(counts: unknown): string {
  const entries = Object.entries(counts as Readonly<Record<string, number>>).filter(
    ([, number]) => number > 0,
  )
  return entries.map(([name, number]) => `${name} ${number}`).join(', ') || 'no pods'
}
