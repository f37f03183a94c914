// SPDX-License-Identifier: Apache-2.0
/**
 * The main job on the sandbox, with real connections. Prints each command before
 * its output and exits non-zero when anything is not as it should be.
 */
import {spawn} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

const root = join(import.meta.dirname, '..')
const kmeshctlFile = join(root, 'bin/kmeshctl')
const echoFile = join(root, 'dist/echo.js')
const SANDBOX = 'demo'
const CONNECTIONS = 12
const LEASE_SECONDS = 5

const stateHome = mkdtempSync(join(tmpdir(), 'kmeshctl-demo-'))
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
  check(isService(await connect(client, ipv4), ipv4), 'not enrolled: the peer is the service address')

  await show('enroll', 'namespace', 'shop', '--yes')
  check(
    isEndpoints(await connect(client, ipv4), ipv4),
    'enrolled: eBPF chose endpoints and translated port 80 to 8080',
  )
  check(isEndpoints(await connect(client, ipv6), ipv6), 'the same over IPv6')
  await show('interop', 'status', '-n', 'shop')
  await show('dump', 'maps', 'km_service', 'km_endpoint', '-n', 'shop')

  await show('unenroll', 'namespace', 'shop', '--yes')
  check(isService(await connect(client, ipv4), ipv4), 'released: the peer is the service address again')

  await show('enroll', 'pod', client, '-n', 'shop')
  check(isEndpoints(await connect(client, ipv4), ipv4), 'a single pod is enrolled')
}

/** The agents put the level back by themselves: this script only waits. */
async function logLevels({client, ipv4, daemonLog}: World): Promise<void> {
  await show('log', 'get', 'bpf', '--all-nodes')
  await show('log', 'set-level', 'bpf=debug', '--for', `${LEASE_SECONDS}s`, '--all-nodes')
  await show('log', 'get', '--all-nodes')
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
  await sleep(LEASE_SECONDS * 1000)
  await show('log', 'get', 'bpf', '--all-nodes')
  const levels = await read('log', 'get', 'bpf', '--all-nodes')
  check(
    levels.items.length > 0 && levels.items.every((item: Json) => item.level === 'info'),
    'every agent reverted the level by itself',
  )
}

async function demo(): Promise<void> {
  await show('sandbox', 'up', '--name', SANDBOX, '--ip-family', 'dual')
  const world = await look()
  await enrollment(world)
  await logLevels(world)
  await show('status')
}

let code = 0
try {
  await demo()
} catch (thrown) {
  code = 1
  const text = thrown instanceof DemoFailure ? thrown.message : ((thrown as Error).stack ?? String(thrown))
  process.stderr.write(`\nThe demo failed: ${text}\n`)
}
try {
  await show('sandbox', 'down', '--name', SANDBOX)
} catch (thrown) {
  code = 1
  process.stderr.write(`\nThe sandbox did not go down: ${String(thrown)}\n`)
}
rmSync(stateHome, {recursive: true, force: true})
process.stdout.write(code === 0 ? '\nThe demo did everything it should.\n' : '')
process.exitCode = code
