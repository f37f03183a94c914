// SPDX-License-Identifier: Apache-2.0
import type {LevelChangeItem, LogLevelItem} from '../model/log-level.ts'
import type {View} from './formats.ts'
import type {Column} from './table.ts'
import {count} from './text.ts'

const columns: readonly Column<LogLevelItem>[] = [
  {header: 'NODE', value: (item) => item.node},
  {header: 'LOGGER', value: (item) => item.logger},
  {header: 'LEVEL', value: (item) => item.level},
  {header: 'DEFAULT', value: (item) => item.default},
  {header: 'EXPIRES', value: (item) => item.lease?.expiresAt},
  {header: 'POD', value: (item) => item.pod, wide: true},
]

export const logLevelView: View<LogLevelItem> = {columns, name: (item) => `logger/${item.logger}`}

export const levelChangeView: View<LevelChangeItem> = {
  columns: [
    {header: 'NODE', value: (item) => item.node},
    {header: 'LOGGER', value: (item) => item.logger},
    {
      header: 'RESULT',
      value: (item) => item.result,
      tone: (item) => (item.result === 'set' ? 'good' : 'dim'),
    },
    {header: 'BEFORE', value: (item) => item.previous},
    {header: 'LEVEL', value: (item) => item.level},
    {header: 'EXPIRES', value: (item) => item.lease?.expiresAt},
    {header: 'POD', value: (item) => item.pod, wide: true},
  ],
  name: (item) => `logger/${item.logger}`,
  totals: ({summary}) => `${count(summary.ok, 'daemon')} of ${summary.requested} done`,
}
