// SPDX-License-Identifier: Apache-2.0
/**
 * One command and a thousand daemons: real HTTP in WebSockets over TLS, API server and daemons in a process of
 * their own. Seconds and megabytes are those of the kmeshctl process.
 */
import {fork, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import type {FleetCounts, Scenario} from './fleet.ts'

const LAUNCHER = join(import.meta.dirname, '../../bin/kmeshctl')
const NODES = 1000
const LARGE_NODES = 100
/** Tells the highest resident set of its process on descriptor 3, in MB, and its CPU seconds. */
const MEMORY_HOOK = `process.on('exit',()=>{const u=process.resourceUsage();require('fs').writeSync(3,JSON.stringify([u.maxRSS/1024,(u.userCPUTime+u.systemCPUTime)/1e6]))})`

interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly budget: number
}

interface Outcome {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly megabytes: number
  /** Nodes that appear as an answer or as an error. */
  readonly nodes: Set<string>
  readonly codes: Map<string, number>
  readonly summary: {readonly ok: number; readonly failed: number; readonly requested: number}
  readonly counts: FleetCounts
}

/** Rows of the fan-out budget. About a minute. */
export async function rows(): Promise<Row[]> {
  const slow = await run('slow', NODES)
  const half = await run('half', NODES, '--request-timeout', '2s')
  const faults = await run('faults', NODES, '--request-timeout', '2s')
  const large = await run('large', LARGE_NODES)
  const largest = await run('large', LARGE_NODES * 3)
  const huge = await run('huge', 2)
  return [
    row('1000 daemons of 50 ms', slow.seconds, 's', 4),
    row('1000 daemons of 50 ms, memory', slow.megabytes, 'MB', 150),
    row('1000 daemons of 50 ms, nodes that the report lacks', NODES - slow.summary.ok, 'nodes', 0),
    row('1000 daemons of 50 ms, WebSockets to one daemon', slow.counts.mostTunnels, 'count', 1),
    row('half of them hang, time / --request-timeout', half.seconds / 2, 'ratio', 3),
    row('half of them hang, memory', half.megabytes, 'MB', 150),
    row('half of them hang, nodes that the report lacks', NODES - half.nodes.size, 'nodes', 0),
    row('half of them hang, asked at once (of 256)', half.counts.mostOpen, 'count', 256),
    row('5 % fail in eight ways', faults.seconds, 's', 6),
    row('5 % fail in eight ways, nodes that the report lacks', NODES - faults.nodes.size, 'nodes', 0),
    row('5 % fail in eight ways, failures that are not told', NODES / 20 - faults.summary.failed, 'nodes', 0),
    row(`${LARGE_NODES} answers of 1 MB, memory`, large.megabytes, 'MB', 150),
    row('three times as many / that', largest.megabytes / large.megabytes, 'ratio', 1.25),
    row('one answer of 1 GB, memory', huge.megabytes, 'MB', 150),
    row('one answer of 1 GB, nodes that the report lacks', 2 - huge.nodes.size, 'nodes', 0),
  ]
}

function row(name: string, value: number, unit: string, budget: number): Row {
  return {name, value, unit, budget}
}

async function run(scenario: Scenario, count: number, ...flags: readonly string[]): Promise<Outcome> {
  const fleet = fork(join(import.meta.dirname, 'fleet.ts'), [scenario, String(count)])
  try {
    const [{kubeconfig}] = (await once(fleet, 'message')) as [{kubeconfig: string}]
    const outcome = await dump(kubeconfig, flags)
    fleet.send('counts')
    const [counts] = (await once(fleet, 'message')) as [FleetCounts]
    return {...outcome, counts}
  } finally {
    if (fleet.connected) fleet.disconnect()
  }
}

async function dump(kubeconfig: string, flags: readonly string[]): Promise<Omit<Outcome, 'counts'>> {
  const folder = mkdtempSync(join(tmpdir(), 'kmt-fan-'))
  const hook = join(folder, 'memory.cjs')
  writeFileSync(hook, MEMORY_HOOK)
  const startMs = performance.now()
  const words = ['dump', 'maps', 'km_frontend', '-o', 'jsonl', '--kubeconfig', kubeconfig, ...flags]
  const child = spawn(LAUNCHER, words, {
    env: {PATH: process.env['PATH'], XDG_CACHE_HOME: folder, NODE_OPTIONS: `--require ${hook}`},
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
  })
  let usage = ''
  child.stdio[3]?.on('data', (chunk: Buffer) => {
    usage += chunk
  })
  const seen = read(child.stdout as NodeJS.ReadableStream)
  await once(child, 'close')
  const seconds = (performance.now() - startMs) / 1000
  rmSync(folder, {recursive: true})
  const [megabytes, cpuSeconds] = JSON.parse(usage) as [number, number]
  return {seconds, cpuSeconds, megabytes, ...(await seen)}
}

/** Nodes, codes and the summary of a stream; what is long in it is not kept. */
async function read(stdout: NodeJS.ReadableStream): Promise<Pick<Outcome, 'nodes' | 'codes' | 'summary'>> {
  const nodes = new Set<string>()
  const codes = new Map<string, number>()
  let summary = {ok: 0, failed: 0, requested: 0}
  for await (const text of createInterface({input: stdout})) {
    const {type, object} = JSON.parse(text)
    if (type === 'SUMMARY') summary = object
    if (type === 'ERROR') codes.set(object.code, (codes.get(object.code) ?? 0) + 1)
    if (typeof object.node === 'string') nodes.add(object.node)
  }
  return {nodes, codes, summary}
}
