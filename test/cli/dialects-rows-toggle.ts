// SPDX-License-Identifier: Apache-2.0
/** Rows of the table of dialects.test.ts: toggles. By hand. */
import type {Cell} from './dialects-fixture.ts'
import {BEFORE_V1, type Item, isNative, isOld, lacks, type Row, shown, silent} from './dialects-row.ts'

const TOGGLES = ['authz', 'monitoring', 'access-log', 'workload-metrics', 'connection-metrics']
const FORGOTTEN =
  'warning: a Go daemon forgets its toggles: after a restart they have their defaults again (ForgottenOnRestart)'
const ALSO = (version: string, others: string): string =>
  `warning: Kmesh ${version}: monitoring=off switched ${others} off too (AlsoSwitched)`
const ALL_OTHERS = 'access-log, workload-metrics, connection-metrics'
const CHANGED = {
  header: 'NODE TOGGLE VALUE RESULT BEFORE READ_BACK',
  cellsOf: (item: Item) => [item.node, item.toggle, item.wanted, item.result, item.previous, item.state],
}

/** What this daemon cannot switch, if so; undefined: it can. */
function toggleLack(cell: Cell, toggle: string): string | undefined {
  if (isOld(cell, ...BEFORE_V1)) return `toggle '${toggle}'`
  if (isOld(cell, 'v1.0.0') && toggle === 'connection-metrics') return `toggle '${toggle}'`
  return isNative(cell) ? `toggle '${toggle}' in kernel-native mode` : undefined
}

const setRow = (
  words: string,
  totals: string,
  said: readonly string[],
  ...toggles: [string, string][]
): Row => ({
  id: 'toggle:set',
  words: `toggle set ${words} --all-nodes`,
  code: 4,
  ...CHANGED,
  cells: (cell) =>
    toggles.some(([toggle]) => toggleLack(cell, toggle) !== undefined)
      ? []
      : toggles.map(([toggle, value]) => [cell.node, toggle, value, 'set', 'unknown', 'unknown']),
  stderr: (cell) => {
    const [lack] = toggles.flatMap(([toggle]) => toggleLack(cell, toggle) ?? [])
    return lack === undefined ? [] : lacks(cell, lack)
  },
  said: [...said, FORGOTTEN],
  totals: [totals],
})

export const TOGGLE_ROWS: readonly Row[] = [
  {
    id: 'toggle:list',
    words: 'toggle list --all-nodes',
    code: 0,
    header: 'NODE TOGGLE STATE REASON',
    cellsOf: (item) => [item.node, item.toggle, item.state, item.reason.message],
    cells: (cell) =>
      TOGGLES.map((toggle) => {
        const lack = toggleLack(cell, toggle)
        const why = lack === undefined ? `tell whether ${toggle} is on (it answers 405)` : `support ${lack}`
        return [cell.node, toggle, 'unknown', `Kmesh ${shown(cell)} does not ${why}`]
      }),
    stderr: silent,
    totals: [],
  },
  setRow(
    'monitoring=off',
    '4 daemons of 12 done',
    [
      ALSO('v0.0.0-master', ALL_OTHERS),
      ALSO('v1.0.0', 'access-log, workload-metrics'),
      ALSO('v1.1.0', ALL_OTHERS),
      ALSO('v1.2.0', ALL_OTHERS),
    ],
    ['monitoring', 'off'],
  ),
  setRow(
    'connection-metrics=on authz=off',
    '3 daemons of 12 done',
    [],
    ['authz', 'off'],
    ['connection-metrics', 'on'],
  ),
]
