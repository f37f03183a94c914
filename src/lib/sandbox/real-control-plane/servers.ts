// SPDX-License-Identifier: Apache-2.0
/** etcd and kube-apiserver, with controller manager and scheduler where they are there; wherever they run. */
import {closeSync, fstatSync, mkdirSync, openSync, readSync} from 'node:fs'
import {join} from 'node:path'
import type {Clock, Commands, Log, ProcessRequest} from '../../ports.ts'
import type {CredentialFiles} from './credentials.ts'
import {
  type ApiServerSettings,
  apiServerArgs,
  controllerManagerArgs,
  etcdArgs,
  schedulerArgs,
} from './flags.ts'
import type {Programs} from './programs.ts'
import {type Supervised, supervise} from './supervise.ts'

const TAIL_BYTES = 4096
const TAIL_LINES = 5

export interface ServersOptions extends ApiServerSettings {
  readonly programs: Programs
  /** etcd's data lie below it. */
  readonly directory: string
  /** One output file a program. */
  readonly outputDir: string
  /** Network namespace and cgroup of the programs; default is the caller's. */
  readonly place: Pick<ProcessRequest, 'namespacePath' | 'cgroupPath'>
  readonly env: Readonly<Record<string, string>>
  readonly commands: Commands
  readonly clock: Clock
  readonly log: Log
  readonly stopping: AbortSignal
}

export interface Servers {
  /** A program that ended since the start, with the end of its output. */
  problem(): string | undefined
  /** Resolves when all are gone after `stopping`. */
  readonly done: Promise<void>
  /** Starts those that need the API; call it when the API is ready. */
  startClients(): Promise<void>
}

export async function startServers(options: ServersOptions): Promise<Servers> {
  const {programs, directory, files} = options
  const running: {readonly name: string; readonly output: string; readonly supervised: Supervised}[] = []
  const start = async (name: string, file: string, args: readonly string[]): Promise<void> => {
    const output = join(options.outputDir, `${name}.log`)
    const {commands, clock, log, stopping, env, place} = options
    const request = {file, args, env, outputFile: output, workingDir: '/', ...place}
    const supervised = await supervise({name, request, commands, clock, log, stopping})
    running.push({name, output, supervised})
  }
  mkdirSync(options.outputDir, {recursive: true, mode: 0o700})
  const dataDir = join(directory, 'etcd')
  mkdirSync(dataDir, {recursive: true, mode: 0o700})
  await start('etcd', programs.etcd, etcdArgs(dataDir, options.ports))
  await start('kube-apiserver', programs.apiServer, apiServerArgs(options))
  return {
    problem: () => {
      const dead = running.find(({supervised}) => supervised.lastExit() !== undefined)
      return dead && `${dead.name} ended: ${dead.supervised.lastExit()}: ${tailOf(dead.output)}`
    },
    get done() {
      return Promise.all(running.map(({supervised}) => supervised.done)).then(() => {})
    },
    startClients: () => startClients(programs, files, start),
  }
}

async function startClients(
  programs: Programs,
  files: CredentialFiles,
  start: (name: string, file: string, args: readonly string[]) => Promise<void>,
): Promise<void> {
  if (programs.controllerManager !== undefined) {
    await start('kube-controller-manager', programs.controllerManager, controllerManagerArgs(files))
  }
  if (programs.scheduler !== undefined)
    await start('kube-scheduler', programs.scheduler, schedulerArgs(files))
}

/** Last lines of a file of any size. */
function tailOf(file: string): string {
  const fd = openSync(file, 'r')
  try {
    const {size} = fstatSync(fd)
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES))
    readSync(fd, bytes, 0, bytes.length, size - bytes.length)
    return bytes.toString('utf8').trimEnd().split('\n').slice(-TAIL_LINES).join('\n') || `${file} is empty`
  } finally {
    closeSync(fd)
  }
}
