// SPDX-License-Identifier: Apache-2.0
/** Live values of a moment ago, in a folder that only this user can read. Whatever fails here only costs time. */
import {createHash} from 'node:crypto'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import type {Environment} from '../model/completion-line.ts'

export interface Kept {
  readonly atMs: number
  /** Null: nobody answered. */
  readonly values: readonly unknown[] | null
}

/** Files that nobody used for so long are removed. */
const STALE_MS = 600_000
const MAX_BYTES = 4 * 1024 * 1024

export class CompletionCache {
  private readonly folder: string | undefined

  constructor(env: Environment) {
    this.folder = privateFolder(env)
  }

  /** @param key - everything that the answer depends on; it is hashed. */
  read(key: string, nowMs: number): Kept | undefined {
    if (this.folder === undefined) return undefined
    const file = join(this.folder, nameOf(key))
    try {
      if (statSync(file).size > MAX_BYTES) return undefined
      const kept = JSON.parse(readFileSync(file, 'utf8')) as Kept
      const isKept = typeof kept.atMs === 'number' && (kept.values === null || Array.isArray(kept.values))
      // A clock that was set back does not keep an answer for ever.
      return isKept && kept.atMs <= nowMs ? kept : undefined
    } catch {
      return undefined
    }
  }

  write(key: string, kept: Kept, unique: number): void {
    if (this.folder === undefined) return
    const file = join(this.folder, nameOf(key))
    try {
      const temporary = `${file}.${unique}`
      writeFileSync(temporary, JSON.stringify(kept), {mode: 0o600})
      renameSync(temporary, file)
      this.clean(kept.atMs)
    } catch {
      // A full or read-only disk.
    }
  }

  private clean(nowMs: number): void {
    const folder = this.folder ?? ''
    for (const name of readdirSync(folder)) {
      const file = join(folder, name)
      if (nowMs - statSync(file).mtimeMs > STALE_MS) rmSync(file, {force: true})
    }
  }
}

function nameOf(key: string): string {
  return `${createHash('sha256').update(key).digest('hex')}.json`
}

/** Undefined where there is no place that is ours alone. */
function privateFolder(env: Environment): string | undefined {
  const home = env['HOME']
  const base = env['XDG_CACHE_HOME'] || (home && join(home, '.cache'))
  if (!base?.startsWith('/')) return undefined
  const folder = join(base, 'kmeshctl', 'completion')
  try {
    // Level by level: a recursive mkdir never returns below /proc.
    for (const level of [base, join(base, 'kmeshctl'), folder]) makeFolder(level)
    const {uid, mode} = lstatSync(folder)
    return uid === process.getuid?.() && (mode & 0o077) === 0 ? folder : undefined
  } catch {
    return undefined
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, {mode: 0o700})
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
