// SPDX-License-Identifier: Apache-2.0
/** Rows of the table of dialects.test.ts: versions, status, log levels. By hand. */
import type {GoVersion} from '../fakes/go-daemon/dialects.ts'
import {error, type Item, isOld, NONE, type Row, shown, silent, UNREADABLE} from './dialects-row.ts'

const dialectOf: Readonly<Record<GoVersion, string>> = {
  'v0.4.0': 'v0.4.0',
  'v0.5.0': 'v0.5',
  'v1.0.0': 'v1.0',
  'v1.1.0': 'v1.1',
  'v1.2.0': 'v1.2',
  'v0.0.0-master': 'v1.2',
}

const LEVELS = {
  header: 'NODE LOGGER LEVEL DEFAULT EXPIRES',
  cellsOf: (item: Item) => [item.node, item.logger, item.level, item.default, item.lease?.expiresAt],
}
const CHANGES = {
  header: 'NODE LOGGER RESULT BEFORE LEVEL EXPIRES',
  cellsOf: (item: Item) => [
    item.node,
    item.logger,
    item.result,
    item.previous,
    item.level,
    item.lease?.expiresAt,
  ],
}

export const DAEMON_ROWS: readonly Row[] = [
  {
    id: 'version',
    words: 'version --all-nodes',
    code: 0,
    header: 'COMPONENT NODE VERSION MODE DIALECT',
    cellsOf: (item) => [item.component, item.node, item.version, item.mode, item.dialect],
    first: [['client', NONE, '<version>', NONE, NONE]],
    cells: (cell) => [['daemon', cell.node, shown(cell), cell.mode, dialectOf[cell.version]]],
    stderr: silent,
    totals: [],
  },
  {
    id: 'status',
    words: 'status',
    code: 0,
    header: 'NODE DAEMON MODE VERSION READY ENROLLED LOG_LEVELS PROBLEMS',
    cellsOf: ({node, daemon, mode, version, ready, readyFrom, enrolledPods, totalPods, levels, problems}) => [
      node,
      daemon,
      mode,
      version,
      `${ready === true ? 'yes' : 'no'} (${readyFrom})`,
      `${enrolledPods}/${totalPods}`,
      `default=${levels.default} bpf=${levels.bpf ?? '?'}`,
      problems.length === 0 ? null : problems,
    ],
    // Whatever a Go daemon's /debug/ready says, only its pod tells that it is ready (A10).
    cells: (cell) => [
      [
        cell.node,
        `kmesh-${cell.node}`,
        cell.mode,
        shown(cell),
        'yes (pod)',
        '0/12',
        `default=info bpf=${isOld(cell, 'v0.4.0') ? '?' : 'info'}`,
        NONE,
      ],
    ],
    stderr: silent,
    totals: ['12 nodes, 12 with a ready daemon'],
  },
]

export const LOG_ROWS: readonly Row[] = [
  {
    id: 'log:list',
    words: 'log list --all-nodes',
    code: 0,
    ...LEVELS,
    cells: (cell) => [
      [cell.node, 'bpf', isOld(cell, 'v0.4.0') ? NONE : 'info', NONE, NONE],
      [cell.node, 'default', 'info', NONE, NONE],
      [cell.node, 'fileOnly', 'info', NONE, NONE],
    ],
    stderr: (cell) =>
      isOld(cell, 'v0.4.0')
        ? [
            `warning: node ${cell.node}: Kmesh v0.4.0 cannot list loggers: bpf, default, fileOnly are assumed (LoggersAssumed)`,
            UNREADABLE(cell),
          ]
        : [],
    totals: [],
  },
  {
    id: 'log:get',
    words: 'log get bpf --all-nodes',
    code: 0,
    ...LEVELS,
    cells: (cell) => [[cell.node, 'bpf', isOld(cell, 'v0.4.0') ? NONE : 'info', NONE, NONE]],
    stderr: (cell) => (isOld(cell, 'v0.4.0') ? [UNREADABLE(cell)] : []),
    totals: [],
  },
  {
    id: 'log:get',
    words: 'log get nope --all-nodes',
    code: 1,
    ...LEVELS,
    cells: () => [],
    stderr: (cell) => [error(cell, "there is no logger 'nope'"), 'hint: loggers are bpf, default, fileOnly'],
    totals: [],
  },
  {
    id: 'log:set-level',
    words: 'log set-level warn bpf=debug --all-nodes',
    code: 0,
    ...CHANGES,
    cells: (cell) => [
      [cell.node, 'default', 'set', 'info', 'warn', NONE],
      isOld(cell, 'v0.4.0')
        ? [cell.node, 'bpf', 'set', NONE, NONE, NONE]
        : [cell.node, 'bpf', 'set', 'info', 'debug', NONE],
    ],
    stderr: (cell) => [
      ...(isOld(cell, 'v0.4.0') ? [UNREADABLE(cell)] : []),
      `warning: node ${cell.node}: BPF lines come out at info, and logger 'default' is at warn: they are not shown (DefaultHidesBpf)`,
    ],
    totals: ['12 daemons of 12 done'],
  },
  {
    id: 'log:set-level',
    words: 'log set-level bpf=debug --for 1s --all-nodes',
    code: 4,
    ...CHANGES,
    cells: (cell) => (isOld(cell, 'v0.4.0') ? [] : [[cell.node, 'bpf', 'set', 'info', 'debug', '<time>']]),
    stderr: (cell) =>
      isOld(cell, 'v0.4.0')
        ? [
            error(
              cell,
              "Kmesh v0.4.0 does not tell the level of logger 'bpf', so nobody knows what to put back",
            ),
            'hint: --revert-to LEVEL says it; then it is put back without comparing',
          ]
        : [`node ${cell.node}: logger 'bpf' is back at info`],
    said: ['kmeshctl stays until <time> to put 10 levels back; Ctrl-C does it now'],
    totals: ['10 daemons of 12 done'],
  },
  {
    id: 'log:set-level',
    words: 'log set-level bpf=debug --for 1s --revert-to error --all-nodes',
    code: 0,
    ...CHANGES,
    cells: (cell) => [
      isOld(cell, 'v0.4.0')
        ? [cell.node, 'bpf', 'set', NONE, NONE, '<time>']
        : [cell.node, 'bpf', 'set', 'info', 'debug', '<time>'],
    ],
    stderr: (cell) =>
      isOld(cell, 'v0.4.0')
        ? [UNREADABLE(cell), `node ${cell.node}: logger 'bpf' is back at error without comparing`]
        : [`node ${cell.node}: logger 'bpf' is back at info`],
    said: ['kmeshctl stays until <time> to put 12 levels back; Ctrl-C does it now'],
    totals: ['12 daemons of 12 done'],
  },
]
