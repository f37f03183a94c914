// SPDX-License-Identifier: Apache-2.0
/** Whole files or none: written beside, flushed, renamed. A plugin that runs keeps the file that it was started from. */
import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {copyFile, open} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'

/** Runtimes read `.conf`, `.conflist` and `.json` only. */
const SUFFIX = '.kmesh-new'
const SAME_TIME_MS = 2

/** One name a file: what an interrupted write left is overwritten by the next one. */
function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}${SUFFIX}`)
}

export function isTemporary(name: string): boolean {
  return name.startsWith('.') && name.endsWith(SUFFIX)
}

/** @param check - throws where the file must not be replaced after all */
export function putBeside(
  path: string,
  bytes: Uint8Array,
  dress: (descriptor: number) => void,
  check: () => void = () => undefined,
): void {
  const temporary = temporaryOf(path)
  try {
    writeNew(temporary, bytes, dress)
    check()
    renameSync(temporary, path)
  } catch (error) {
    removeQuietly(temporary)
    throw error
  }
  sync(dirname(path))
}

/** `writeFileSync`, for a single write may store only a part when the disk is nearly full. */
function writeNew(path: string, bytes: Uint8Array, dress: (descriptor: number) => void): void {
  rmSync(path, {force: true})
  const descriptor = openSync(path, 'wx', 0o600)
  try {
    writeFileSync(descriptor, bytes)
    dress(descriptor)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** As rsync tells what is the same. A program of 120 MB: it is copied by the pool, not on this thread. */
export async function copyBeside(source: string, path: string, mode: number): Promise<boolean> {
  const wanted = statSync(source)
  const found = statSync(path, {throwIfNoEntry: false})
  const isSame =
    found?.isFile() === true &&
    found.size === wanted.size &&
    Math.abs(found.mtimeMs - wanted.mtimeMs) < SAME_TIME_MS &&
    (found.mode & 0o7777) === mode
  if (isSame) return false
  const temporary = temporaryOf(path)
  try {
    rmSync(temporary, {force: true})
    await copyFile(source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    chmodSync(temporary, mode)
    utimesSync(temporary, wanted.atime, wanted.mtime)
    await flush(temporary)
    renameSync(temporary, path)
  } catch (error) {
    removeQuietly(temporary)
    throw error
  }
  sync(dirname(path))
  return true
}

async function flush(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** What is half-written takes room on a disk that has none; the error to tell is the one of the write. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, {force: true})
  } catch {}
}

/** Makes the rename itself survive a power cut. */
function sync(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
