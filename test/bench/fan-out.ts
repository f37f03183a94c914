// SPDX-License-Identifier: Apache-2.0
/**
 * One command and a thousand daemons of three dialects: real HTTP in WebSockets over TLS, the sandbox's API server and
 * the daemons in a process of their own. Seconds and megabytes are those of the kmeshctl process.
 */
import {type ChildProcess, fork, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {type FleetCounts, type FleetReady, NODES, type Scenario} from './fleet.ts'

const LAUNCHER = join(import.meta.dirname, '../../bin/kmeshctl')
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

/** Rows of the fan-out budget. About a minute and a half. */
export async function rows(): Promise<Row[]> {
  const fleet = fork(join(import.meta.dirname, 'fleet.ts'))
  try {
    const [ready] = (await once(fleet, 'message')) as [FleetReady]
    return [
      ...(await allSlow(fleet, ready)),
      ...(await halfHanging(fleet, ready)),
      ...(await someFailing(fleet, ready)),
      ...(await largeAnswers(fleet, ready)),
      ...(await hugeAnswer(fleet, ready, 'huge-own', 'lines')),
      ...(await hugeAnswer(fleet, ready, 'huge-go', 'one JSON document')),
    ]
  } finally {
    if (fleet.connected) fleet.disconnect()
  }
}

async function allSlow(fleet: ChildProcess, {kubeconfig}: FleetReady): Promise<Row[]> {
  const slow = await run(fleet, 'slow', kubeconfig)
  const what = `${NODES} daemons of 50 ms`
  return [
    row(what, slow.seconds, 's', 4),
    row(`${what}, CPU`, slow.cpuSeconds, 's', 4),
    row(`${what}, memory`, slow.megabytes, 'MB', 150),
    row(`${what}, nodes that the report lacks`, NODES - slow.summary.ok, 'nodes', 0),
    row(`${what}, WebSockets to one daemon`, slow.counts.mostTunnels, 'count', 1),
  ]
}

async function halfHanging(fleet: ChildProcess, {kubeconfig}: FleetReady): Promise<Row[]> {
  const half = await run(fleet, 'half', kubeconfig, '--request-timeout', '2s')
  return [
    row('half of them hang, time / --request-timeout', half.seconds / 2, 'ratio', 3),
    row('half of them hang, CPU', half.cpuSeconds, 's', 6),
    row('half of them hang, memory', half.megabytes, 'MB', 150),
    row('half of them hang, nodes that the report lacks', NODES - half.nodes.size, 'nodes', 0),
    row('half of them hang, asked at once (of 256)', half.counts.mostOpen, 'count', 256),
    row('half of them hang, less than 256 asked at once', 256 - half.counts.mostOpen, 'count', 0),
  ]
}

async function someFailing(fleet: ChildProcess, {operator}: FleetReady): Promise<Row[]> {
  const faults = await run(fleet, 'faults', operator, '--request-timeout', '2s')
  return [
    row('5 % fail in eight ways', faults.seconds, 's', 6),
    row('5 % fail in eight ways, CPU', faults.cpuSeconds, 's', 6),
    row('5 % fail in eight ways, nodes that the report lacks', NODES - faults.nodes.size, 'nodes', 0),
    row('5 % fail in eight ways, failures that are not told', NODES / 20 - faults.summary.failed, 'nodes', 0),
  ]
}

/** The same concurrency each time: what grows is what was kept of answers that are over. */
async function largeAnswers(fleet: ChildProcess, {kubeconfig}: FleetReady): Promise<Row[]> {
  const sizes: number[] = []
  for (const count of [100, 300, 900]) {
    sizes.push((await run(fleet, 'large', kubeconfig, '--node-selector', `first${count}=yes`)).megabytes)
  }
  const [few = 0, more = 0, most = 0] = sizes
  return [
    row('100 answers of 1 MB, memory', few, 'MB', 150),
    row('300 answers of 1 MB, memory', more, 'MB', 150),
    row('900 answers of 1 MB, memory', most, 'MB', 150),
    row('900 / 300 of them', most / more, 'ratio', 1.1),
  ]
}

async function hugeAnswer(
  fleet: ChildProcess,
  {kubeconfig}: FleetReady,
  scenario: Scenario,
  form: string,
): Promise<Row[]> {
  const huge = await run(fleet, scenario, kubeconfig, '--node-selector', 'first2=yes')
  return [
    row(`one answer of 1 GB (${form}), memory`, huge.megabytes, 'MB', 150),
    row(`one answer of 1 GB (${form}), nodes that the report lacks`, 2 - huge.nodes.size, 'nodes', 0),
    row(`one answer of 1 GB (${form}), cut off and told`, 1 - huge.summary.failed, 'nodes', 0),
  ]
}

function row(name: string, value: number, unit: string, budget: number): Row {
  return {name, value, unit, budget}
}

async function run(
  fleet: ChildProcess,
  scenario: Scenario,
  kubeconfig: string,
  ...flags: readonly string[]
): Promise<Outcome> {
  fleet.send({scenario})
  const outcome = await dump(kubeconfig, flags)
  fleet.send('counts')
  const [counts] = (await once(fleet, 'message')) as [FleetCounts]
  return {...outcome, counts}
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
