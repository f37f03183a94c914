// SPDX-License-Identifier: Apache-2.0
/** Programs of this machine, run in a network namespace and a cgroup. */
import {type ChildProcess, spawn} from 'node:child_process'
import {closeSync, existsSync, openSync} from 'node:fs'
import {CommandError, KmeshError, messageOf} from '../errors.ts'
import type {CommandRequest, Commands, ProcessExit, ProcessRequest, RunningProcess} from '../ports.ts'

const DEFAULT_TIMEOUT_MS = 10_000
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024

/** The shell puts itself into the cgroup before it becomes the program: nothing of that ever runs outside. */
const ENTER_CGROUP = 'echo 0 > "$1" || exit 125; shift; exec "$@"'

export function systemCommands(): Commands {
  return {run: runToEnd, start: startProcess}
}

/**
 * A program of util-linux or coreutils by its full path: the PATH of a container may not lead there.
 *
 * @throws KmeshError `MissingTool`
 */
export function toolPath(name: string): string {
  const found = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'].find((folder) => existsSync(`${folder}/${name}`))
  if (found === undefined) throw new KmeshError(`${name} is not installed`, {code: 'MissingTool'})
  return `${found}/${name}`
}

/** What to put before a program so that it starts in that namespace, cgroup and as that user. */
export function enterPrefix(
  where: Pick<ProcessRequest, 'namespacePath' | 'cgroupPath' | 'user' | 'group'>,
): string[] {
  const prefix: string[] = []
  // The namespace comes first: a process in a pod's cgroup is taken for one of the pod, wherever it is.
  if (where.namespacePath !== undefined)
    prefix.push(toolPath('nsenter'), `--net=${where.namespacePath}`, '--')
  if (where.cgroupPath !== undefined) {
    prefix.push('/bin/sh', '-c', ENTER_CGROUP, 'sh', `${where.cgroupPath}/cgroup.procs`)
  }
  prefix.push(...userPrefix(where.user ?? 0, where.group ?? 0))
  return prefix
}

function userPrefix(user: number, group: number): string[] {
  if (user === 0 && group === 0) return []
  return [toolPath('setpriv'), `--reuid=${user}`, `--regid=${group}`, '--clear-groups', '--']
}

function commandLine(prefix: readonly string[], file: string, args: readonly string[]): [string, string[]] {
  const [first = file, ...rest] = [...prefix, file, ...args]
  return [first, rest]
}

/** `ip` and `iptables` are in folders that a plain `su` has not in its PATH. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return {...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`}
}

async function runToEnd(request: CommandRequest): Promise<string> {
  const [file, args] = commandLine(enterPrefix(request), request.file, request.args)
  const child = spawn(file, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: request.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    env: request.env === undefined ? ownEnvironment() : {...request.env},
    killSignal: 'SIGKILL',
    // A group of its own, so that what it has started can be ended with it.
    detached: true,
  })
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  // A program that does not read its input ends with an exit status that says more than EPIPE.
  child.stdin.on('error', () => {})
  child.stdin.end(request.input ?? '')
  const exit = await exitOf(child, request.file)
  if (exit.signal !== null) killGroup(child)
  if (exit.exitCode !== 0) throw failed(request, exit, await stdout, await stderr)
  return await stdout
}

/** What it left behind would work on after it has been given up, and keep its output open. */
function killGroup({pid}: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function failed(request: CommandRequest, exit: ProcessExit, stdout: string, stderr: string): CommandError {
  const how = exit.signal === null ? `exit status ${exit.exitCode}` : exit.signal
  const line = [request.file, ...request.args].join(' ')
  return new CommandError(`${line}: ${how}: ${stderr.trim() || 'no message'}`, stdout)
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    if (size <= MAX_OUTPUT_BYTES) chunks.push(Buffer.from(chunk))
  }
  return Buffer.concat(chunks).toString('utf8')
}

function exitOf(child: ChildProcess, file: string): Promise<ProcessExit> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(new KmeshError(`cannot start ${file}: ${error.message}`, {code: 'CommandFailed', cause: error}))
    })
    child.once('exit', (exitCode, signal) => resolve({exitCode, signal}))
  })
}

async function startProcess(request: ProcessRequest): Promise<RunningProcess> {
  const output = openSync(request.outputFile, 'a', 0o640)
  try {
    const [file, args] = commandLine(enterPrefix(request), request.file, request.args)
    const child = spawn(file, args, {
      stdio: ['ignore', output, output],
      detached: true,
      env: {...request.env},
      ...(request.workingDir === undefined ? {} : {cwd: request.workingDir}),
    })
    const exited = exitOf(child, request.file)
    if (child.pid === undefined) return await exited.then(unreachable)
    return {pid: child.pid, exited, signal: (name) => void child.kill(name)}
  } catch (error) {
    if (error instanceof KmeshError) throw error
    throw new KmeshError(`cannot start ${request.file}: ${messageOf(error)}`, {
      code: 'CommandFailed',
      cause: error,
    })
  } finally {
    closeSync(output)
  }
}

function unreachable(): never {
  throw new KmeshError('a process without an id ended', {code: 'CommandFailed'})
}
