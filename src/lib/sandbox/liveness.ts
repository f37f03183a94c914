// SPDX-License-Identifier: Apache-2.0
/** Which processes belong to a sandbox, and who may work on it. */
import {readFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {ConflictError} from '../errors.ts'
import {isMarked} from './nodes/clean.ts'
import type {SandboxState} from './state.ts'

/** A process id may have been given to somebody else meanwhile: the mark tells. */
export function isAlive(state: SandboxState | undefined): boolean {
  return state !== undefined && state.pid !== process.pid && isMarked(state.pid, state.name)
}

/** This process and those that started it: a shell may have the mark because somebody exported it. */
export function ownProcesses(): Set<number> {
  const own = new Set<number>()
  for (let pid = process.pid; pid > 0 && !own.has(pid); ) {
    own.add(pid)
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    pid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  }
  return own
}

/** One `up` or `down` of a name at a time; the kernel gives the lock back when the process ends. */
export async function takeLock(name: string): Promise<Disposable> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error)
      reject(new ConflictError(`another command is working on sandbox ${name}`))
    })
    const owner = process.geteuid?.() ?? -1
    server.listen({path: `\0kmeshctl-sandbox-${owner === 0 ? '' : `${owner}-`}${name}`}, resolve)
  })
  return {[Symbol.dispose]: () => void server.close()}
}
