// SPDX-License-Identifier: Apache-2.0
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
} from 'node:fs'
import {join} from 'node:path'
import koffi from 'koffi'
import {ConflictError, KmeshError, messageOf} from '../errors.ts'
import type {PinTree} from '../ports.ts'

const BPF_FS_MAGIC = 0xcafe4a11
const LOCK_EX_NB = 6

/** The kernel's BPF file system; it knows directories and pins only. */
export function createPinTree(): PinTree {
  return {
    list: (directory) => listPins(directory).sort(),
    remove: (directory) => {
      for (const pin of listPins(directory)) unlinkSync(pin)
      removeFolders(directory)
    },
    rename: (from, to) => renameSync(from, to),
    lock: (directory) => lock(directory),
  }
}

function listPins(directory: string): string[] {
  return entriesOf(directory).flatMap((entry) => {
    const path = join(directory, entry.name)
    return entry.isDirectory() ? listPins(path) : [path]
  })
}

function removeFolders(directory: string): void {
  for (const entry of entriesOf(directory))
    if (entry.isDirectory()) removeFolders(join(directory, entry.name))
  try {
    rmdirSync(directory)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

function entriesOf(directory: string) {
  try {
    return readdirSync(directory, {withFileTypes: true})
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}

/** flock(2) on the directory itself: ends with the process however it ends, and holds across containers. */
function lock(directory: string): Disposable {
  const descriptor = openDirectory(directory)
  const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)')
  if (flock(descriptor, LOCK_EX_NB) !== 0) {
    closeSync(descriptor)
    throw new ConflictError(`another kmesh-daemon uses ${directory}`, {
      code: 'AlreadyRunning',
      hints: ['stop it first, or give this one its own --bpf-fs-path'],
    })
  }
  return {[Symbol.dispose]: () => closeSync(descriptor)}
}

function openDirectory(directory: string): number {
  try {
    mkdirSync(directory, {recursive: true, mode: 0o700})
    if (statfsSync(directory).type === BPF_FS_MAGIC) return openSync(directory, 'r')
  } catch (error) {
    throw new KmeshError(`cannot use ${directory}: ${messageOf(error)}`, {code: 'NoBpfFs', cause: error})
  }
  throw new KmeshError(`${directory} is not on a BPF file system`, {
    code: 'NoBpfFs',
    hints: [`mount one: mount -t bpf bpf ${directory}`],
  })
}
