// SPDX-License-Identifier: Apache-2.0
/**
 * The agent at 5,000 services and 100,000 pods on the kernel's maps: time and
 * memory of the first sync, then the cost of one endpoint change with the full
 * state loaded, from the parsed event to the return of bpf(2).
 */
import {fork} from 'node:child_process'
import {once} from 'node:events'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {garbageCollector} from '../../src/lib/adapters/garbage.ts'
import {IdTable} from '../../src/lib/agent/ids.ts'
import {MapWriter} from '../../src/lib/agent/map-writer.ts'
import {Reconciler} from '../../src/lib/agent/reconcile.ts'
import type {EndpointSlice} from '../../src/lib/model/kube.ts'
import {BACKEND, ENDPOINT, FRONTEND, SERVICE} from '../../src/lib/model/maps.ts'
import type {BpfMap} from '../../src/lib/ports.ts'
import {KernelFixture} from '../adapters/kernel-fixture.ts'
import {memoryLog, pod, service, slice} from '../agent/fakes.ts'

interface BenchRow {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly budget: number
}

export const SERVICES = 5000
export const PODS_PER_SERVICE = 20
/** Before the measurement: an agent that runs has compiled its code. */
const WARM_UP_CHANGES = 200
const CHANGES = 1000
const CHANGE_EVERY_MS = 10

/** As bin/kmesh-daemon starts the agent. */
const AGENT_FLAGS = ['--max-semi-space-size=4']

/** Four rows; needs root. About half a minute, in a process with the agent's own flags. */
export async function rows(): Promise<BenchRow[]> {
  const child = fork(import.meta.filename, {execArgv: AGENT_FLAGS})
  const [result] = (await once(child, 'message')) as [BenchRow[]]
  return result
}

async function measure(): Promise<BenchRow[]> {
  using fixture = new KernelFixture()
  const bpf = createBpf()
  bpf.load(fixture.request({attachments: []}))
  const open = (name: string): BpfMap => bpf.openPinned(fixture.pin(`map/${name}`))
  const maps = {
    frontend: open(FRONTEND.name),
    service: open(SERVICE.name),
    endpoint: open(ENDPOINT.name),
    backend: open(BACKEND.name),
  }
  const log = memoryLog()
  const clock = createClock()
  const writer = await MapWriter.open(maps)
  const reconciler = new Reconciler({writer, ids: new IdTable(), clock, log, clusterDomain: 'cluster.local'})
  const startMs = performance.now()
  load(reconciler)
  reconciler.start()
  while (!reconciler.synced) await new Promise((resolve) => setImmediate(resolve))
  const syncSeconds = (performance.now() - startMs) / 1000
  // The agent does the same when it is synced.
  garbageCollector()()
  const residentMiB = process.memoryUsage.rss() / 2 ** 20
  await measureChanges(reconciler, WARM_UP_CHANGES)
  const changes = await measureChanges(reconciler, CHANGES)
  reconciler.stop()
  for (const map of Object.values(maps)) map[Symbol.dispose]()
  return [
    {name: 'first sync, 5,000 services and 100,000 pods', value: syncSeconds, unit: 's', budget: 10},
    {name: 'resident memory after it', value: residentMiB, unit: 'MiB', budget: 400},
    {name: 'one endpoint change, p99, wall clock', value: changes.wallMs, unit: 'ms', budget: 1},
    {name: 'one endpoint change, p99, CPU of the thread', value: changes.cpuMs, unit: 'ms', budget: 1},
  ]
}

export function podAddress(index: number): string {
  return `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`
}

export function sliceOf(index: number, count: number): EndpointSlice {
  const first = index * PODS_PER_SERVICE
  const endpoints = Array.from({length: count}, (_, at) => `p${first + at}=${podAddress(first + at)}`)
  return slice(`ns/s${index}-a`, `s${index}`, endpoints)
}

function load({cluster}: Reconciler): void {
  for (let index = 0; index < SERVICES; index += 1) {
    cluster.setService(service(`ns/s${index}`, [`172.16.${index >> 8}.${index & 255}`]))
    for (let at = 0; at < PODS_PER_SERVICE; at += 1) {
      const number = index * PODS_PER_SERVICE + at
      cluster.setPod(pod(`ns/p${number}`, [podAddress(number)]))
    }
    cluster.setSlice(sliceOf(index, PODS_PER_SERVICE), undefined)
  }
}

/** 99th percentiles in ms: by the wall clock, which others' load lengthens, and of this thread's CPU. A change is the loss or the return of one endpoint. */
async function measureChanges(
  {cluster}: Reconciler,
  count: number,
): Promise<{wallMs: number; cpuMs: number}> {
  const wall: number[] = []
  const cpu: number[] = []
  for (let change = 0; change < count; change += 1) {
    const index = (change * 7919) % SERVICES
    const before = sliceOf(index, PODS_PER_SERVICE)
    const after = sliceOf(index, PODS_PER_SERVICE - 1)
    await new Promise((resolve) => setTimeout(resolve, CHANGE_EVERY_MS))
    const cpuBefore = process.threadCpuUsage()
    const startMs = performance.now()
    cluster.setSlice(after, before)
    // Queued behind the reconciler's turn: resolves when it has written.
    await new Promise((resolve) => setImmediate(resolve))
    wall.push(performance.now() - startMs)
    const used = process.threadCpuUsage(cpuBefore)
    cpu.push((used.user + used.system) / 1000)
  }
  return {wallMs: percentile99(wall), cpuMs: percentile99(cpu)}
}

function percentile99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? Number.NaN
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) process.send(await measure())
