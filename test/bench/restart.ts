// SPDX-License-Identifier: Apache-2.0
/**
 * Restarts of the real kmesh-daemon at 5,000 services and 100,000 pods: time and CPU from exec to ready, of the first
 * start, which fills the maps, and of those that adopt them. Lists come over HTTP in pages of 500, as from a server.
 */
import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer, type Server} from 'node:http'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {KubeObject} from '../../src/lib/model/kube.ts'
import {KernelFixture} from '../adapters/kernel-fixture.ts'
import {ask} from '../agent/agent-fixture.ts'
import {namespace, pod, service} from '../agent/fakes.ts'
import {PODS_PER_SERVICE, podAddress, SERVICES, sliceOf} from './agent.ts'

interface BenchRow {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly budget: number
}

interface Start {
  readonly seconds: number
  readonly cpuSeconds: number
}

const PAGE = 500
const RESTARTS = 3
const POLL_MS = 10
const LIMIT_MS = 120_000
/** Of times(2) in /proc/PID/stat: USER_HZ. */
const TICKS_PER_SECOND = 100
const DAEMON = join(import.meta.dirname, '../../bin/kmesh-daemon')

/** Needs root and a build. About a minute. */
export async function rows(): Promise<BenchRow[]> {
  using fixture = new KernelFixture()
  const folder = mkdtempSync(join(tmpdir(), `${fixture.name}-restart-`))
  const server = serve(cluster())
  try {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    writeKubeconfig(join(folder, 'kubeconfig'), (server.address() as AddressInfo).port)
    const first = await startAndEnd(fixture, folder)
    const restarts: Start[] = []
    for (let count = 0; count < RESTARTS; count += 1) restarts.push(await startAndEnd(fixture, folder))
    const seconds = median(restarts.map((one) => one.seconds))
    const cpuSeconds = median(restarts.map((one) => one.cpuSeconds))
    // Wall time is others' load as well; what a restart costs is its CPU.
    return [
      {name: 'first start, exec to ready, 5,000 services', value: first.seconds, unit: 's', budget: 30},
      {name: 'restart that adopts them, exec to ready', value: seconds, unit: 's', budget: 30},
      {name: 'CPU of that restart', value: cpuSeconds, unit: 's', budget: 10},
      {
        name: 'CPU of that restart / of the first start',
        value: cpuSeconds / first.cpuSeconds,
        unit: 'x',
        budget: 1,
      },
    ]
  } finally {
    server.close()
    server.closeAllConnections()
    rmSync(folder, {recursive: true})
  }
}

/** Resource -> objects, each as its line of JSON. */
function cluster(): Map<string, string[]> {
  let version = 0
  const line = (object: KubeObject): string => {
    version += 1
    return JSON.stringify({...object, metadata: {...object.metadata, resourceVersion: String(version)}})
  }
  const indexes = Array.from({length: SERVICES}, (_, index) => index)
  const pods = Array.from({length: SERVICES * PODS_PER_SERVICE}, (_, index) => index)
  return new Map([
    ['namespaces', [line(namespace('ns'))]],
    ['nodes', []],
    [
      'services',
      indexes.map((index) => line(service(`ns/s${index}`, [`172.16.${index >> 8}.${index & 255}`]))),
    ],
    ['endpointslices', indexes.map((index) => line(sliceOf(index, PODS_PER_SERVICE)))],
    // On other nodes: none of them is looked for among this machine's processes.
    [
      'pods',
      pods.map((index) => line(pod(`ns/p${index}`, [podAddress(index)], {spec: {nodeName: 'elsewhere'}}))),
    ],
  ])
}

/** Lists in pages; a watch stays open and tells nothing. */
function serve(objects: ReadonlyMap<string, readonly string[]>): Server {
  return createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://api')
    response.setHeader('Content-Type', 'application/json')
    if (url.searchParams.has('watch')) {
      response.flushHeaders()
      return
    }
    const all = objects.get(url.pathname.split('/').at(-1) ?? '') ?? []
    const from = Number(url.searchParams.get('continue') ?? 0)
    const next = from + PAGE < all.length ? {continue: String(from + PAGE)} : {}
    const metadata = JSON.stringify({resourceVersion: '1000000', ...next})
    response.end(`{"kind":"List","metadata":${metadata},"items":[${all.slice(from, from + PAGE).join()}]}`)
  })
}

function writeKubeconfig(file: string, port: number): void {
  const cluster_ = {server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true}
  const config = {
    clusters: [{name: 'a', cluster: cluster_}],
    users: [{name: 'a', user: {token: 't'}}],
    contexts: [{name: 'a', context: {cluster: 'a', user: 'a'}}],
    'current-context': 'a',
  }
  writeFileSync(file, JSON.stringify(config))
}

async function startAndEnd(fixture: KernelFixture, folder: string): Promise<Start> {
  const port = 21_000 + (process.pid % 10_000)
  const options = {
    'bpf-fs-path': fixture.bpffs,
    'cgroup2-path': fixture.cgroup,
    'node-name': 'n1',
    kubeconfig: join(folder, 'kubeconfig'),
    'state-dir': join(folder, 'state'),
    'admin-address': '127.0.0.1:0',
    'status-address': `127.0.0.1:${port}`,
    cni: 'off',
  }
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
  const startMs = performance.now()
  const child = spawn(DAEMON, args, {stdio: ['ignore', 'ignore', 'inherit']})
  try {
    await ready(child, port, startMs)
    return {seconds: (performance.now() - startMs) / 1000, cpuSeconds: cpuSecondsOf(child)}
  } finally {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
}

async function ready(child: ChildProcess, port: number, startMs: number): Promise<void> {
  for (;;) {
    const status = await ask(port, 'GET', '/readyz').then(
      (reply) => reply.status,
      () => 0,
    )
    if (status === 200) return
    if (child.exitCode !== null) throw new Error(`kmesh-daemon ended with ${child.exitCode}`)
    if (performance.now() - startMs > LIMIT_MS) throw new Error(`not ready within ${LIMIT_MS} ms`)
    await sleep(POLL_MS)
  }
}

/** User and system time of the process, without its children. */
function cpuSecondsOf({pid}: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
