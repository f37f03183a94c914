// SPDX-License-Identifier: Apache-2.0
import {modeText} from '../model/backend.ts'
import type {StatusItem} from '../model/status.ts'
import type {View} from './formats.ts'
import {count} from './text.ts'

export const statusView: View<StatusItem> = {
  columns: [
    {header: 'NODE', value: (item) => item.node},
    {header: 'DAEMON', value: (item) => item.daemon},
    {header: 'MODE', value: (item) => modeText(item.mode, item.backend)},
    {header: 'VERSION', value: (item) => item.version},
    {
      header: 'READY',
      value: (item) => readyText(item),
      tone: (item) => (item.ready === null ? undefined : item.ready ? 'good' : 'bad'),
    },
    {header: 'ENROLLED', value: (item) => podsText(item)},
    {header: 'LOG LEVELS', value: (item) => levelsText(item)},
    {
      header: 'PROBLEMS',
      value: (item) => item.problems.map(problemText).join('; '),
      tone: (item) => (item.problems.length > 0 ? 'warn' : undefined),
    },
  ],
  name: (item) => `node/${item.node}`,
  totals: ({items}) => {
    const ready = items.filter((item) => item.ready === true).length
    return `${count(items.length, 'node')}, ${ready} with a ready daemon`
  },
}

/** `yes (pod)`: Kubernetes says so, the daemon itself cannot. */
function readyText({ready, readyFrom}: StatusItem): string | null {
  if (ready === null) return null
  return `${ready ? 'yes' : 'no'}${readyFrom === 'pod' ? ' (pod)' : ''}`
}

function podsText({enrolledPods, totalPods}: StatusItem): string | null {
  if (enrolledPods === null && totalPods === null) return null
  return `${enrolledPods ?? '?'}/${totalPods ?? '?'}`
}

function levelsText({levels}: StatusItem): string | null {
  if (levels.default === null && levels.bpf === null) return null
  return `default=${levels.default ?? '?'} bpf=${levels.bpf ?? '?'}`
}

function problemText({code, message, phase}: StatusItem['problems'][number]): string {
  return phase === null ? `${code}: ${message}` : `${code} (${phase}): ${message}`
}
