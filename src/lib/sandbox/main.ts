// SPDX-License-Identifier: Apache-2.0
/** The background process of one sandbox. Started by `kmeshctl sandbox up` with its options as JSON. */
import {readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {createClock} from '../adapters/clock.ts'
import {systemCommands} from '../adapters/commands.ts'
import {createKube} from '../adapters/kube.ts'
import {loadConnection} from '../adapters/kubeconfig.ts'
import {createNetns} from '../adapters/netns.ts'
import {createInformers} from '../adapters/watch.ts'
import {messageOf} from '../errors.ts'
import type {Log, LogFields} from '../ports.ts'
import {cleanSandbox} from './nodes/clean.ts'
import {type Outside, type RunOptions, runSandbox} from './run.ts'
import {MARK, readJson, runRootOf, type SandboxState, sandboxPaths, stateDirOf, writeJson} from './state.ts'

const REQUEST_TIMEOUT_MS = 10_000

/** Folder of package.json: the bundle lies in dist/. */
const root = join(import.meta.dirname, '..')
const options = JSON.parse(process.argv[2] ?? '') as RunOptions
const isRoot = process.geteuid?.() === 0
const paths = sandboxPaths(
  options.name,
  stateDirOf(options.name, process.env),
  isRoot && process.platform === 'linux' ? readFileSync('/proc/mounts', 'utf8') : undefined,
  runRootOf(process.geteuid?.() ?? -1, process.env),
)
const clock = createClock()
const commands = systemCommands()
const log = fileLog()
const stopping = new AbortController()

function fileLog(): Log {
  const write = (level: string) => (message: string, fields?: LogFields) => {
    const time = new Date(clock.nowMs()).toISOString()
    process.stderr.write(`${JSON.stringify({time, level, message, ...fields})}\n`)
  }
  // Requests that were refused come at debug: too many for a file that nobody rotates.
  return {
    trace: () => {},
    debug: () => {},
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  }
}

function outside(): Outside {
  const version = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {version: string}).version
  const path = process.env['PATH'] ?? ''
  return {
    commands,
    netns: options.backend === 'memory' ? undefined : createNetns(),
    killGroup: (pid) => killProcess(-pid),
    clock,
    log,
    pid: process.pid,
    version,
    echoProgram: [process.execPath, join(root, 'dist', 'echo.js')],
    sidecarProgram: [process.execPath, join(root, 'dist', 'sidecar.js')],
    daemonProgram: join(root, 'bin', 'kmesh-daemon'),
    roles: readFileSync(join(root, 'deploy', 'rbac.yaml'), 'utf8'),
    baseEnvironment: {
      // `node` inside a pod is the one that runs us.
      PATH: `${dirname(process.execPath)}:${path}`,
      HOME: process.env['HOME'] ?? '/root',
      LANG: process.env['LANG'] ?? 'C.UTF-8',
      [MARK]: options.name,
    },
    openKube: async (kubeconfig) => {
      const connection = await loadConnection({kubeconfig})
      const kube = createKube(connection, {clock, log, requestTimeoutMs: REQUEST_TIMEOUT_MS})
      return {kube, informers: createInformers({kube, clock, log})}
    },
  }
}

/** Once, whatever comes first: a signal or a failure. */
async function end(keepState: boolean): Promise<void> {
  stopping.abort()
  await cleanSandbox(paths, {commands, clock, kill: killProcess, spare: new Set([process.pid])}, {keepState})
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function onSignal(name: string): Promise<void> {
  if (stopping.signal.aborted) return
  log.info(`${name}: taking everything down`)
  try {
    await end(false)
    process.exit(0)
  } catch (error) {
    log.error(messageOf(error))
    process.exit(1)
  }
}

async function fail(error: unknown): Promise<void> {
  if (stopping.signal.aborted) return
  const message = messageOf(error)
  log.error(message, {stack: error instanceof Error ? error.stack : undefined})
  await end(true).catch((thrown: unknown) => log.error(messageOf(thrown)))
  const state = readJson<SandboxState>(paths.stateFile)
  if (state !== undefined) writeJson(paths.stateFile, {...state, phase: 'failed', message})
  process.exit(1)
}

for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => void onSignal(name))
// The terminal that started it may close.
process.on('SIGHUP', () => {})
process.on('uncaughtException', (error) => void fail(error))
process.on('unhandledRejection', (error) => void fail(error))

try {
  await runSandbox(options, paths, outside(), stopping.signal)
} catch (error) {
  await fail(error)
}
