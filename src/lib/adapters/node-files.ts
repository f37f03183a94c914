// SPDX-License-Identifier: Apache-2.0
/** Files that the node's container runtime and its network share with us. */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  type Stats,
} from 'node:fs'
import {join} from 'node:path'
import {ConflictError, KmeshError} from '../errors.ts'
import type {NodeFile, NodeFiles} from '../ports.ts'
import {lockDirectory} from './directory-lock.ts'
import {watchDirectory} from './directory-watch.ts'
import {copyBeside, isTemporary, putBeside} from './node-file-writes.ts'

const MODE_BITS = 0o7777

/** What {@link NodeFile} is and the port does not tell. */
interface OpenedFile extends NodeFile {
  readonly stat: Stats
}

export function createNodeFiles(): NodeFiles {
  return {
    names: (directory) => orMissing(() => readdirSync(directory).sort(byBytes)),
    read: readPlain,
    replace: (file, bytes) => replace(file as OpenedFile, bytes),
    write,
    copy: copyBeside,
    remove: (path) => orMissing(() => rmSync(path) ?? true) ?? false,
    sweep: (directory) => {
      for (const name of orMissing(() => readdirSync(directory)) ?? []) {
        if (isTemporary(name)) rmSync(join(directory, name), {force: true})
      }
    },
    makeDirectory: (directory, mode) => makeDirectory(directory, mode),
    removeDirectory: (directory) => removeDirectory(directory),
    lock: lockDirectory,
    watch: watchDirectory,
  }
}

function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}

function readPlain(path: string, maxBytes: number): OpenedFile | undefined {
  return orMissing(() => {
    const target = realpathSync(path)
    // A FIFO in its place must not stop the reader.
    const descriptor = openSync(target, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = fstatSync(descriptor)
      if (!stat.isFile()) throw new KmeshError('it is no plain file', {code: 'NotAFile'})
      if (stat.size > maxBytes) {
        throw new KmeshError(`it is larger than ${maxBytes} bytes`, {code: 'TooLarge'})
      }
      return {path: target, bytes: readFileSync(descriptor), modifiedMs: stat.mtimeMs, stat}
    } finally {
      closeSync(descriptor)
    }
  })
}

/** Between the last look and the rename lie microseconds; a writer that hits them is seen by the watch. */
function replace(file: OpenedFile, bytes: Uint8Array): void {
  const {stat} = file
  putBeside(
    file.path,
    bytes,
    (descriptor) => {
      fchownSync(descriptor, stat.uid, stat.gid)
      fchmodSync(descriptor, stat.mode & MODE_BITS)
    },
    () => {
      const now = readIfSmall(file.path, file.bytes.length)
      if (now?.stat.ino === stat.ino && Buffer.compare(now.bytes, file.bytes) === 0) return
      throw new ConflictError(`${file.path} was changed by somebody else`)
    },
  )
}

function write(path: string, bytes: Uint8Array, mode: number): boolean {
  const found = readIfSmall(path, bytes.length)
  const isSame = found !== undefined && Buffer.compare(found.bytes, bytes) === 0
  if (isSame && found.path === path && (found.stat.mode & MODE_BITS) === mode) return false
  putBeside(path, bytes, (descriptor) => fchmodSync(descriptor, mode))
  return true
}

function readIfSmall(path: string, maxBytes: number): OpenedFile | undefined {
  try {
    return readPlain(path, maxBytes)
  } catch (error) {
    if (error instanceof KmeshError && error.code === 'TooLarge') return undefined
    throw error
  }
}

function makeDirectory(directory: string, mode: number): boolean {
  try {
    mkdirSync(directory, {mode})
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function removeDirectory(directory: string): boolean {
  try {
    rmdirSync(directory)
    return true
  } catch (error) {
    if (['ENOENT', 'ENOTEMPTY', 'ENOTDIR', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return false
    throw error
  }
}

function orMissing<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
