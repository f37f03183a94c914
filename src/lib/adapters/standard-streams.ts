// SPDX-License-Identifier: Apache-2.0
import {fstatSync} from 'node:fs'
import koffi from 'koffi'
import {KernelError} from '../errors.ts'

const F_GETFL = 3
const F_SETFL = 4
const O_NONBLOCK = 0o4000

/**
 * Node makes pipes and terminals among descriptors 0 to 2 non-blocking, for everybody who shares them. A program
 * that takes this process's place expects them to block.
 */
export function restoreStandardStreams(): void {
  const libc = koffi.load('libc.so.6')
  const fcntl = libc.func('int fcntl(int fd, int command, int argument)')
  for (const fd of [0, 1, 2]) {
    if (!isOpen(fd)) continue
    const flags = fcntl(fd, F_GETFL, 0) as number
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
      throw new KernelError('fcntl', koffi.errno(), `descriptor ${fd}`)
    }
  }
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd)
    return true
  } catch {
    return false
  }
}
