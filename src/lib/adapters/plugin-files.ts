// SPDX-License-Identifier: Apache-2.0
/** Input, output and files of a short-lived program that somebody else starts: bounded in size and time. */
import {closeSync, constants, fstatSync, openSync, readSync, writeSync} from 'node:fs'
import {Socket} from 'node:net'
import {KmeshError} from '../errors.ts'

const CHUNK_BYTES = 64 * 1024
const WAIT_MS = 5

/**
 * Everything up to the end of the input.
 * @throws KmeshError where it is longer than `maxBytes`, or has not ended after `timeoutMs`
 */
export function readToEnd(descriptor: number, maxBytes: number, timeoutMs: number): Promise<Uint8Array> {
  const stat = fstatSync(descriptor)
  if (stat.isFIFO() || stat.isSocket()) return readPipe(descriptor, maxBytes, timeoutMs)
  return Promise.resolve(readOpen(descriptor, maxBytes))
}

function readPipe(descriptor: number, maxBytes: number, timeoutMs: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const socket = new Socket({fd: descriptor, readable: true, writable: false})
    const fail = (error: Error): void => {
      socket.destroy()
      reject(error)
    }
    socket.setTimeout(timeoutMs, () => fail(new KmeshError(`stdin has not ended within ${timeoutMs} ms`)))
    socket.on('error', fail)
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.byteLength
      if (bytes > maxBytes) fail(tooLarge(maxBytes))
    })
    socket.once('end', () => resolve(Buffer.concat(chunks)))
  })
}

function readOpen(descriptor: number, maxBytes: number): Uint8Array {
  const chunks: Buffer[] = []
  let bytes = 0
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    const count = readSync(descriptor, chunk)
    if (count === 0) return Buffer.concat(chunks)
    chunks.push(chunk.subarray(0, count))
    bytes += count
    if (bytes > maxBytes) throw tooLarge(maxBytes)
  }
}

function tooLarge(maxBytes: number): KmeshError {
  return new KmeshError(`it is larger than ${maxBytes} bytes`, {code: 'TooLarge'})
}

/**
 * Undefined where there is no such file.
 * @throws KmeshError where it is no plain file or too large; the error of the file system
 */
export function readSmallFile(path: string, maxBytes: number): string | undefined {
  let descriptor: number
  try {
    // A FIFO in its place must not stop the reader.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    if (!fstatSync(descriptor).isFile()) throw new KmeshError('it is no plain file')
    return Buffer.from(readOpen(descriptor, maxBytes)).toString('utf8')
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Returns when everything is out, also through a pipe that does not block.
 * @returns false where nobody reads, or not within `timeoutMs`
 */
export function writeFully(descriptor: number, text: string, timeoutMs: number): boolean {
  const bytes = Buffer.from(text)
  let written = 0
  let waitedMs = 0
  while (written < bytes.byteLength) {
    try {
      written += writeSync(descriptor, bytes, written)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || waitedMs >= timeoutMs) return false
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS)
      waitedMs += WAIT_MS
    }
  }
  return true
}
