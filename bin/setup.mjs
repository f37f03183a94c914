// SPDX-License-Identifier: Apache-2.0
/**
 * What `npm run demo`, `npm test`, `npm run soak` and `npm run bench` begin with.
 * Runs on Node 20 with nothing installed: checks what the machine must have
 * (installs it as root on Debian or Ubuntu, else names the exact command and
 * exits 1), installs the packages of the lockfile, builds, then hands over to
 * the task on the Node that came with the packages.
 */
import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'

const root = join(import.meta.dirname, '..')

/** Debian package -> how to see that it is there: a command on PATH, or a library of the dynamic linker. */
const RUNTIME = {
  libbpf1: {library: 'libbpf.so.1'},
  iproute2: {command: 'ip'},
  iptables: {command: 'iptables-restore'},
}
/** The object is compared byte for byte, so the compiler's version is pinned. */
const TESTING = {
  ...RUNTIME,
  'clang-14': {command: 'clang-14'},
  'llvm-14': {command: 'llvm-strip-14'},
  'libbpf-dev': {file: '/usr/include/bpf/bpf_helpers.h'},
  make: {command: 'make'},
  nftables: {command: 'nft'},
  bpftool: {command: 'bpftool'},
  zsh: {command: 'zsh'},
  fish: {command: 'fish'},
  // A container runtime of its own, which starts pods through kmesh-cni.
  containerd: {command: 'containerd'},
  runc: {command: 'runc'},
  'containernetworking-plugins': {file: '/usr/lib/cni/bridge'},
  'busybox-static': {file: '/bin/busybox'},
  // Opens the page of interop check.
  chromium: {command: 'chromium'},
}

const TASKS = {
  demo: {packages: RUNTIME, script: 'bin/demo.ts', arguments: []},
  test: {packages: TESTING, script: 'bin/test.ts', arguments: ['all']},
  soak: {packages: TESTING, script: 'bin/test.ts', arguments: ['soak']},
  bench: {packages: TESTING, script: 'bin/bench.ts', arguments: []},
}

const PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`

function say(text) {
  process.stderr.write(`${text}\n`)
}

function fail(text) {
  say(`error: ${text}`)
  process.exit(1)
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: {...process.env, PATH},
    ...options,
  })
  if (result.error) fail(`${command} did not start: ${result.error.message}`)
  if (result.status !== 0)
    fail(`'${[command, ...args].join(' ')}' failed (${result.signal ?? result.status})`)
}

function isThere({command, library, file}) {
  if (command) return PATH.split(':').some((folder) => folder !== '' && existsSync(join(folder, command)))
  if (file) return existsSync(file)
  const linker = spawnSync('ldconfig', ['-p'], {env: {...process.env, PATH}, encoding: 'utf8'})
  return (linker.stdout ?? '').includes(library)
}

function isDebian() {
  if (!existsSync('/etc/os-release')) return false
  return /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync('/etc/os-release', 'utf8'))
}

function installSystemPackages(packages) {
  const missing = Object.keys(packages).filter((name) => !isThere(packages[name]))
  if (missing.length === 0) return
  const command = `apt-get update && apt-get install -y ${missing.join(' ')}`
  if (process.getuid?.() !== 0 || !isDebian())
    refuse(`missing ${missing.join(', ')}; on Debian or Ubuntu run: sudo sh -c '${command}'`)
  say(`Installing ${missing.join(', ')}`)
  const env = {...process.env, PATH, DEBIAN_FRONTEND: 'noninteractive'}
  run('apt-get', ['update', '-q'], {stdio: ['ignore', 'ignore', 'inherit'], env})
  run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...missing], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env,
  })
  const still = missing.filter((name) => !isThere(packages[name]))
  if (still.length > 0) fail(`installed, but still not found: ${still.join(', ')}`)
}

/** Capabilities that namespaces, cgroups and eBPF take: NET_ADMIN, SYS_ADMIN. Root in a container may lack them. */
const NEEDED_CAPABILITIES = {CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n}

function checkKernel() {
  // There with the bpf(2) system call only.
  if (!existsSync('/proc/sys/kernel/unprivileged_bpf_disabled')) refuse('this kernel has no BPF')
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  const missing = Object.entries(NEEDED_CAPABILITIES).filter(
    ([, bit]) => ((BigInt(`0x${effective}`) >> bit) & 1n) === 0n,
  )
  if (missing.length > 0) refuse(`root lacks ${missing.map(([capability]) => capability).join(', ')} here`)
}

/** The kernel cannot be used; the demo has another way, which nobody takes without being asked. */
function refuse(text) {
  say(`error: ${text}`)
  if (name === 'demo') say('hint: without the kernel: npm run demo -- --backend memory')
  process.exit(1)
}

/** npm's own record of what it installed is newer than the lockfile, or there is work to do. */
function installNodePackages() {
  const record = join(root, 'node_modules', '.package-lock.json')
  if (existsSync(record) && statSync(record).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs)
    return
  say('Installing the packages of package-lock.json')
  // npm warns of its own user settings and of this Node's age; neither is about us, errors still show.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
}

const name = process.argv[2] ?? ''
const task = Object.hasOwn(TASKS, name)
  ? TASKS[name]
  : fail(`unknown task '${name}': ${Object.keys(TASKS).join(', ')}`)
const rest = process.argv.slice(3)
const needsKernel = !(name === 'demo' && /(^| )--backend[= ]memory( |$)/.test(rest.join(' ')))
if (needsKernel) {
  if (process.platform !== 'linux') refuse('eBPF needs Linux')
  if (process.getuid?.() !== 0) {
    // Named first when something is missing too: one line, one command.
    installSystemPackages(task.packages)
    refuse(
      `'npm run ${name}' loads eBPF programs and makes network namespaces: run it as root (sudo npm run ${name})`,
    )
  }
  checkKernel()
  installSystemPackages(task.packages)
}
installNodePackages()
say('Building')
run(join(root, 'bin/with-node'), ['bin/build.ts'])
const result = spawnSync(join(root, 'bin/with-node'), [task.script, ...task.arguments, ...rest], {
  cwd: root,
  stdio: 'inherit',
  env: {...process.env, PATH},
})
process.exit(result.status ?? 1)
