// SPDX-License-Identifier: Apache-2.0
/** Rows of the table of dialects.test.ts: enrollment and interop. By hand. */
import {CELLS, type Cell} from './dialects-fixture.ts'
import {type Item, isOld, NONE, type Row, silent} from './dialects-row.ts'

const isKnown = (cell: Cell): boolean => !isOld(cell, 'v0.4.0')
const NONE_UNKNOWN = ({node}: Cell): string =>
  `warning: pod shop/${node} has the label "none", which its daemon (Kmesh v0.4) does not know: it is enrolled all the same (RuleNotSupported)`
const OPEN = 'warning: connections that are open now keep their path; new ones change (OpenConnections)'
const PLANS = {
  header: 'NAMESPACE POD NODE NOW AFTER REASON STATE NOTE',
  cellsOf: ({kind, namespace, name, node, now, after, label, reason, state, code}: Item) => [
    namespace,
    ...(kind === 'Namespace'
      ? ['(namespace)', node, label.before, label.after, 'Label']
      : [name, node, now?.capture ?? 'unknown', after?.capture ?? 'unknown', reason]),
    state,
    code,
  ],
}

export const ENROLL_ROWS: readonly Row[] = [
  {
    id: 'interop:status',
    words: 'interop status -A',
    code: 0,
    header: 'NAMESPACE POD NODE INTENT NOW SOURCE SIDECAR STATE REASON',
    cellsOf: (item) =>
      item.kind === 'Namespace'
        ? [
            'shop',
            '(namespace)',
            null,
            item.intent,
            `none ${item.pods.none}`,
            null,
            null,
            item.state,
            item.reason,
          ]
        : [
            item.namespace,
            item.name,
            item.node,
            item.intent,
            item.capture,
            item.source,
            item.sidecar.injected ? 'injected' : null,
            item.state,
            item.reason,
          ],
    first: [['shop', '(namespace)', NONE, 'kmesh', 'none 12', NONE, NONE, 'stale', 'AnnotationDiffers']],
    // v0.4 does not know `none`: the namespace's label counts.
    cells: (cell) => [
      isKnown(cell)
        ? ['shop', cell.node, cell.node, 'none', 'none', 'annotation', NONE, 'active', 'PodLabelNone']
        : ['shop', cell.node, cell.node, 'kmesh', 'none', 'annotation', NONE, 'stale', 'AnnotationDiffers'],
    ],
    stderr: silent,
    totals: ['1 namespace, 12 pods; captured by: none 12; states: active 10, stale 2'],
  },
  {
    id: 'interop:check',
    words: 'interop check -A --show all',
    code: 0,
    header: 'CLIENT SERVER VERDICT WORKS CELL REASON FIX',
    cellsOf: ({client, server, verdict, share, cells: [cell]}) => [
      `${client.namespace}/${client.workloads.slice(0, 2)},+10`,
      `${server.namespace}/${server.name}:${server.port}`,
      verdict,
      `${share.works}/12`,
      `${cell.row}->${cell.column} (${cell.sent})`,
      cell.reason,
      cell.fix,
    ],
    // One line for all: no daemon of these has captured its pod, and clients that are alike are one.
    first: [
      [
        `shop/pod/${CELLS[0]?.node},pod/${CELLS[1]?.node},+10`,
        'shop/web:80',
        'works',
        '12/12',
        'plain->plain (plain)',
        'Direct',
        NONE,
      ],
    ],
    cells: () => [],
    stderr: silent,
    totals: ['1 pair: works 1'],
  },
  {
    id: 'enroll:namespace',
    words: 'enroll namespace -l team=shop --dry-run=client',
    code: 0,
    ...PLANS,
    first: [['shop', '(namespace)', NONE, 'kmesh', 'kmesh', 'Label', 'unchanged', 'AlreadyEnrolled']],
    cells: (cell) => [
      isKnown(cell)
        ? ['shop', cell.node, cell.node, 'none', 'none', 'PodLabelNone', 'unchanged', NONE]
        : ['shop', cell.node, cell.node, 'none', 'kmesh', 'NamespaceLabel', 'planned', NONE],
    ],
    stderr: (cell) => (isKnown(cell) ? [] : [NONE_UNKNOWN(cell)]),
    said: [OPEN],
    totals: ['1 namespace: 1 unchanged; 12 pods: 10 unchanged, 2 planned (dry run)'],
  },
  {
    id: 'unenroll:namespace',
    words: 'unenroll namespace -l team=shop --dry-run=client',
    code: 0,
    ...PLANS,
    first: [['shop', '(namespace)', NONE, 'kmesh', NONE, 'Label', 'planned', NONE]],
    cells: (cell) => {
      const rule = isKnown(cell) ? 'PodLabelNone' : 'NotLabelled'
      return [['shop', cell.node, cell.node, 'none', 'none', rule, 'unchanged', NONE]]
    },
    stderr: silent,
    totals: ['1 namespace: 1 planned; 12 pods: 12 unchanged (dry run)'],
  },
  {
    id: 'enroll:pod',
    words: 'enroll pod -n shop -l app=web --dry-run=client',
    code: 7,
    ...PLANS,
    // At v0.4 the namespace has the pod in spite of its label: nothing needs to be written.
    cells: (cell) => [
      isKnown(cell)
        ? ['shop', cell.node, NONE, 'unknown', 'unknown', NONE, 'refused', 'OverwriteNeeded']
        : ['shop', cell.node, cell.node, 'none', 'kmesh', 'NamespaceLabel', 'planned', NONE],
    ],
    stderr: (cell) =>
      isKnown(cell)
        ? [`error: shop/${cell.node}: istio.io/dataplane-mode is "none"; --overwrite replaces it by "kmesh"`]
        : [NONE_UNKNOWN(cell)],
    said: [OPEN],
    totals: ['12 pods: 10 refused, 2 planned (dry run)'],
  },
  {
    id: 'unenroll:pod',
    words: 'unenroll pod -n shop -l app=web --dry-run=client',
    code: 4,
    ...PLANS,
    cells: (cell) => [
      isKnown(cell)
        ? ['shop', cell.node, cell.node, 'none', 'none', 'PodLabelNone', 'unchanged', 'NotEnrolled']
        : ['shop', cell.node, NONE, 'unknown', 'unknown', NONE, 'refused', 'RuleNotSupported'],
    ],
    stderr: (cell) =>
      isKnown(cell)
        ? []
        : [
            `error: shop/${cell.node}: its namespace enrolls it, and the daemon of its node (Kmesh v0.4) does not know "none"; unenroll the namespace instead`,
          ],
    totals: ['12 pods: 10 unchanged, 2 refused (dry run)'],
  },
]
