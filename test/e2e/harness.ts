// SPDX-License-Identifier: Apache-2.0
/** A real sandbox for a test file, driven through the real launchers as an operator would. */
import {type ChildProcess, spawn} from 'node:child_process'
import {existsSync, mkdtempSync, rmSync} from 'node:fs'
import {constants, tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {createKube} from '../../src/lib/adapters/kube.ts'
import {loadConnection} from '../../src/lib/adapters/kubeconfig.ts'
import {type KubeObject, type Pod, RESOURCES, type Service} from '../../src/lib/model/kube.ts'
import type {Kube, Log} from '../../src/lib/ports.ts'

const root = join(import.meta.dirname, '../..')
export const KMESHCTL = join(root, 'bin/kmeshctl')
const ECHO = join(root, 'dist/echo.js')
const COMMAND_LIMIT_MS = 120_000

export interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** One document of `-o json`, as loosely as a script reads it. */
// biome-ignore lint/suspicious/noExplicitAny: tests assert on what they read
export type Json = any

/** Runs to the end; never throws on an exit status. A signal gives 128 and its number, as in a shell. */
export async function run(
  command: string,
  args: readonly string[],
  options: {env?: NodeJS.ProcessEnv; input?: string; limitMs?: number} = {},
): Promise<Result> {
  const child = spawn(command, args, {env: options.env ?? process.env, stdio: ['pipe', 'pipe', 'pipe']})
  const timer = setTimeout(() => child.kill('SIGKILL'), options.limitMs ?? COMMAND_LIMIT_MS)
  child.stdin.on('error', () => undefined) // the command may end without reading
  child.stdin.end(options.input ?? '')
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (status, signal) =>
        resolve(status ?? 128 + (constants.signals[signal ?? 'SIGKILL'] ?? 0)),
      )
    }),
  ])
  clearTimeout(timer)
  return {code, stdout, stderr}
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** Sums over many connections, as the echo program prints them. */
export interface Connections {
  readonly connections: number
  readonly errors: number
  readonly pods: Readonly<Record<string, number>>
  /** `ADDRESS PORT` of getpeername() -> how often: the service address without Kmesh, an endpoint with it. */
  readonly peers: Readonly<Record<string, number>>
  readonly messages: Readonly<Record<string, number>>
}

/** A cluster that somebody else runs: tests that need no sandbox use it, the others skip. */
const GIVEN = process.env['KMESHCTL_E2E_KUBECONFIG']

/** For the `skip` of suites that look into nodes and pods of this machine. */
export const SANDBOX_ONLY: false | string = GIVEN
  ? 'KMESHCTL_E2E_KUBECONFIG is set, and this needs a sandbox: it works on namespaces, processes and maps of this machine'
  : false

export interface Cluster {
  readonly kubeconfig: string
  readonly env: NodeJS.ProcessEnv
  readonly kube: Kube
  kmeshctl(...args: string[]): Promise<Result>
  /** As `kmeshctl`, and fails with everything printed unless the status is 0; gives the parsed document. */
  json(...args: string[]): Promise<Json>
  spawn(...args: string[]): ChildProcess
  /** Ends a sandbox; of a given cluster only the connection. */
  down(): Promise<unknown>
}

export interface Sandbox extends Cluster {
  readonly name: string
  down(): Promise<Result>
}

/** The cluster of KMESHCTL_E2E_KUBECONFIG, else a sandbox of that name. */
export async function clusterUp(name: string, ...args: string[]): Promise<Cluster> {
  if (!GIVEN) return await sandboxUp(name, ...args)
  const kubeconfig = resolve(GIVEN)
  const cluster = await clusterOf(kubeconfig, {...process.env, KUBECONFIG: kubeconfig, NO_COLOR: '1'})
  return {...cluster, down: () => cluster.kube.close()}
}

/** Drives the cluster of a kubeconfig. */
async function clusterOf(kubeconfig: string, env: NodeJS.ProcessEnv): Promise<Omit<Cluster, 'down'>> {
  const kmeshctl = (...more: string[]) => run(KMESHCTL, more, {env})
  const connection = await loadConnection({kubeconfig})
  return {
    kubeconfig,
    env,
    kube: createKube(connection, {clock: createClock(), log: QUIET, requestTimeoutMs: 10_000}),
    kmeshctl,
    json: async (...more) => {
      const outcome = await kmeshctl(...more, '-o', 'json')
      if (outcome.code !== 0)
        throw new Error(
          `kmeshctl ${more.join(' ')}: exit ${outcome.code}\n${outcome.stdout}\n${outcome.stderr}`,
        )
      return JSON.parse(outcome.stdout)
    },
    spawn: (...more) => spawn(KMESHCTL, more, {env, stdio: ['ignore', 'pipe', 'pipe']}),
  }
}

/** Brings one up; `down()` belongs into the file's `after`. */
export async function sandboxUp(name: string, ...args: string[]): Promise<Sandbox> {
  const stateHome = mkdtempSync(join(tmpdir(), `kmeshctl-${name}-`))
  const kubeconfig = join(stateHome, 'kmeshctl', name, 'kubeconfig')
  const env = {...process.env, XDG_STATE_HOME: stateHome, KUBECONFIG: kubeconfig, NO_COLOR: '1'}
  const kmeshctl = (...more: string[]) => run(KMESHCTL, more, {env})
  const down = async () => {
    const result = await kmeshctl('sandbox', 'down', '--name', name)
    rmSync(stateHome, {recursive: true, force: true})
    return result
  }
  const result = await kmeshctl('sandbox', 'up', '--name', name, ...args)
  if (result.code !== 0 || !existsSync(kubeconfig)) {
    await down()
    throw new Error(`sandbox up: exit ${result.code}\n${result.stdout}\n${result.stderr}`)
  }
  const cluster = await clusterOf(kubeconfig, env)
  return {
    ...cluster,
    name,
    down: async () => {
      await cluster.kube.close()
      return down()
    },
  }
}

const nothing = () => undefined
const QUIET: Log = {trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing}

/** One daemon of the sandbox, as `sandbox status` tells. */
export interface Daemon {
  readonly node: string
  readonly pid: number
  readonly ready: boolean
  readonly log: string
}

export async function sandboxStatus(sandbox: Sandbox): Promise<Json> {
  return (await sandbox.json('sandbox', 'status', '--name', sandbox.name)).items[0]
}

export async function daemonsOf(sandbox: Sandbox): Promise<Daemon[]> {
  const {pods} = await sandboxStatus(sandbox)
  const daemons = (pods as Json[]).filter((pod) => pod.namespace === 'kmesh-system')
  return daemons.map(({node, ready, containers}) => ({
    node,
    ready,
    pid: containers[0]?.pid,
    log: containers[0]?.outputFile,
  }))
}

/** Until `count` daemons are ready and none of them is one of the old processes. */
export async function daemonsReplaced(
  sandbox: Sandbox,
  old: readonly Daemon[],
  count = old.length,
): Promise<void> {
  await eventually(
    'new daemons',
    async () => {
      const now = await daemonsOf(sandbox)
      return now.length === count && now.every(({ready, pid}) => ready && old.every((one) => one.pid !== pid))
        ? true
        : undefined
    },
    20_000,
  )
}

function execArgs(sandbox: Sandbox, namespace: string, pod: string, command: readonly string[]): string[] {
  return ['sandbox', 'exec', '--name', sandbox.name, '-n', namespace, pod, '--', ...command]
}

/** Connects `count` times, one every `everyMs` (0: one after the other). Errors are counted, not thrown. */
export async function connectOften(
  sandbox: Sandbox,
  pod: string,
  address: string,
  options: {count: number; everyMs?: number; port?: number; namespace?: string},
): Promise<Connections> {
  const {count, everyMs = 0, port = 80, namespace = 'shop'} = options
  const pace = everyMs > 0 ? ['--every', String(everyMs)] : []
  const command = [
    process.execPath,
    ECHO,
    'connect',
    address,
    String(port),
    '--count',
    String(count),
    '--quiet',
    ...pace,
  ]
  const limitMs = COMMAND_LIMIT_MS + count * everyMs
  const result = await run(KMESHCTL, execArgs(sandbox, namespace, pod, command), {env: sandbox.env, limitMs})
  const last = result.stdout.trim().split('\n').at(-1) ?? ''
  if (!last.startsWith('{'))
    throw new Error(`connect from ${pod}: exit ${result.code}\n${result.stdout}${result.stderr}`)
  return JSON.parse(last) as Connections
}

/** What the tests speak about; names and addresses come from the cluster. */
export interface World {
  readonly client: Pod
  readonly servers: readonly Pod[]
  readonly ipv4: string
  readonly ipv6: string
}

export const PODS = {...RESOURCES.pods, namespace: 'shop'}
export const SERVER = {...RESOURCES.deployments, namespace: 'shop', name: 'server'}

export async function look(sandbox: Sandbox): Promise<World> {
  const [pods, services] = await Promise.all([
    sandbox.kube.list<Pod>(PODS),
    sandbox.kube.list<Service>({...RESOURCES.services, namespace: 'shop'}),
  ])
  const named = (prefix: string) => pods.items.filter((pod) => pod.metadata.name?.startsWith(prefix))
  const addresses = services.items[0]?.spec?.clusterIPs ?? []
  const client = named('client')[0]
  if (client === undefined) throw new Error('the sandbox has no client pod')
  return {
    client,
    servers: named('server'),
    ipv4: addresses.find((address) => !address.includes(':')) ?? '',
    ipv6: addresses.find((address) => address.includes(':')) ?? '',
  }
}

export function nameOf(object: KubeObject): string {
  return object.metadata.name ?? ''
}

export function addressesOf(pods: readonly Pod[]): string[] {
  return pods.flatMap((pod) => (pod.status?.podIPs ?? []).map(({ip}) => ip))
}

/** Pins of one node's daemon. */
export function pinOf(sandbox: Sandbox, node: string, map: string): string {
  return `/run/kmeshctl/${sandbox.name}/bpf/${node}/bpf_kmesh_workload/map/${map}`
}

/** Polls until `probe` gives something; its last error or `what` tells what never came. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  limitMs = 10_000,
): Promise<T> {
  const end = Date.now() + limitMs
  let problem = ''
  for (;;) {
    try {
      const value = await probe()
      if (value !== undefined) return value
    } catch (thrown) {
      problem = `: ${String(thrown)}`
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs} ms${problem}`)
    await sleep(50)
  }
}
