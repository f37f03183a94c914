// SPDX-License-Identifier: Apache-2.0
/**
 * What a test run could leave behind on the machine, as comparable lines.
 * Taken before the first and after the last test.
 */
import {execFileSync} from 'node:child_process'
import {globSync, readdirSync, readFileSync} from 'node:fs'

/** Lines that tell of one kind of thing; equal machines give equal lines. */
export type MachineState = Readonly<Record<string, readonly string[]>>

/** Every process of a sandbox carries this, and so do its children. */
export const SANDBOX_MARK = 'KMESHCTL_SANDBOX='

function output(command: string, args: readonly string[]): string {
  return execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 26,
  })
}

/** Empty where the tool or the table is not there: then nothing can be left in it either. */
function outputOrNothing(command: string, args: readonly string[]): string {
  try {
    return output(command, args)
  } catch {
    return ''
  }
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '')
}

function programs(): string[] {
  const list = JSON.parse(outputOrNothing('bpftool', ['-j', 'prog', 'show']) || '[]') as {
    id: number
    name?: string
    type: string
  }[]
  return list.map((program) => `${program.id} ${program.type} ${program.name ?? ''}`)
}

function markedProcesses(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8')
          .split('\0')
          .some((entry) => entry.startsWith(SANDBOX_MARK))
      } catch {
        return false // gone meanwhile
      }
    })
    .map((pid) => `${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`)
}

/** Without packet and byte counters, and without the comments that hold the time. */
function firewall(command: string): string[] {
  return lines(outputOrNothing(command, []))
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.replace(/\[\d+:\d+\]/, ''))
}

function cgroups(): string[] {
  const mount = lines(readFileSync('/proc/mounts', 'utf8')).find((line) => line.split(' ')[2] === 'cgroup2')
  const root = mount?.split(' ')[1]
  return root === undefined
    ? []
    : globSync(`${root}/kmeshctl*/**/`, {})
        .concat(globSync(`${root}/kmt*/**/`, {}))
        .sort()
}

export function machineState(): MachineState {
  return {
    'network namespaces': lines(outputOrNothing('ip', ['netns', 'list'])).sort(),
    'BPF programs': programs(),
    // The first 'ip netns add' after a boot mounts its folder on itself, for good.
    mounts: lines(readFileSync('/proc/mounts', 'utf8')).filter((line) => line.split(' ')[1] !== '/run/netns'),
    cgroups: cgroups(),
    processes: markedProcesses(),
    'iptables (nft)': firewall('iptables-nft-save'),
    'ip6tables (nft)': firewall('ip6tables-nft-save'),
    'iptables (legacy)': firewall('iptables-legacy-save'),
    'ip6tables (legacy)': firewall('ip6tables-legacy-save'),
    'pinned objects': globSync('/sys/fs/bpf/**').sort(),
    'runtime files': globSync('/run/kmeshctl/**').sort(),
  }
}

/** What `after` has that `before` had not, and for the firewall also the reverse. */
export function leftovers(before: MachineState, after: MachineState): string[] {
  return Object.entries(after).flatMap(([kind, now]) => {
    const then = before[kind] ?? []
    const added = now.filter((line) => !then.includes(line)).map((line) => `${kind}: new: ${line}`)
    const isFirewall = kind.includes('tables')
    const gone = isFirewall
      ? then.filter((line) => !now.includes(line)).map((line) => `${kind}: gone: ${line}`)
      : []
    return [...added, ...gone]
  })
}
