// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {open, rename, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {KmeshError, messageOf} from '../errors.ts'
import type {StateFiles} from '../ports.ts'

/** The folder is made, mode 0700, when it is missing. */
export function createStateFiles(directory: string): StateFiles {
  try {
    mkdirSync(directory, {recursive: true, mode: 0o700})
  } catch (error) {
    throw new KmeshError(`cannot make the state directory ${directory}: ${messageOf(error)}`, {cause: error})
  }
  const pathOf = (name: string) => join(directory, name)
  return {
    read: (name) => {
      try {
        return readFileSync(pathOf(name), 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    write: (name, text) => {
      try {
        writeNew(`${pathOf(name)}.new`, text)
        renameSync(`${pathOf(name)}.new`, pathOf(name))
        syncDirectory(directory)
      } catch (error) {
        removeQuietly(`${pathOf(name)}.new`)
        throw writeError(pathOf(name), error)
      }
    },
    writeAsync: async (name, text) => {
      try {
        await writeNext(`${pathOf(name)}.next`, text)
        await rename(`${pathOf(name)}.next`, pathOf(name))
      } catch (error) {
        await rm(`${pathOf(name)}.next`, {force: true}).catch(() => undefined)
        throw writeError(pathOf(name), error)
      }
    },
    remove: (name) => {
      for (const suffix of ['.new', '.next', '']) rmSync(`${pathOf(name)}${suffix}`, {force: true})
    },
  }
}

/** `writeFileSync`, for a single write may store only a part when the disk is nearly full. */
function writeNew(path: string, text: string): void {
  const descriptor = openSync(path, 'w', 0o600)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

async function writeNext(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(text)
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

function writeError(path: string, error: unknown): KmeshError {
  return new KmeshError(`cannot write ${path}: ${messageOf(error)}`, {code: 'StateNotWritten', cause: error})
}

/** Makes the rename itself survive a power cut. */
function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
