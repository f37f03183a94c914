// SPDX-License-Identifier: Apache-2.0
import {closeSync, openSync} from 'node:fs'
import koffi from 'koffi'
import {ConflictError} from '../errors.ts'

const LOCK_EX_NB = 6

/** flock(2) on the directory itself: ends with the process however it ends, and holds across containers. */
export function lockDirectory(directory: string): Disposable {
  const descriptor = openSync(directory, 'r')
  const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)')
  if (flock(descriptor, LOCK_EX_NB) !== 0) {
    closeSync(descriptor)
    throw new ConflictError(`another kmesh-daemon keeps ${directory}`, {
      code: 'AlreadyRunning',
      hints: ['stop it first, or give this one its own --cni-etc-path, or --cni off'],
    })
  }
  return {[Symbol.dispose]: () => closeSync(descriptor)}
}
