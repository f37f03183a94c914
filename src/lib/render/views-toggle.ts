// SPDX-License-Identifier: Apache-2.0
import type {ToggleChangeItem, ToggleItem, ToggleState} from '../model/toggle.ts'
import type {View} from './formats.ts'
import type {Tone} from './table.ts'
import {count} from './text.ts'

const TONES: Readonly<Partial<Record<ToggleState, Tone>>> = {on: 'good', unknown: 'dim'}

export const toggleView: View<ToggleItem> = {
  columns: [
    {header: 'NODE', value: (item) => item.node},
    {header: 'TOGGLE', value: (item) => item.toggle},
    {header: 'STATE', value: (item) => item.state, tone: (item) => TONES[item.state]},
    {header: 'REASON', value: (item) => item.reason?.message},
    {header: 'POD', value: (item) => item.pod, wide: true},
  ],
  name: (item) => `toggle/${item.toggle}`,
}

export const toggleChangeView: View<ToggleChangeItem> = {
  columns: [
    {header: 'NODE', value: (item) => item.node},
    {header: 'TOGGLE', value: (item) => item.toggle},
    {header: 'VALUE', value: (item) => item.wanted},
    {
      header: 'RESULT',
      value: (item) => item.result,
      tone: (item) => (item.result === 'set' ? 'good' : 'dim'),
    },
    {header: 'BEFORE', value: (item) => item.previous},
    {header: 'READ BACK', value: (item) => item.state},
    {header: 'POD', value: (item) => item.pod, wide: true},
  ],
  name: (item) => `toggle/${item.toggle}`,
  totals: ({summary}) => `${count(summary.ok, 'daemon')} of ${summary.requested} done`,
}
