// SPDX-License-Identifier: Apache-2.0
/** Directories of a cgroup2 file system. Paths are absolute. */
import {mkdirSync, readdirSync, rmdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {Clock} from '../../ports.ts'

const POLL_MS = 10

/** Boxes of processes that end together; a path names one and everything below it. */
export interface Cgroups {
  make(path: string): void
  /** SIGKILL for every process in it and below. No error where it is not there. */
  kill(path: string): void
  /** Kills what is in it and removes it. @returns false when that took longer than `timeoutMs` */
  remove(path: string, timeoutMs: number): Promise<boolean>
}

export function kernelCgroups(clock: Clock): Cgroups {
  return {
    make: makeCgroup,
    kill: killCgroup,
    remove: (path, timeoutMs) => removeCgroup(path, clock, timeoutMs),
  }
}

export function makeCgroup(path: string): void {
  mkdirSync(path, {recursive: true})
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENODEV'
}

/** SIGKILL for every process in it and below. No error where it is not there. */
export function killCgroup(path: string): void {
  try {
    writeFileSync(join(path, 'cgroup.kill'), '1')
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

function childrenOf(path: string): string[] {
  try {
    return readdirSync(path, {withFileTypes: true})
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(path, entry.name))
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** Removes it and everything below. @returns whether it is gone; false while processes are still ending */
function tryRemove(path: string): boolean {
  const below = childrenOf(path).map(tryRemove)
  if (below.includes(false)) return false
  try {
    rmdirSync(path)
    return true
  } catch (error) {
    if (isGone(error)) return true
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false
    throw error
  }
}

/** Kills what is in it and removes it. @returns false when that took longer than `timeoutMs` */
export async function removeCgroup(path: string, clock: Clock, timeoutMs: number): Promise<boolean> {
  const end = clock.monotonicMs() + timeoutMs
  for (;;) {
    killCgroup(path)
    if (tryRemove(path)) return true
    if (clock.monotonicMs() > end) return false
    await clock.sleep(POLL_MS)
  }
}
