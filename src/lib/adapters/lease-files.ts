// SPDX-License-Identifier: Apache-2.0
/** Lease records of this user: one file a lease, mode 0600, flushed to disk before the change that it is about. */
import {createHash} from 'node:crypto'
import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {isFields} from '../model/hostile.ts'
import {type LevelLease, parseLease} from '../model/level-lease.ts'
import type {LeaseFiles, StoredLease} from '../ports.ts'
import {createStateFiles} from './state-files.ts'

const MAX_FILES = 10_000

/** @param base `$XDG_STATE_HOME`, or what stands for it */
export function createLeaseFiles(base: string): LeaseFiles {
  const directory = join(base, 'kmeshctl', 'leases')
  const nameOf = (lease: LevelLease): string => {
    const place = [lease.server, lease.node, lease.logger].join('\n')
    return `${createHash('sha256').update(place).digest('hex').slice(0, 32)}.json`
  }
  return {
    list: () => {
      if (!existsSync(directory)) return []
      const names = readdirSync(directory).filter((name) => name.endsWith('.json'))
      return names.slice(0, MAX_FILES).flatMap((name) => readLease(join(directory, name)))
    },
    write: (lease) => {
      const holder = {pid: process.pid, started: startOf(process.pid)}
      createStateFiles(directory).write(nameOf(lease), `${JSON.stringify({...lease, holder})}\n`)
    },
    remove: (lease) => {
      if (existsSync(directory)) createStateFiles(directory).remove(nameOf(lease))
    },
  }
}

function readLease(path: string): StoredLease[] {
  try {
    const text = readFileSync(path, 'utf8')
    const lease = parseLease(text)
    if (lease === undefined) return []
    const {holder} = JSON.parse(text) as {holder?: unknown}
    return [{...lease, isHeld: isFields(holder) && isAlive(Number(holder['pid']), holder['started'])}]
  } catch {
    return [] // Removed meanwhile by the one who held it.
  }
}

function isAlive(pid: number, started: unknown): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  // The same number may be another process by now.
  return started === null || startOf(pid) === null || startOf(pid) === started
}

/** Start time in ticks since boot (proc(5), field 22); null where there is no /proc. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
