// SPDX-License-Identifier: Apache-2.0
import {write} from 'node:fs'

/** What may wait for a reader that is slow; more is dropped and counted. */
const LIMIT_BYTES = 4 * 1024 * 1024

export interface LogWriter {
  /** Takes lines; never blocks. */
  write(text: string): void
  /** Resolves when everything is out, or after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>
}

/** Lines to a descriptor from a worker thread, one write at a time: a pipe that nobody reads stops no program. */
export function createLogWriter(descriptor: number): LogWriter {
  let waiting: string[] = []
  let waitingBytes = 0
  let dropped = 0
  let writing = false
  let idle: (() => void)[] = []

  const next = (): void => {
    if (dropped > 0 && waitingBytes === 0) {
      waiting.push(`level=warning msg="${dropped} log lines were dropped: nobody read them" subsys=agent\n`)
      dropped = 0
    }
    if (waiting.length === 0) {
      writing = false
      for (const resolve of idle) resolve()
      idle = []
      return
    }
    writing = true
    const bytes = Buffer.from(waiting.join(''))
    waiting = []
    waitingBytes = 0
    writeAll(descriptor, bytes, next)
  }

  return {
    write: (text) => {
      if (waitingBytes + text.length > LIMIT_BYTES) {
        dropped += 1
        return
      }
      waiting.push(text)
      waitingBytes += text.length
      if (!writing) {
        writing = true
        setImmediate(next)
      }
    },
    flush: (timeoutMs) =>
      new Promise((resolve) => {
        if (!writing && waiting.length === 0) return resolve()
        idle.push(resolve)
        setTimeout(resolve, timeoutMs)
      }),
  }
}

/** A descriptor that is gone (EPIPE) loses the text: there is nowhere to say so. */
function writeAll(descriptor: number, bytes: Buffer, done: () => void): void {
  write(descriptor, bytes, 0, bytes.byteLength, null, (error, written) => {
    if (error?.code === 'EAGAIN') setTimeout(() => writeAll(descriptor, bytes, done), 10)
    else if (error !== null || written >= bytes.byteLength) done()
    else writeAll(descriptor, bytes.subarray(written), done)
  })
}
