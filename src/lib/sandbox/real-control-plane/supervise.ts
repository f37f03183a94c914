// SPDX-License-Identifier: Apache-2.0
/** Keeps one program running: what ends is started again after a pause that doubles. */
import {messageOf} from '../../errors.ts'
import type {Clock, Commands, Log, ProcessExit, ProcessRequest, RunningProcess} from '../../ports.ts'

const FIRST_BACKOFF_MS = 1000
const LAST_BACKOFF_MS = 10_000
/** Who ran this long starts over with the first pause. */
const STEADY_MS = 10_000

export interface SuperviseOptions {
  /** For messages. */
  readonly name: string
  readonly request: ProcessRequest
  readonly commands: Commands
  readonly clock: Clock
  readonly log: Log
  /** Aborted: it is killed and stays dead. */
  readonly stopping: AbortSignal
}

export interface Supervised {
  /** How the last process ended; undefined while the first one runs. */
  lastExit(): string | undefined
  /** Resolves when nothing of it runs any more after `stopping`. */
  readonly done: Promise<void>
}

/** @throws KmeshError `CommandFailed` where the first start fails */
export async function supervise(options: SuperviseOptions): Promise<Supervised> {
  const {name, commands, clock, log, stopping, request} = options
  let lastExit: string | undefined
  const first = await commands.start(request)

  async function keep(): Promise<void> {
    let backoffMs = FIRST_BACKOFF_MS
    let process: RunningProcess | undefined = first
    while (process !== undefined) {
      const startedMs = clock.monotonicMs()
      lastExit = describe(await untilEnd(process, stopping))
      if (stopping.aborted) return
      if (clock.monotonicMs() - startedMs >= STEADY_MS) backoffMs = FIRST_BACKOFF_MS
      log.error(`${name} ended: ${lastExit}; it is started again in ${backoffMs} ms`, {
        output: request.outputFile,
      })
      process = await startAgain(() => {
        const pauseMs = backoffMs
        backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS)
        return pauseMs
      })
    }
  }

  /** undefined once everything stops. */
  async function startAgain(nextPauseMs: () => number): Promise<RunningProcess | undefined> {
    for (;;) {
      await clock.sleep(nextPauseMs(), stopping).catch(() => {})
      if (stopping.aborted) return undefined
      try {
        return await commands.start(request)
      } catch (error) {
        log.error(`${name} cannot be started: ${messageOf(error)}`)
      }
    }
  }

  return {lastExit: () => lastExit, done: keep()}
}

async function untilEnd(process: RunningProcess, stopping: AbortSignal): Promise<ProcessExit> {
  const kill = (): void => process.signal('SIGKILL')
  stopping.addEventListener('abort', kill)
  if (stopping.aborted) kill()
  try {
    return await process.exited
  } finally {
    stopping.removeEventListener('abort', kill)
  }
}

function describe({exitCode, signal}: ProcessExit): string {
  return signal ?? `exit status ${exitCode}`
}
