// SPDX-License-Identifier: Apache-2.0
// Goal: without root, BPF and namespaces the demo names what is missing, runs on backend memory when it is asked to,
// takes nothing for the kernel and leaves nothing.
// Method: the npm task of a checkout that an ordinary user owns, as that user; processes and folders counted after.
import assert from 'node:assert/strict'
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {after, before, test} from 'node:test'
import {leftovers, type MachineState, machineState} from '../machine-state.ts'
import {eventually, type Json, type Result, run} from './harness.ts'

const root = join(import.meta.dirname, '../..')
/** `nobody` */
const USER = 65_534
const COPIED = ['bin', 'bpf', 'deploy', 'src', 'package.json', 'package-lock.json', 'tsconfig.json', 'docs']
/** Build and demo; the first one waits for a lease to end. */
const LIMIT_MS = 240_000
const isRoot = process.geteuid?.() === 0
const skip = isRoot ? false : 'only root can become another user'

let scratch = ''
let checkout = ''
let home = ''
let stateBefore: MachineState

before(() => {
  if (skip) return
  stateBefore = machineState()
  scratch = mkdtempSync(join(tmpdir(), 'kmt-memory-'))
  checkout = join(scratch, 'checkout')
  home = join(scratch, 'home')
  for (const folder of [checkout, home, join(checkout, 'node_modules')]) mkdirSync(folder)
  for (const name of COPIED)
    cpSync(join(root, name), join(checkout, name), {recursive: true, preserveTimestamps: true})
  const modules = readdirSync(join(root, 'node_modules')).filter(
    (name) => !['.cache', '.package-lock.json'].includes(name),
  )
  for (const name of modules)
    symlinkSync(join(root, 'node_modules', name), join(checkout, 'node_modules', name))
  const record = 'node_modules/.package-lock.json'
  // Newer than the lockfile: the packages count as installed, and npm is not asked for them.
  cpSync(join(root, record), join(checkout, record))
  giveAway(scratch)
})

after(() => {
  if (skip) return
  rmSync(scratch, {recursive: true, force: true})
})

function giveAway(folder: string): void {
  chownSync(folder, USER, USER)
  for (const entry of readdirSync(folder, {withFileTypes: true})) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) giveAway(path)
    else if (entry.isFile()) chownSync(path, USER, USER)
  }
}

/** With an environment of its own: nothing of root's leads anywhere. */
function asUser(...command: string[]): Promise<Result> {
  const PATH = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`
  const env = {PATH, HOME: home, TMPDIR: scratch, NO_COLOR: '1', LANG: 'C.UTF-8'}
  const user = [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', '--']
  const script = ['sh', '-c', 'cd "$0" && exec "$@"', checkout]
  return run('setpriv', [...user, ...script, ...command], {env, limitMs: LIMIT_MS})
}

test('the demo of an ordinary user names what is missing and the other way, and does nothing', {
  skip,
}, async () => {
  const {code, stdout, stderr} = await asUser('npm', 'run', '--silent', 'demo')
  assert.equal(code, 1)
  assert.match(stderr, /^error: 'npm run demo' loads eBPF programs .* as root/m)
  assert.match(stderr, /npm run demo -- --backend memory$/m)
  assert.doesNotMatch(stdout, /\$ kmeshctl/)
})

test('it runs on backend memory, says so everywhere and leaves nothing', {skip}, async () => {
  const {code, stdout, stderr} = await asUser('npm', 'run', '--silent', 'demo', '--', '--backend', 'memory')
  assert.equal(code, 0, `${stdout}\n${stderr}`)
  assert.match(stdout, /^backend +memory: no kernel is involved/m)
  assert.match(stdout, /^node-1 +kmesh-node-1 +dual-engine \(memory\) /m)
  assert.match(stdout, /captured pods, as the daemons tell \(memory\): 4 of 4/)
  assert.match(stdout, /every agent reverted the level by itself/)
  assert.match(
    stdout,
    /echo connect 10\.\d+\.\d+\.\d+ 80 --count 12\n {2}skipped: backend memory has no pod network/,
  )
  assert.doesNotMatch(stdout, / kernel +(<none>|active|pending)/)
  assert.match(stderr, /no BPF program runs, so logger 'bpf' writes no lines/)
  assertNothingLeft()
})

test('without the flag `sandbox up` names it; with it exec, restarts and down work as this user', {
  skip,
}, async () => {
  const kmeshctl = (...args: string[]) => asUser(join(checkout, 'bin/kmeshctl'), ...args)
  const status = async (): Promise<Json> =>
    JSON.parse((await kmeshctl('sandbox', 'status', '--name', 'kmt', '-o', 'json')).stdout).items[0]

  const refused = await kmeshctl('sandbox', 'up', '--name', 'kmt')
  assert.deepEqual([refused.code, refused.stdout], [1, ''])
  assert.match(refused.stderr, /^error: backend kernel needs root: .*\nhint: .* --backend memory\n$/)

  try {
    const up = await kmeshctl('sandbox', 'up', '--backend', 'memory', '--name', 'kmt', '--nodes', '1')
    assert.equal(up.code, 0, up.stderr)
    const exec = await kmeshctl(
      'sandbox',
      'exec',
      '--name',
      'kmt',
      'client',
      '--',
      'sh',
      '-c',
      'id -u; echo $POD_NAMESPACE',
    )
    assert.deepEqual([exec.code, exec.stdout], [0, `${USER}\nshop\n`])
    assert.match(exec.stderr, /^warning: backend memory: there is no pod network/)

    const daemonOf = (seen: Json): Json => seen.pods.find((pod: Json) => pod.namespace === 'kmesh-system')
    const first = daemonOf(await status()).containers[0].pid as number
    process.kill(first, 'SIGKILL')
    await eventually('a new daemon', async () => {
      const daemon = daemonOf(await status())
      return daemon.ready && daemon.containers[0].pid !== first ? true : undefined
    })
    const kubeconfig = (await status()).kubeconfig as string
    const asked = await kmeshctl('status', '--kubeconfig', kubeconfig, '-o', 'json')
    const [item] = JSON.parse(asked.stdout).items
    assert.deepEqual([item.backend, item.ready, item.problems], ['memory', true, []])
  } finally {
    const down = await kmeshctl('sandbox', 'down', '--name', 'kmt')
    assert.equal(down.code, 0, down.stderr)
  }
  assertNothingLeft()
})

/** Other sandboxes of the machine may come and go meanwhile: only what is ours counts. */
function assertNothingLeft(): void {
  assert.deepEqual(ownProcesses(), [])
  const folders = readdirSync(scratch).filter((name) => !['checkout', 'home'].includes(name))
  assert.deepEqual(
    folders.filter((name) => name.startsWith('kmeshctl')),
    [],
  )
  assert.equal(existsSync(`/tmp/kmeshctl-${USER}`), false)
  assert.equal(existsSync(join(home, '.local/state/kmeshctl')), false)
  const left = leftovers(stateBefore, machineState())
  assert.deepEqual(
    left.filter((line) => line.includes(scratch)),
    [],
  )
}

/** Every process that the test started, and its children, have the scratch folder in their environment. */
function ownProcesses(): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(home)
    } catch {
      return false // gone meanwhile
    }
  })
}
