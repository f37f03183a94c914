// SPDX-License-Identifier: Apache-2.0
/** Table of a plan and of what became of it. */
import {type Plan, writesOf} from '../model/plan.ts'
import type {InteropChange, PairChange} from '../model/plan-interop.ts'
import type {EnrollItem, EnrollState} from '../model/plan-result.ts'
import type {Report} from '../model/report.ts'
import type {View} from './formats.ts'
import type {Tone} from './table.ts'
import {count} from './text.ts'

const TONES: Readonly<Partial<Record<EnrollState, Tone>>> = {
  changed: 'good',
  pending: 'warn',
  skipped: 'warn',
  refused: 'bad',
  failed: 'bad',
}

/** Rows of namespaces show their label under NOW and AFTER. */
export const enrollView: View<EnrollItem> = {
  columns: [
    {header: 'NAMESPACE', value: (item) => item.namespace},
    {header: 'POD', value: (item) => (item.kind === 'Namespace' ? '(namespace)' : item.name)},
    {header: 'NODE', value: (item) => item.node},
    {
      header: 'NOW',
      value: (item) => (item.kind === 'Namespace' ? item.label?.before : (item.now?.capture ?? 'unknown')),
    },
    {
      header: 'AFTER',
      value: (item) => (item.kind === 'Namespace' ? item.label?.after : (item.after?.capture ?? 'unknown')),
    },
    {header: 'REASON', value: (item) => (item.kind === 'Namespace' ? 'Label' : item.reason)},
    {header: 'STATE', value: (item) => item.state, tone: (item) => TONES[item.state]},
    {header: 'NOTE', value: (item) => item.code},
    {header: 'LABEL', value: (item) => labelOf(item), wide: true},
    {header: 'SOURCE', value: (item) => item.now?.source, wide: true},
    {header: 'RULE NOW', value: (item) => item.now?.rule, wide: true},
    {header: 'SEEN IN', value: (item) => item.reached, wide: true},
  ],
  name: (item) => `${item.kind.toLowerCase()}/${item.name}`,
  totals: (report) => totalsOf(report),
}

/** `none -> kmesh`; nothing where the object's own label is not touched. */
function labelOf({label}: EnrollItem): string | null {
  if (label === null || label.before === label.after) return null
  return `${label.before ?? '<none>'} -> ${label.after ?? '<none>'}`
}

function totalsOf(report: Report<EnrollItem>): string | undefined {
  if (report.items.length === 0) return undefined
  const dryRun = report.summary['dryRun']
  const suffix = dryRun === 'client' ? ' (dry run)' : dryRun === 'server' ? ' (server dry run)' : ''
  const kinds = (['Namespace', 'Pod'] as const).map((kind) => statesOf(report.items, kind))
  return `${kinds.filter((text) => text !== '').join('; ')}${suffix}`
}

/** `3 pods: 2 changed, 1 skipped`, the states in the order of their first item. */
function statesOf(items: readonly EnrollItem[], kind: EnrollItem['kind']): string {
  const states = Map.groupBy(
    items.filter((item) => item.kind === kind),
    (item) => item.state,
  )
  const parts = [...states].map(([state, ofState]) => `${ofState.length} ${state}`)
  const total = [...states.values()].reduce((sum, ofState) => sum + ofState.length, 0)
  return total === 0 ? '' : `${count(total, kind.toLowerCase())}: ${parts.join(', ')}`
}

const LINES = 20

/** A line for each pair whose verdict changes, those that break first; a document has all of them. */
export function interopLines(change: InteropChange | null): readonly string[] {
  const changes = change?.changes ?? []
  const sorted = [...changes.filter(({breaks}) => breaks), ...changes.filter(({breaks}) => !breaks)]
  const lines = sorted.slice(0, LINES).map(pairLine)
  const more = sorted.length - lines.length
  return more > 0 ? [...lines, `interop: and ${count(more, 'pair')} more; -o json lists all of them`] : lines
}

function pairLine({client, server, from, to, breaks, reason, fix}: PairChange): string {
  const {namespace, workloads} = client
  const others = workloads.length > 1 ? `,+${workloads.length - 1}` : ''
  const pair = `${namespace}/${workloads[0]}${others} -> ${server.namespace}/${server.name}:${server.port}`
  const advice = breaks && fix !== null ? `; ${fix}` : ''
  return `interop: ${pair}: ${from} -> ${to} (${reason})${advice}`
}

/** `Enroll namespace shop? 10 of its 12 pods change.`, and what breaks by it. */
export function enrollQuestion(plan: Plan, breaks = 0): string {
  const names = writesOf(plan).map((target) => target.name)
  const verb = plan.action === 'enroll' ? 'Enroll' : 'Unenroll'
  const kind = plan.targets[0]?.kind === 'Pod' ? 'pod' : 'namespace'
  const what =
    names.length === 1
      ? `${kind} ${names[0]}`
      : `${names.length} ${kind}s (${names.slice(0, 5).join(', ')}${names.length > 5 ? ', ...' : ''})`
  const changing = plan.pods.filter((pod) => pod.follow).length
  const broken = breaks > 0 ? ` ${count(breaks, 'pair')} of client and server will break, see above.` : ''
  return `${verb} ${what}? ${changing} of ${count(plan.pods.length, 'pod')} will change.${broken}`
}
