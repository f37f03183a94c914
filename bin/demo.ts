// SPDX-License-Identifier: Apache-2.0
/**
 * The main job on the sandbox, with real connections. Prints each command before
 * its output and exits non-zero when anything is not as it should be.
 * `--backend memory` runs as any user without a kernel; what needs connections is shown as skipped.
 */
import {spawn} from 'node:child_process'
import {readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {parseArgs} from 'node:util'
import {leftoverOf, makeStateHome} from './demo-leftovers.ts'

const root = join(import.meta.dirname, '..')
const kmeshctlFile = join(root, 'bin/kmeshctl')
const echoFile = join(root, 'dist/echo.js')
const SANDBOX = 'demo'
const CONNECTIONS = 12
/** Longer than the demo takes on any machine: what it shows in between does not depend on speed. */
const LONG_LEASE = '10m'
const SHORT_LEASE = '3s'
/** How long after its time an agent may take to put a level back. */
const LATE_MS = 30_000

const BACKENDS = ['kernel', 'memory'] as const
type Backend = (typeof BACKENDS)[number]

/** What there is to do without the kernel; setup.mjs says the same. */
const WITHOUT_KERNEL = 'npm run demo -- --backend memory'

const backend = backendOf(process.argv.slice(2))

function backendOf(args: string[]): Backend {
  const {values} = parseArgs({args, options: {backend: {type: 'string', default: 'kernel'}}})
  const found = BACKENDS.find((name) => name === values.backend)
  if (found === undefined) throw new Error(`--backend: expected ${BACKENDS.join(' or ')}`)
  return found
}

const stateHome = makeStateHome()
const env: NodeJS.ProcessEnv = {
  ...process.env,
  XDG_STATE_HOME: stateHome,
  KUBECONFIG: join(stateHome, 'kmeshctl', SANDBOX, 'kubeconfig'),
}

// biome-ignore lint/suspicious/noExplicitAny: documents of the CLI, read as a script reads them
type Json = any

class DemoFailure extends Error {}

function check(holds: boolean, what: string): void {
  if (!holds) throw new DemoFailure(what)
  process.stdout.write(`  ✓ ${what}\n`)
}

function quoted(args: readonly string[]): string {
  return args.map((arg) => (/^[\w./:=@,-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ')
}

/** Runs, shows what it prints unless `quiet`, and gives its stdout. */
async function output(args: readonly string[], quiet: boolean): Promise<string> {
  const child = spawn(kmeshctlFile, args, {env, stdio: ['ignore', 'pipe', 'inherit']})
  let text = ''
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (chunk: string) => {
    text += chunk
    if (!quiet) process.stdout.write(chunk)
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? 1))
  })
  if (code !== 0) throw new DemoFailure(`'kmeshctl ${quoted(args)}' ended with exit status ${code}`)
  return text
}

async function show(...args: string[]): Promise<string> {
  process.stdout.write(`\n$ kmeshctl ${quoted(args)}\n`)
  return output(args, false)
}

async function read(...args: string[]): Promise<Json> {
  return JSON.parse(await output([...args, '-o', 'json'], true))
}

interface Sums {
  readonly connections: number
  readonly errors: number
  readonly pods: Readonly<Record<string, number>>
  readonly peers: Readonly<Record<string, number>>
}

/** The command as it would be run, and why it is not. */
function skip(args: readonly string[], reason: string): void {
  process.stdout.write(`\n$ kmeshctl ${quoted(args)}\n  skipped: ${reason}\n`)
}

const NO_TRAFFIC = 'backend memory has no pod network, so no connection can be made or redirected'

/** How connections go; on backend memory only the command is shown. */
async function connectAndCheck(
  pod: string,
  address: string,
  isAsExpected: (sums: Sums, address: string) => boolean,
  what: string,
): Promise<void> {
  if (backend === 'memory') {
    const command = ['echo', 'connect', address, '80', '--count', String(CONNECTIONS)]
    return skip(['sandbox', 'exec', '--name', SANDBOX, '-n', 'shop', pod, '--', ...command], NO_TRAFFIC)
  }
  check(isAsExpected(await connect(pod, address), address), what)
}

/** What the daemons say of the shop's pods; their word is the kernel's, or in memory only theirs. */
async function checkCaptured(expected: readonly string[] | 'all' | 'none'): Promise<void> {
  const {items} = await read('interop', 'status', '-n', 'shop')
  const pods = (items as Json[]).filter(({kind}) => kind === 'Pod')
  const captured = pods.filter(({capture}) => capture === 'kmesh').map(({name}) => name as string)
  const wanted =
    expected === 'all' ? pods.map(({name}) => name as string) : expected === 'none' ? [] : expected
  const isTold = pods.length > 0 && pods.every(({source}) => source === backend)
  check(
    isTold && captured.sort().join() === [...wanted].sort().join(),
    `captured pods, as the daemons tell (${backend}): ${captured.length} of ${pods.length}`,
  )
}

/** Connects from the pod, in its network namespace and cgroup, and tells whom getpeername() named. */
async function connect(pod: string, address: string): Promise<Sums> {
  const command = [
    process.execPath,
    echoFile,
    'connect',
    address,
    '80',
    '--count',
    String(CONNECTIONS),
    '--quiet',
  ]
  process.stdout.write(
    `\n$ kmeshctl sandbox exec --name ${SANDBOX} -n shop ${pod} -- echo connect ${address} 80 --count ${CONNECTIONS}\n`,
  )
  const text = await output(['sandbox', 'exec', '--name', SANDBOX, '-n', 'shop', pod, '--', ...command], true)
  const sums = JSON.parse(text.trim().split('\n').at(-1) ?? '') as Sums
  for (const [peer, count] of Object.entries(sums.peers))
    process.stdout.write(`  ${count} connections have the peer ${peer}\n`)
  check(sums.errors === 0 && sums.connections === CONNECTIONS, `all ${CONNECTIONS} connections were answered`)
  return sums
}

function isService(sums: Sums, address: string): boolean {
  return Object.keys(sums.peers).every((peer) => peer === `${address} 80`)
}

function isEndpoints(sums: Sums, address: string): boolean {
  const peers = Object.keys(sums.peers)
  return peers.length > 1 && peers.every((peer) => !peer.startsWith(`${address} `) && peer.endsWith(' 8080'))
}

interface World {
  readonly client: string
  readonly ipv4: string
  readonly ipv6: string
  /** What the daemon on the client's node prints. */
  readonly daemonLog: string
}

/** Names and addresses come from the sandbox itself, not from this script. */
async function look(): Promise<World> {
  const [status] = (await read('sandbox', 'status', '--name', SANDBOX)).items
  const shop = (list: Json[]) => list.filter((item) => item.namespace === 'shop')
  const client = shop(status.pods).find((pod) => pod.name.startsWith('client'))
  const daemon = status.pods.find(
    (pod: Json) => pod.namespace === 'kmesh-system' && pod.node === client?.node,
  )
  const service = shop(status.services)[0]
  const addresses: string[] = service?.clusterIPs ?? []
  return {
    client: client?.name ?? '',
    daemonLog: daemon?.containers[0].outputFile ?? '',
    ipv4: addresses.find((address) => !address.includes(':')) ?? '',
    ipv6: addresses.find((address) => address.includes(':')) ?? '',
  }
}

async function enrollment({client, ipv4, ipv6}: World): Promise<void> {
  await show('interop', 'status', '-n', 'shop')
  await connectAndCheck(client, ipv4, isService, 'not enrolled: the peer is the service address')
  await checkCaptured('none')

  await show('enroll', 'namespace', 'shop', '--yes')
  await connectAndCheck(
    client,
    ipv4,
    isEndpoints,
    'enrolled: eBPF chose endpoints and translated port 80 to 8080',
  )
  await connectAndCheck(client, ipv6, isEndpoints, 'the same over IPv6')
  await checkCaptured('all')
  await show('interop', 'status', '-n', 'shop')
  await show('dump', 'maps', 'km_service', 'km_endpoint', '-n', 'shop')

  await show('unenroll', 'namespace', 'shop', '--yes')
  await connectAndCheck(client, ipv4, isService, 'released: the peer is the service address again')
  await checkCaptured('none')

  await show('enroll', 'pod', client, '-n', 'shop')
  await connectAndCheck(client, ipv4, isEndpoints, 'a single pod is enrolled')
  await checkCaptured([client])
}

/** The agents put the level back by themselves: this script only waits. */
async function logLevels(world: World): Promise<void> {
  await show('log', 'get', 'bpf', '--all-nodes')
  await show('log', 'set-level', 'bpf=debug', '--for', LONG_LEASE, '--all-nodes')
  await show('log', 'get', '--all-nodes')
  await checkLevels('debug', 'every agent is at debug')
  if (backend === 'kernel') await debugLines(world)
  else process.stdout.write('\nDebug lines of connections:\n  skipped: no program in a kernel writes them\n')
  await show('log', 'set-level', 'bpf=debug', '--for', SHORT_LEASE, '--all-nodes')
  await waitForExpiry()
  await show('log', 'get', 'bpf', '--all-nodes')
  await checkLevels('info', 'every agent reverted the level by itself')
}

/** Until the time that the agents tell is over and none of them tells one any more. */
async function waitForExpiry(): Promise<void> {
  const endMs = Date.now() + LATE_MS
  for (;;) {
    const {items} = await read('log', 'get', 'bpf', '--all-nodes', '--quiet')
    const ends = (items as Json[]).flatMap(({lease}) => (lease === null ? [] : [Date.parse(lease.expiresAt)]))
    if (ends.length === 0 || Date.now() > Math.max(endMs, ...ends.map((end) => end + LATE_MS))) return
    await sleep(Math.max(200, Math.min(...ends) - Date.now()))
  }
}

async function checkLevels(level: string, what: string): Promise<void> {
  const {items} = await read('log', 'get', 'bpf', '--all-nodes')
  check(items.length > 0 && (items as Json[]).every((item) => item.level === level), what)
}

async function debugLines({client, ipv4, daemonLog}: World): Promise<void> {
  await connect(client, ipv4)
  process.stdout.write('\nThe daemon of its node logged:\n')
  await sleep(500) // it reads the ring buffer every now and then
  const lines = readFileSync(daemonLog, 'utf8')
    .split('\n')
    .filter((line) => line.includes('[KMESH] DEBUG'))
  process.stdout.write(
    `${lines
      .slice(-3)
      .map((line) => `  ${line}`)
      .join('\n')}\n`,
  )
  check(lines.length >= CONNECTIONS, 'each connection has its debug line')
}

/** Who looks at the status must not take memory for the kernel. */
async function status(): Promise<void> {
  await show('status')
  const {items} = await read('status')
  const isTold = (items as Json[]).every((item) => item.ready === true && item.backend === backend)
  check(items.length > 0 && isTold, `every daemon is ready and says: backend ${backend}`)
}

/** Takes away what a demo that was killed left. @throws DemoFailure where the sandbox of this name is somebody's */
async function takeLeftoversDown(): Promise<void> {
  const {items} = await read('sandbox', 'status', '--name', SANDBOX)
  const found = leftoverOf(items[0]?.kubeconfig, stateHome)
  if (found.kind === 'none') return
  if (found.kind === 'running') throw new DemoFailure(`another demo runs (process ${found.pid})`)
  if (found.kind === 'foreign') {
    throw new DemoFailure(
      `there is a sandbox '${SANDBOX}' that no demo made; 'kmeshctl sandbox down --name ${SANDBOX}' ends it`,
    )
  }
  process.stdout.write(
    `\nAn earlier demo did not end well (${found.stateHome}): what it left is taken down.\n`,
  )
  await show('sandbox', 'down', '--name', SANDBOX)
  rmSync(found.stateHome, {recursive: true, force: true})
}

async function demo(): Promise<void> {
  const flags = backend === 'memory' ? ['--backend', backend] : []
  try {
    await show('sandbox', 'up', ...flags, '--name', SANDBOX, '--ip-family', 'dual')
  } catch (thrown) {
    if (backend === 'kernel') process.stderr.write(`\nWithout the kernel: ${WITHOUT_KERNEL}\n`)
    throw thrown
  }
  const world = await look()
  await enrollment(world)
  await logLevels(world)
  await status()
}

let code = 0
/** From here on the sandbox of this name is ours to take down. */
let isOurs = false
try {
  await takeLeftoversDown()
  isOurs = true
  await demo()
} catch (thrown) {
  code = 1
  const text = thrown instanceof DemoFailure ? thrown.message : ((thrown as Error).stack ?? String(thrown))
  process.stderr.write(`\nThe demo failed: ${text}\n`)
}
try {
  if (isOurs) await show('sandbox', 'down', '--name', SANDBOX)
} catch (thrown) {
  code = 1
  process.stderr.write(`\nThe sandbox did not go down: ${String(thrown)}\n`)
}
rmSync(stateHome, {recursive: true, force: true})
const SUCCESS =
  backend === 'memory'
    ? 'The demo did everything that backend memory can; nothing of it touched a kernel.'
    : 'The demo did everything it should.'
process.stdout.write(code === 0 ? `\n${SUCCESS}\n` : '')
process.exitCode = code
