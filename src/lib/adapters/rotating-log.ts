// SPDX-License-Identifier: Apache-2.0
/**
 * A log file that several short-lived processes write at once. Each line is one append; the file that has grown is
 * renamed under a name of its own, so that two who do it at once lose no line, and needs no lock that could stay behind.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import {basename, dirname, join} from 'node:path'

export interface RotatingLog {
  readonly file: string
  /** The file is renamed before it becomes longer. */
  readonly maxBytes: number
  /** Renamed files that are kept. */
  readonly keep: number
}

const {O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW, O_NONBLOCK} = constants
/** A FIFO or a device in its place must not stop the writer. */
const FLAGS = O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK

/**
 * Appends one line.
 *
 * @param line - with its newline
 * @param nowMs - for the name of a renamed file
 * @throws the error of the file system
 */
export function appendLine(log: RotatingLog, line: string, nowMs: number): void {
  const bytes = Buffer.from(line)
  let descriptor = open(log.file)
  try {
    if (fstatSync(descriptor).size + bytes.byteLength > log.maxBytes && rotate(log, descriptor, nowMs)) {
      closeSync(descriptor)
      descriptor = open(log.file)
    }
    writeSync(descriptor, bytes)
  } finally {
    closeSync(descriptor)
  }
}

function open(file: string): number {
  try {
    return openSync(file, FLAGS, 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    mkdirSync(dirname(file), {recursive: true, mode: 0o700})
    return openSync(file, FLAGS, 0o600)
  }
}

/** @returns whether `log.file` is now another file, or none */
function rotate({file, keep}: RotatingLog, descriptor: number, nowMs: number): boolean {
  const mine = fstatSync(descriptor)
  if (!mine.isFile() || mine.size === 0) return false
  // Somebody else was faster.
  if (inodeOf(file) !== mine.ino) return true
  const time = new Date(nowMs).toISOString().replace(/[-:]/g, '')
  try {
    // The inode is nobody else's while that file is there, and of two who rename at once each has its own name.
    renameSync(file, `${file}.${time}-${mine.ino}-${process.pid}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  removeOldest(file, keep)
  return true
}

function inodeOf(file: string): number | undefined {
  return statSync(file, {throwIfNoEntry: false})?.ino
}

function removeOldest(file: string, keep: number): void {
  const isRenamed = (name: string): boolean =>
    name.startsWith(`${basename(file)}.`) && /\.\d{8}T\d{6}\.\d{3}Z-\d+-\d+$/.test(name)
  const renamed = readdirSync(dirname(file)).filter(isRenamed).sort()
  for (const name of renamed.slice(0, Math.max(0, renamed.length - keep))) {
    rmSync(join(dirname(file), name), {force: true})
  }
}
