// SPDX-License-Identifier: Apache-2.0
/**
 * What CNI ADD adds to the start of a pod: the installed plugin as a runtime executes it, from the fork to its end,
 * with a real agent that puts the pod into the kernel each time. In turns with `node -e 0` of the same Node.
 */
import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync} from 'node:fs'
import {namespace, pod} from '../agent/fakes.ts'
import type {PluginCall} from '../cni/exec-plugin.ts'
import {RealAgent} from '../cni/real-agent.ts'

const ROUNDS = 31
/** Runs that fill the page cache. */
const WARM_UP = 3
const BUDGET_MS = 150
const BUDGET_CPU_MS = 150
/** The plugin does little besides starting: the sandbox of a pod costs a runtime many times that. */
const BUDGET_RATIO = 4

interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly budget: number
}

/** Wall time, CPU and ratio of one ADD; needs root. Takes some seconds. */
export async function rows(): Promise<Row[]> {
  const node = new RealAgent()
  try {
    await node.prepare()
    node.api.put('namespaces', namespace('shop', 'kmesh'))
    node.api.put('pods', pod('shop/web', [], {uid: '11111111-2222-3333-4444-555555555555', phase: 'Pending'}))
    const netns = node.kernel.addNamespace('pod')
    await node.start()
    await node.until('the plugin is installed', () => existsSync(node.installed))
    const bare: number[] = []
    const wall: number[] = []
    const cpu: number[] = []
    for (let round = -WARM_UP; round < ROUNDS; round += 1) {
      const base = timed(process.execPath, ['-e', '0'])
      const cpuBefore = childrenCpuMs()
      const tookMs = timed(node.installed, [], node.callOf('ADD', 'shop/web', netns))
      const cpuMs = childrenCpuMs() - cpuBefore
      await node.exec('DEL', 'shop/web', netns)
      if (round < 0) continue
      bare.push(base)
      wall.push(tookMs)
      cpu.push(cpuMs)
    }
    return [
      {name: 'CNI ADD of an enrolled pod, wall', value: median(wall), unit: 'ms', budget: BUDGET_MS},
      {
        name: 'CNI ADD of an enrolled pod, CPU of the plugin',
        value: median(cpu),
        unit: 'ms',
        budget: BUDGET_CPU_MS,
      },
      {
        name: 'CNI ADD / node -e 0, wall',
        value: median(wall) / median(bare),
        unit: 'ratio',
        budget: BUDGET_RATIO,
      },
    ]
  } finally {
    await node.close()
  }
}

/** Nothing else of this process runs meanwhile; milliseconds from the fork to the end. */
function timed(program: string, args: readonly string[], call: Partial<PluginCall> = {}): number {
  const {env = {}, input = ''} = call
  const startMs = performance.now()
  const {status, stdout} = spawnSync(program, args, {env, input})
  const tookMs = performance.now() - startMs
  if (status !== 0) throw new Error(`${program}: ${stdout.toString()}`)
  return tookMs
}

/** CPU time of children that have ended, from clock ticks of 10 ms: medians of many rounds. */
function childrenCpuMs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? []
  // cutime and cstime are fields 16 and 17; what is left begins with field 3.
  return 10 * (Number(fields[13]) + Number(fields[14]))
}

function median(values: number[]): number {
  const sorted = values.sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
