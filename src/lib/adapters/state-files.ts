// SPDX-License-Identifier: Apache-2.0
import {closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync} from 'node:fs'
import {open, rename} from 'node:fs/promises'
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
      const descriptor = openSync(`${pathOf(name)}.new`, 'w', 0o600)
      try {
        writeSync(descriptor, text)
        fsyncSync(descriptor)
      } finally {
        closeSync(descriptor)
      }
      renameSync(`${pathOf(name)}.new`, pathOf(name))
      syncDirectory(directory)
    },
    writeAsync: async (name, text) => {
      const file = await open(`${pathOf(name)}.next`, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(`${pathOf(name)}.next`, pathOf(name))
    },
    remove: (name) => rmSync(pathOf(name), {force: true}),
  }
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
