// SPDX-License-Identifier: Apache-2.0
/** Table of an install or uninstall: objects, then nodes. */
import type {InstallItem, InstallState} from '../model/install-report.ts'
import type {Report} from '../model/report.ts'
import type {View} from './formats.ts'
import type {Tone} from './table.ts'
import {count} from './text.ts'

const TONES: Readonly<Partial<Record<InstallState, Tone>>> = {
  created: 'good',
  changed: 'good',
  deleted: 'good',
  ready: 'good',
  cleaned: 'good',
  kept: 'warn',
  pending: 'warn',
  skipped: 'warn',
  refused: 'bad',
  failed: 'bad',
}

export const installView: View<InstallItem> = {
  columns: [
    {header: 'KIND', value: (item) => item.kind},
    {header: 'NAMESPACE', value: (item) => item.namespace},
    {header: 'NAME', value: (item) => item.name},
    {header: 'STATE', value: (item) => item.state, tone: (item) => TONES[item.state]},
    {header: 'NOTE', value: (item) => item.message ?? item.code},
    {header: 'CHANGES', value: (item) => item.changes.join('; '), wide: true},
  ],
  name: (item) => `${item.kind.toLowerCase()}/${item.name}`,
  totals: (report) => totalsOf(report),
  empty: 'nothing to do: no object of this install is in the cluster',
}

function totalsOf(report: Report<InstallItem>): string | undefined {
  if (report.items.length === 0) return undefined
  const parts = [statesOf(report, false, 'object'), statesOf(report, true, 'node')]
  const suffix = report.summary['dryRun'] === 'none' ? '' : ' (dry run)'
  return `${parts.filter((part) => part !== '').join('; ')}${suffix}`
}

function statesOf(report: Report<InstallItem>, ofNodes: boolean, noun: string): string {
  const items = report.items.filter(({kind}) => (kind === 'Node') === ofNodes)
  if (items.length === 0) return ''
  const states = Map.groupBy(items, ({state}) => state)
  return `${count(items.length, noun)}: ${[...states].map(([state, all]) => `${all.length} ${state}`).join(', ')}`
}

/** `Install Kmesh into kmesh-system? 8 objects will be created.` */
export function installQuestion(namespace: string, items: readonly InstallItem[]): string {
  const created = items.filter(({code}) => code === 'Create').length
  const changed = items.filter(({code}) => code === 'Update').length
  const parts = [
    ...(created > 0 ? [`${count(created, 'object')} will be created`] : []),
    ...(changed > 0 ? [`${count(changed, 'object')} will be changed`] : []),
  ]
  return `Install Kmesh into namespace ${namespace}? ${parts.join(', ')}.`
}

export function uninstallQuestion(namespace: string, nodes: number, enrolled: number): string {
  const pods = enrolled === 0 ? '' : ` ${count(enrolled, 'enrolled pod')} will no longer be redirected.`
  return `Uninstall Kmesh from namespace ${namespace} and ${count(nodes, 'node')}?${pods}`
}
