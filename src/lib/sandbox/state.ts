// SPDX-License-Identifier: Apache-2.0
/** Where a sandbox keeps its things, and what it writes down about itself. */
import {lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {KmeshError, messageOf, UsageError} from '../errors.ts'
import type {Backend} from '../model/api.ts'

/** Every process of a sandbox has this in its environment; the value is the sandbox's name. */
export const MARK = 'KMESHCTL_SANDBOX'
const NETNS_DIRECTORY = '/run/netns'

export interface SandboxPaths {
  readonly name: string
  /** Kubeconfig, log files, state of daemons; survives the process, not `sandbox down`. */
  readonly stateDir: string
  readonly kubeconfig: string
  readonly logFile: string
  /** In the run directory. */
  readonly stateFile: string
  /** Container output, one file each. */
  readonly outputDir: string
  /** Sockets, mounts and records of running pods. */
  readonly runDir: string
  /** Mount point of the sandbox's own bpffs. */
  readonly bpfDir: string
  readonly podRecordDir: string
  /** Root of its cgroups; '' where it can have none. */
  readonly cgroupRoot: string
  /**
   * What every one of its network namespaces begins with; no name has a dot, so no other sandbox's do.
   * '' where it can have none.
   */
  readonly namespacePrefix: string
}

/** @throws UsageError where the name cannot be part of file and interface names */
export function checkName(name: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,29}[a-z0-9])?$/.test(name)) return name
  throw new UsageError(`sandbox name "${name}": expected 1 to 31 of a-z, 0-9 and -, no - at the ends`, {
    parameter: 'name',
  })
}

/** @param environment what to take XDG_STATE_HOME and HOME from; without both, /root is the home */
export function stateDirOf(name: string, environment: Readonly<Record<string, string | undefined>>): string {
  const base = environment['XDG_STATE_HOME'] || join(environment['HOME'] || '/root', '.local', 'state')
  return join(base, 'kmeshctl', checkName(name))
}

/**
 * A name is one sandbox on the whole machine, or one of an ordinary user; where its process keeps files is said in
 * the state file.
 *
 * @param mounts text of /proc/mounts; undefined for an ordinary user, who has no namespaces and cgroups
 * @param runRoot see {@link runRootOf}
 */
export function sandboxPaths(
  name: string,
  ownStateDir: string,
  mounts: string | undefined,
  runRoot = ROOT_RUN_ROOT,
): SandboxPaths {
  const runDir = join(runRoot, checkName(name))
  const cgroups = mounts === undefined ? undefined : findCgroup2(mounts)
  const stateFile = join(runDir, 'state.json')
  const stateDir = readJson<SandboxState>(stateFile)?.stateDir ?? ownStateDir
  return {
    name,
    stateDir,
    kubeconfig: join(stateDir, 'kubeconfig'),
    logFile: join(stateDir, 'sandbox.log'),
    stateFile,
    outputDir: join(stateDir, 'output'),
    runDir,
    bpfDir: join(runDir, 'bpf'),
    podRecordDir: join(runDir, 'pods'),
    cgroupRoot: cgroups === undefined ? '' : join(cgroups, 'kmeshctl', name),
    namespacePrefix: mounts === undefined ? '' : `kmx-${name}.`,
  }
}

/** @throws KmeshError where no cgroup2 file system is mounted */
export function cgroup2Mount(mounts: string): string {
  const found = findCgroup2(mounts)
  if (found !== undefined) return found
  throw new KmeshError('no cgroup2 file system is mounted', {
    code: 'NoCgroup2',
    hints: ['mount -t cgroup2 none /sys/fs/cgroup/unified'],
  })
}

function findCgroup2(mounts: string): string | undefined {
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, , type]) => type === 'cgroup2')?.[1]
}

/** Where root's sandboxes keep what does not outlive a boot. */
const ROOT_RUN_ROOT = '/run/kmeshctl'

/** @param uid -1 where there are no users */
export function runRootOf(uid: number, environment: Readonly<Record<string, string | undefined>>): string {
  if (uid === 0) return ROOT_RUN_ROOT
  const runtime = environment['XDG_RUNTIME_DIR']
  return runtime ? join(runtime, 'kmeshctl') : `/tmp/kmeshctl-${uid}`
}

/**
 * Anybody may make a folder of that name in /tmp, and what is read below it decides what is killed and removed.
 * @throws KmeshError `ForeignDirectory` where it is there and not a private folder of `uid`
 */
export function checkPrivate(directory: string, uid: number): void {
  const found = lstatSync(directory, {throwIfNoEntry: false})
  if (found === undefined) return
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0) return
  throw new KmeshError(`${directory} is not a folder that only this user can write`, {
    code: 'ForeignDirectory',
  })
}

/** Path of a named network namespace of the sandbox. */
export function namespacePath(paths: SandboxPaths, suffix: string): string {
  return join(NETNS_DIRECTORY, `${paths.namespacePrefix}${suffix}`)
}

/** What the process tells about itself; commands read it. */
export interface SandboxState {
  readonly name: string
  /** Absent: the kernel. */
  readonly backend?: Backend
  readonly pid: number
  /** `starting` until everything asked for is Ready. */
  readonly phase: 'starting' | 'ready' | 'failed'
  /** What it is doing, or why it failed. */
  readonly message: string
  readonly startedAt: string
  readonly stateDir: string
  readonly version: string
  readonly families: readonly string[]
  readonly server: string
  readonly serviceCidrs: readonly string[]
  readonly nodes: readonly NodeRecord[]
}

export interface NodeRecord {
  readonly name: string
  readonly addresses: readonly string[]
  readonly podCidrs: readonly string[]
  readonly networkNamespace: string
  readonly cgroup: string
  readonly bpfDir: string
}

/** A running pod, as its node sees it; enough to enter it when nothing else answers. */
export interface PodRecord {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly node: string
  readonly hostNetwork: boolean
  readonly addresses: readonly string[]
  readonly networkNamespace: string
  readonly ready: boolean
  readonly terminating: boolean
  readonly containers: readonly ContainerRecord[]
}

export interface ContainerRecord {
  readonly name: string
  readonly cgroup: string
  readonly outputFile: string
  readonly env: Readonly<Record<string, string>>
  readonly workingDir: string | null
  readonly user: number
  readonly group: number
  /** null while it does not run. */
  readonly pid: number | null
  readonly restartCount: number
  readonly ready: boolean
  /** Why it does not run, else ''. */
  readonly message: string
}

/** Namespaces and pod names have no underscore. */
export function podRecordFile(paths: SandboxPaths, namespace: string, name: string): string {
  return join(paths.podRecordDir, `${namespace}_${name}.json`)
}

/** Replaces the file in one step, readable by its owner only. */
export function writeJson(file: string, value: unknown): void {
  const temporary = `${file}.new`
  writeFileSync(temporary, `${JSON.stringify(value, null, 1)}\n`, {mode: 0o600})
  renameSync(temporary, file)
}

/** undefined where there is no such file. */
export function readJson<T>(file: string): T | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new KmeshError(`cannot read ${file}: ${messageOf(error)}`, {code: 'SandboxState', cause: error})
  }
  try {
    return JSON.parse(text) as T
  } catch (error) {
    throw new KmeshError(`${file} is no JSON: ${messageOf(error)}`, {code: 'SandboxState', cause: error})
  }
}

/** Records of all pods, by namespace and name. */
export function readPodRecords(paths: SandboxPaths): PodRecord[] {
  let files: string[]
  try {
    files = readdirSync(paths.podRecordDir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  const records = files
    .filter((file) => file.endsWith('.json'))
    .map((file) => readJson<PodRecord>(join(paths.podRecordDir, file)))
  return records
    .filter((record) => record !== undefined)
    .sort((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`))
}

export function makeDirectories(paths: SandboxPaths): void {
  for (const directory of [paths.stateDir, paths.outputDir, paths.runDir, paths.podRecordDir]) {
    mkdirSync(directory, {recursive: true, mode: 0o700})
  }
}
