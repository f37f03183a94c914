// SPDX-License-Identifier: Apache-2.0
/**
 * Daemons of three dialects behind the sandbox's own Kubernetes API, as a process of their own:
 * `fleet.ts [SCENARIO [NODES]]`. Tells the parent its kubeconfigs; `{scenario}` from the parent says what the daemons do from now on, `counts` asks for the
 * counts since then.
 */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {type Forward, startFleetCluster} from './fleet-cluster.ts'
import {DIALECTS, type FleetDialect, type Manner, startFleetDaemon} from './fleet-daemons.ts'

export type Scenario = 'slow' | 'half' | 'faults' | 'large' | 'huge-own' | 'huge-go'

export interface FleetReady {
  readonly kubeconfig: string
  /** Of somebody who may not reach every daemon. */
  readonly operator: string
}

export interface FleetCounts {
  /** WebSockets that the busiest daemon saw. */
  readonly mostTunnels: number
  /** Tunnels that were open at the same time. */
  readonly mostOpen: number
}

export const NODES = 1000
/** Nodes below this have label `first<number>=yes`. */
export const FIRST = [2, 100, 300, 900] as const

/** Eight ways to fail; each one gets its share of every twentieth node. */
const FAULTS = ['refused', 'reset', 'forbidden', 'gone', 'error', 'garbage', 'cut', 'endless'] as const
type Fault = (typeof FAULTS)[number]

const nameOf = (index: number): string => `n${String(index).padStart(4, '0')}`
const [, , firstScenario = 'slow', count = String(NODES)] = process.argv
const names = Array.from({length: Number(count)}, (_empty, index) => nameOf(index))

function faultOf(index: number): Fault | undefined {
  return index % 20 === 0 ? FAULTS[(index / 20) % FAULTS.length] : undefined
}

function mannerOf(scenario: Scenario, index: number): Manner | Exclude<Fault, Manner | 'forbidden'> {
  if (scenario === 'half') return index % 2 === 0 ? 'hang' : 'slow'
  if (scenario === 'large') return 'megabyte'
  if (scenario === 'huge-own') return index === 0 ? 'gigabyte' : 'slow'
  if (scenario === 'huge-go') return index === 1 ? 'gigabyte' : 'slow'
  const fault = scenario === 'faults' ? faultOf(index) : undefined
  // Who may not forward never gets here.
  return fault === undefined || fault === 'forbidden' ? 'slow' : fault
}

async function startDaemons(): Promise<(dialect: FleetDialect, manner: Manner) => number> {
  const manners = ['slow', 'hang', 'error', 'garbage', 'cut', 'endless', 'megabyte', 'gigabyte'] as const
  const ports = new Map<string, number>()
  for (const dialect of DIALECTS) {
    for (const manner of manners) {
      ports.set(`${dialect} ${manner}`, (await startFleetDaemon(dialect, manner)).port)
    }
  }
  return (dialect, manner) => ports.get(`${dialect} ${manner}`) as number
}

async function main(): Promise<void> {
  let scenario = firstScenario as Scenario
  let tunnels = new Map<string, number>()
  let open = 0
  let mostOpen = 0
  const portOf = await startDaemons()
  const forward = (node: string): Forward => {
    tunnels.set(node, (tunnels.get(node) ?? 0) + 1)
    open += 1
    mostOpen = Math.max(mostOpen, open)
    const index = Number(node.slice(1))
    const manner = mannerOf(scenario, index)
    if (manner === 'refused' || manner === 'reset' || manner === 'gone') return manner
    return portOf(DIALECTS[index % DIALECTS.length] as FleetDialect, manner)
  }
  const cluster = await startFleetCluster({
    nodes: names.map((name, index) => ({
      name,
      labels: Object.fromEntries(
        FIRST.filter((first) => index < first).map((first) => [`first${first}`, 'yes']),
      ),
    })),
    forbidden: names.filter((_name, index) => faultOf(index) === 'forbidden'),
    forward,
    onClose: () => {
      open -= 1
    },
  })
  const folder = mkdtempSync(join(tmpdir(), 'kmt-fleet-'))
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, {mode: 0o600})
    return join(folder, name)
  }
  process.on('message', (message: {scenario: Scenario} | 'counts') => {
    if (message === 'counts') {
      const counts: FleetCounts = {mostTunnels: Math.max(...tunnels.values()), mostOpen}
      process.send?.(counts)
      return
    }
    scenario = message.scenario
    tunnels = new Map()
    mostOpen = open
  })
  process.on('disconnect', () => {
    rmSync(folder, {recursive: true})
    process.exit(0)
  })
  const ready: FleetReady = {
    kubeconfig: write('master', cluster.masterKubeconfig),
    operator: write('operator', cluster.operatorKubeconfig),
  }
  process.send?.(ready)
}

if (process.send !== undefined) await main()
