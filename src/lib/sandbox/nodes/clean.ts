// SPDX-License-Identifier: Apache-2.0
/** Takes away everything that carries a sandbox's name; needs nothing of it alive. */
import {existsSync, readdirSync, readFileSync, rmdirSync, rmSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {KmeshError, TimeoutError} from '../../errors.ts'
import type {Clock, Commands} from '../../ports.ts'
import {MARK, type SandboxPaths} from '../state.ts'
import {removeCgroup} from './cgroups.ts'

const NETNS_DIRECTORY = '/run/netns'
const POLL_MS = 20
const TIMEOUT_MS = 10_000

export interface Cleaner {
  readonly commands: Commands
  readonly clock: Clock
  /** Sends SIGKILL; no error where the process is gone. */
  readonly kill: (pid: number) => void
  /** Processes that stay: the caller and those that started it. */
  readonly spare: ReadonlySet<number>
}

export interface CleanOptions {
  /** Leaves kubeconfig, logs and state file for who wants to know why it failed. */
  readonly keepState?: boolean
}

/**
 * Idempotent. Resolves when processes, cgroups, mounts and namespaces are gone.
 * @throws TimeoutError that says what is left
 */
export async function cleanSandbox(
  paths: SandboxPaths,
  cleaner: Cleaner,
  options: CleanOptions = {},
): Promise<void> {
  await killMarked(paths.name, cleaner)
  await removeCgroups(paths.cgroupRoot, cleaner)
  await unmount(paths.bpfDir, cleaner.commands)
  await removeNamespaces(paths, cleaner.commands)
  rmSync(paths.podRecordDir, {recursive: true, force: true})
  rmSync(paths.bpfDir, {recursive: true, force: true})
  if (options.keepState === true) return
  rmSync(paths.runDir, {recursive: true, force: true})
  removeIfEmpty(dirname(paths.runDir))
  rmSync(paths.stateDir, {recursive: true, force: true})
  removeIfEmpty(dirname(paths.stateDir))
}

async function removeCgroups(root: string, {clock}: Cleaner): Promise<void> {
  if (root === '') return
  if (!(await removeCgroup(root, clock, TIMEOUT_MS))) {
    throw new TimeoutError(`cgroup ${root} is still in use after ${TIMEOUT_MS} ms`)
  }
  removeIfEmpty(dirname(root))
}

/** Whether there is anything that {@link cleanSandbox} would take away. */
export function hasRemains(paths: SandboxPaths, spare: ReadonlySet<number>): boolean {
  return (
    markedProcesses(paths.name, spare).length > 0 ||
    (paths.cgroupRoot !== '' && existsSync(paths.cgroupRoot)) ||
    existsSync(paths.runDir) ||
    existsSync(paths.stateDir) ||
    namespacesOf(paths).length > 0
  )
}

/** Processes whose environment has the sandbox's mark. */
export function markedProcesses(name: string, spare: ReadonlySet<number>): number[] {
  if (!existsSync('/proc')) return []
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => !spare.has(pid) && isMarked(pid, name))
}

export function isMarked(pid: number, name: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${MARK}=${name}`)
  } catch {
    return false // It ended, or it is not ours to look at.
  }
}

async function killMarked(name: string, cleaner: Cleaner): Promise<void> {
  const end = cleaner.clock.monotonicMs() + TIMEOUT_MS
  for (;;) {
    const pids = markedProcesses(name, cleaner.spare)
    if (pids.length === 0) return
    if (cleaner.clock.monotonicMs() > end) {
      throw new TimeoutError(`processes ${pids.join(', ')} did not end within ${TIMEOUT_MS} ms of SIGKILL`)
    }
    for (const pid of pids) cleaner.kill(pid)
    await cleaner.clock.sleep(POLL_MS)
  }
}

/** Pins go first: another mount namespace may hold a copy of the mount. */
async function unmount(directory: string, commands: Commands): Promise<void> {
  while (isMounted(directory)) {
    // The kernel puts files of its own beside the nodes' directories; nobody can remove those.
    for (const entry of readdirSync(directory, {withFileTypes: true})) {
      if (entry.isDirectory()) rmSync(join(directory, entry.name), {recursive: true, force: true})
    }
    await commands.run({file: 'umount', args: [directory]})
  }
}

export function isMounted(directory: string): boolean {
  if (!existsSync('/proc/self/mounts')) return false
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === directory)
}

function namespacesOf(paths: SandboxPaths): string[] {
  if (paths.namespacePrefix === '' || !existsSync(NETNS_DIRECTORY)) return []
  return readdirSync(NETNS_DIRECTORY).filter((name) => name.startsWith(paths.namespacePrefix))
}

async function removeNamespaces(paths: SandboxPaths, commands: Commands): Promise<void> {
  const names = namespacesOf(paths)
  if (names.length === 0) return
  const input = names.map((name) => `netns del ${name}\n`).join('')
  await commands.run({file: 'ip', args: ['-force', '-batch', '-'], input})
  const left = namespacesOf(paths)
  if (left.length > 0) {
    throw new KmeshError(`network namespaces are left: ${left.join(', ')}`, {code: 'SandboxRemains'})
  }
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch {
    // Other sandboxes are below it, or it is not there.
  }
}
