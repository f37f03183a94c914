// SPDX-License-Identifier: Apache-2.0
/** The side of the commands: starts, finds, asks and ends the sandbox's process. */
import {spawn} from 'node:child_process'
import {closeSync, mkdirSync, openSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {createClock} from '../adapters/clock.ts'
import {systemCommands} from '../adapters/commands.ts'
import {ConflictError, KmeshError, messageOf, TimeoutError} from '../errors.ts'
import type {Backend} from '../model/api.ts'
import {type KubeObject, RESOURCES, type Service} from '../model/kube.ts'
import type {Kube, Log} from '../ports.ts'
import {isAlive, ownProcesses, takeLock} from './liveness.ts'
import {collectionOf} from './manifests.ts'
import {type Cleaner, cleanSandbox, hasRemains} from './nodes/clean.ts'
import type {RunOptions} from './run.ts'
import {MARK, readPodRecords, type SandboxPaths, type SandboxState} from './state.ts'
import {type SandboxStatus, statusOf} from './status.ts'
import {pathsOf, refuseRootsSandbox, stateOf} from './where.ts'

const POLL_MS = 50
const END_TIMEOUT_MS = 20_000
const REQUEST_TIMEOUT_MS = 5000

export interface Progress {
  readonly say: (message: string) => void
  readonly signal: AbortSignal
}

/** @returns false when it was up already, in which case nothing was done */
export async function startSandbox(options: RunOptions, progress: Progress): Promise<boolean> {
  let paths = pathsOf(options.name)
  using _lock = await takeLock(options.name)
  const state = stateOf(paths)
  if (isAlive(state) && state?.phase !== 'failed') {
    refuseOtherBackend(state, options.backend)
    if (state?.phase === 'ready') return false
    throw new ConflictError(`sandbox ${options.name} is still starting (process ${state?.pid})`)
  }
  if (hasRemains(paths, ownProcesses())) {
    progress.say(`cleaning up after sandbox ${options.name}, which did not end well`)
    await cleanSandbox(paths, cleaner())
    // Where it kept its files no longer binds.
    paths = pathsOf(options.name)
  }
  mkdirSync(paths.stateDir, {recursive: true, mode: 0o700})
  const child = spawnMain(options, paths)
  try {
    await waitUntilReady(paths, child.ended, progress)
  } catch (error) {
    // Whoever interrupts `up` wants no half of it; a failure has taken itself down and left its log.
    if (progress.signal.aborted) {
      await endMain(child.pid)
      await cleanSandbox(paths, cleaner())
    }
    throw error
  }
  return true
}

function refuseOtherBackend(state: SandboxState | undefined, wanted: Backend): void {
  const backend = state?.backend ?? 'kernel'
  if (backend === wanted) return
  throw new ConflictError(`sandbox ${state?.name} is up on backend ${backend}, not ${wanted}`, {
    hints: [`kmeshctl sandbox down --name ${state?.name}`],
  })
}

interface MainProcess {
  readonly pid: number
  readonly ended: Promise<string>
}

function spawnMain(options: RunOptions, paths: SandboxPaths): MainProcess {
  const program = join(dirname(process.argv[1] ?? ''), 'sandbox.js')
  const log = openSync(paths.logFile, 'a', 0o600)
  const kept = ['PATH', 'HOME', 'LANG', 'XDG_STATE_HOME', 'XDG_RUNTIME_DIR']
  const inherited = Object.fromEntries(
    kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  )
  const child = spawn(process.execPath, [program, JSON.stringify(options)], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
    env: {...inherited, [MARK]: options.name},
  })
  closeSync(log)
  child.unref()
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? `exit status ${code}`))
  })
  return {pid: child.pid ?? 0, ended}
}

async function waitUntilReady(
  paths: SandboxPaths,
  ended: Promise<string>,
  progress: Progress,
): Promise<void> {
  const clock = createClock()
  let howEnded: string | undefined
  void ended.then((how) => {
    howEnded = how
  })
  let said = ''
  for (;;) {
    const state = stateOf(paths)
    if (state?.phase === 'ready') return
    if (howEnded !== undefined) {
      const why = state?.phase === 'failed' ? state.message : `its process ended: ${howEnded}`
      throw new KmeshError(`sandbox ${paths.name} did not start: ${why}`, {
        code: 'SandboxStart',
        hints: [`its log is ${paths.logFile}`],
      })
    }
    if (state !== undefined && state.message !== said) {
      said = state.message
      progress.say(said)
    }
    await clock.sleep(POLL_MS, progress.signal)
  }
}

/** @returns whether anything was there */
export async function stopSandbox(name: string): Promise<boolean> {
  const paths = pathsOf(name)
  using _lock = await takeLock(name)
  if (!hasRemains(paths, ownProcesses())) {
    refuseRootsSandbox(name)
    return false
  }
  const state = stateOf(paths)
  if (state !== undefined && isAlive(state)) await endMain(state.pid)
  await cleanSandbox(paths, cleaner())
  if (hasRemains(paths, ownProcesses())) throw new TimeoutError(`sandbox ${name} is not gone`)
  return true
}

/** SIGTERM and some time; what does not end then is killed by its mark. */
async function endMain(pid: number): Promise<void> {
  const clock = createClock()
  const end = clock.monotonicMs() + END_TIMEOUT_MS
  try {
    process.kill(pid, 'SIGTERM')
    while (clock.monotonicMs() < end) {
      process.kill(pid, 0)
      await clock.sleep(POLL_MS)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function cleaner(): Cleaner {
  return {
    commands: systemCommands(),
    clock: createClock(),
    spare: ownProcesses(),
    kill: (pid) => {
      try {
        process.kill(pid, 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    },
  }
}

/** undefined where nothing is there. */
export async function lookAtSandbox(name: string, log: Log): Promise<SandboxStatus | undefined> {
  const paths = pathsOf(name)
  if (!hasRemains(paths, ownProcesses())) {
    refuseRootsSandbox(name)
    return undefined
  }
  const state = stateOf(paths)
  const alive = isAlive(state)
  return statusOf({
    name,
    state,
    isAlive: alive,
    kubeconfig: paths.kubeconfig,
    logFile: paths.logFile,
    pods: readPodRecords(paths),
    services: alive && state?.server ? await readServices(paths, log) : null,
  })
}

async function readServices(paths: SandboxPaths, log: Log): Promise<readonly Service[] | null> {
  const kube = await openKube(paths, log)
  try {
    return (await kube.list<Service>(RESOURCES.services)).items
  } catch (error) {
    log.warn(`the sandbox's API does not answer: ${messageOf(error)}`)
    return null
  } finally {
    await kube.close()
  }
}

async function openKube(paths: SandboxPaths, log: Log): Promise<Kube> {
  const [{loadConnection}, {createKube}] = await Promise.all([
    import('../adapters/kubeconfig.ts'),
    import('../adapters/kube.ts'),
  ])
  const connection = await loadConnection({kubeconfig: paths.kubeconfig})
  return createKube(connection, {clock: createClock(), log, requestTimeoutMs: REQUEST_TIMEOUT_MS})
}

/** @throws the first failure, with the object's name; those before it are created */
export async function createObjects(name: string, objects: readonly KubeObject[], log: Log): Promise<void> {
  const kube = await openKube(pathsOf(name), log)
  try {
    for (const object of objects) {
      try {
        await kube.create(collectionOf(object), object)
      } catch (error) {
        const {code, exitCode} = error instanceof KmeshError ? error : {code: 'Failed', exitCode: 1}
        const what = `${object.kind} ${object.metadata.name ?? ''}`
        throw new KmeshError(`${what} cannot be created: ${messageOf(error)}`, {code, exitCode, cause: error})
      }
    }
  } finally {
    await kube.close()
  }
}
