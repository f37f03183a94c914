// SPDX-License-Identifier: Apache-2.0
/** Table of `interop check`: one line for clients that are alike and a port, with its worst endpoints. */
import type {CheckCell, CheckItem, CheckVerdict} from '../model/interop-check.ts'
import type {Report} from '../model/report.ts'
import type {View} from './formats.ts'
import type {Tone} from './table.ts'
import {count} from './text.ts'

const TONES: Readonly<Record<CheckVerdict, Tone>> = {
  works: 'good',
  unknown: 'warn',
  depends: 'bad',
  fails: 'bad',
}
const SHOWN_WORKLOADS = 2

export const checkView: View<CheckItem> = {
  columns: [
    {header: 'CLIENT', value: ({client}) => clientText(client)},
    {header: 'SERVER', value: ({server}) => `${server.namespace}/${server.name}:${server.port}`},
    {header: 'VERDICT', value: ({verdict}) => verdict, tone: ({verdict}) => TONES[verdict]},
    {header: 'WORKS', value: ({share}) => `${share.works}/${share.works + share.fails + share.unknown}`},
    {header: 'CELL', value: ({cells}) => cellText(cells[0])},
    {header: 'REASON', value: ({cells}) => cells[0]?.reason},
    {header: 'FIX', value: ({cells}) => cells[0]?.fix},
    {header: 'WHY', value: ({cells}) => cells[0]?.why, wide: true},
    {header: 'MTLS', value: ({cells}) => mtlsText(cells[0]), wide: true},
    {header: 'RULE', value: ({cells}) => cells[0]?.rule, wide: true},
    {header: 'FOR EXAMPLE', value: ({cells}) => cells[0]?.examples.join(','), wide: true},
  ],
  name: ({server}) => `${server.direct ? 'pod' : 'service'}/${server.name}`,
  totals: totalsOf,
  empty: 'Nothing to list',
}

function clientText({namespace, workloads}: CheckItem['client']): string {
  const more = workloads.length - SHOWN_WORKLOADS
  return `${namespace}/${workloads.slice(0, SHOWN_WORKLOADS).join(',')}${more > 0 ? `,+${more}` : ''}`
}

/** `sidecar->bypassed (mtls)`: who has the client, who has the server, what is sent. */
function cellText(cell: CheckCell | undefined): string | null {
  if (cell === undefined || cell.row === null) return null
  return `${cell.row}->${cell.column}${cell.sent === null ? '' : ` (${cell.sent})`}`
}

function mtlsText(cell: CheckCell | undefined): string | null {
  const mtls = cell?.mtls
  if (mtls === null || mtls === undefined) return null
  return mtls.policy === null ? mtls.mode : `${mtls.mode} by ${mtls.policy}`
}

function totalsOf({summary}: Report<CheckItem>): string {
  const verdicts = summary['verdicts'] as Readonly<Record<CheckVerdict, number>>
  const parts = Object.entries(verdicts).filter(([, number]) => number > 0)
  const sums = parts.map(([name, number]) => `${name} ${number}`).join(', ') || 'none'
  const hidden = summary.requested - Number(summary['listed'])
  const left = hidden > 0 ? `; ${hidden} that work are not listed (--show=all)` : ''
  return `${count(summary.requested, 'pair')}: ${sums}${left}`
}
