// SPDX-License-Identifier: Apache-2.0
/** kmesh-cni: variables and stdin in, the answer on stdout, the exit status. Starts for every pod: few imports. */
import {createClock} from '../adapters/clock.ts'
import {readSmallFile, readToEnd, writeFully} from '../adapters/plugin-files.ts'
import {appendLine} from '../adapters/rotating-log.ts'
import {askSocket} from '../adapters/socket-client.ts'
import {messageOf} from '../errors.ts'
import type {LogSettings} from './config.ts'
import {createLineLog} from './log.ts'
import type {CniParts, PodReader} from './parts.ts'
import {CniError, CODE, failure, type Outcome} from './protocol.ts'
import {runCni} from './run.ts'

const STDIN = 0
const STDOUT = 1
const STDERR = 2
const MAX_INPUT_BYTES = 4 * 1024 * 1024
const INPUT_TIMEOUT_MS = 10_000
const OUTPUT_TIMEOUT_MS = 10_000
const MAX_CACHE_BYTES = 16 * 1024 * 1024

const clock = createClock()

const parts: CniParts = {
  clock,
  readInput: () => readToEnd(STDIN, MAX_INPUT_BYTES, INPUT_TIMEOUT_MS),
  ask: askSocket,
  readFile: (path) => readSmallFile(path, MAX_CACHE_BYTES),
  openCluster: lazyReader,
  openLog: (settings) => createLineLog(clock, settings.logLevel, (line) => append(settings, line)),
  defaultLogFile: process.env['KMESH_CNI_LOG_FILE'],
}

function append({logFile, logMaxBytes, logFiles}: LogSettings, line: string): void {
  try {
    appendLine({file: logFile, maxBytes: logMaxBytes, keep: logFiles}, line, clock.nowMs())
  } catch (error) {
    // The runtime keeps what a plugin says there.
    writeFully(STDERR, `kmesh-cni: cannot write ${logFile}: ${messageOf(error)}\n${line}`, OUTPUT_TIMEOUT_MS)
  }
}

/** Its module is for when the agent is away; the pods of every day do not pay for it. */
function lazyReader(kubeconfig: string): PodReader {
  const reader = import('../adapters/pod-reader.ts').then(({createPodReader}) => createPodReader(kubeconfig))
  return {
    pod: async (...request) => (await reader).pod(...request),
    namespace: async (...request) => (await reader).namespace(...request),
  }
}

function end({stdout, exitCode}: Outcome): never {
  process.exit(writeFully(STDOUT, stdout, OUTPUT_TIMEOUT_MS) ? exitCode : 1)
}

/** A bug of ours is an answer of the protocol too, and never keeps a pod from ending. */
function endBroken(thrown: unknown): never {
  if (process.env['CNI_COMMAND'] === 'DEL') process.exit(0)
  end(failure(new CniError(CODE.internal, `kmesh-cni: ${messageOf(thrown)}`), undefined))
}

process.on('uncaughtException', endBroken)
process.on('unhandledRejection', endBroken)
end(await runCni(process.env, parts))
