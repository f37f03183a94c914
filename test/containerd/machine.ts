// SPDX-License-Identifier: Apache-2.0
/** A node of its own on this machine: network, mounts and cgroup; all of it ends with `down()`. */
import {type ChildProcess, execFile, execFileSync, spawn} from 'node:child_process'
import {
  globSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {removeCgroup} from '../../src/lib/sandbox/nodes/cgroups.ts'
import {cgroup2Mount} from '../../src/lib/sandbox/state.ts'
import {eventually} from '../e2e/harness.ts'

/** Hidden from its programs, so that nothing of theirs reaches the folders of this machine. */
const OWN_FOLDERS = ['/run', '/var/lib', '/var/log']
const execute = promisify(execFile)
const ENTER_CGROUP = 'echo 0 > "$1" && shift && exec "$@"'

export interface Machine {
  readonly name: string
  /** The same path inside and outside. */
  readonly directory: string
  readonly namespacePath: string
  /** What is started inside is in here, and what that starts. */
  readonly cgroup: string
  /** Parent of pods' cgroups as a kubelet names it: below the root of every hierarchy. */
  readonly cgroupParent: string
  /** Runs to the end and gives its stdout. Not synchronous: it may ask an API that this process serves. */
  run(file: string, ...args: string[]): Promise<string>
  /** stdout and stderr go to `<directory>/<log>`. */
  start(log: string, file: string, ...args: string[]): ChildProcess
  down(): Promise<void>
}

export async function createMachine(suffix: string): Promise<Machine> {
  const name = `kmt${process.pid}-${suffix}`
  const directory = mkdtempSync(join(tmpdir(), `${name}-`))
  const root = join(cgroup2Mount(readFileSync('/proc/mounts', 'utf8')), name)
  const namespacePath = `/run/netns/${name}`
  mkdirSync(join(root, 'runtime'), {recursive: true})
  execFileSync('ip', ['netns', 'add', name])
  execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
  const inCgroup = ['-c', ENTER_CGROUP, 'sh', join(root, 'runtime', 'cgroup.procs')]
  const ready = join(directory, 'ready')
  const mounts = OWN_FOLDERS.map((folder) => `mount -t tmpfs tmpfs ${folder}`).join(' && ')
  const holder = spawn(
    '/bin/sh',
    [
      ...inCgroup,
      ...['nsenter', `--net=${namespacePath}`, 'unshare', '--mount', '--propagation', 'private', '--'],
      ...['/bin/sh', '-c', `${mounts} && touch ${ready} && exec sleep infinity`],
    ],
    {stdio: ['ignore', 'ignore', 'inherit']},
  )
  const inside = [...inCgroup, 'nsenter', '--target', String(holder.pid), '--mount', '--net', '--']
  const machine: Machine = {
    name,
    directory,
    namespacePath,
    cgroup: root,
    cgroupParent: `/${name}/kubepods`,
    run: async (file, ...args) => (await execute('/bin/sh', [...inside, file, ...args])).stdout,
    start: (log, file, ...args) => {
      const output = openSync(join(directory, log), 'a')
      return spawn('/bin/sh', [...inside, file, ...args], {stdio: ['ignore', output, output]})
    },
    down: async () => {
      const gone = await removeCgroup(root, createClock(), 10_000)
      execFileSync('ip', ['netns', 'del', name])
      for (const path of globSync(`/sys/fs/cgroup/*/${name}/**/`).sort().reverse()) rmdirSync(path)
      rmSync(directory, {recursive: true, force: true})
      if (!gone) throw new Error(`${root} is still in use`)
    },
  }
  try {
    await eventually('its mounts', async () => (globSync(ready).length > 0 ? true : undefined))
  } catch (error) {
    await machine.down()
    throw error
  }
  return machine
}

/** Writes a file below the machine's directory and gives its path. */
export function put(machine: Machine, file: string, text: string): string {
  const path = join(machine.directory, file)
  writeFileSync(path, text)
  return path
}
