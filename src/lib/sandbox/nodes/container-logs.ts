// SPDX-License-Identifier: Apache-2.0
/** A container's output file as an HTTP answer: `tailLines`, `limitBytes`, `follow`. */

import {once} from 'node:events'
import {type FileHandle, open} from 'node:fs/promises'
import type {ServerResponse} from 'node:http'
import type {Clock} from '../../ports.ts'

const CHUNK_BYTES = 64 * 1024
const POLL_MS = 200

export interface LogOptions {
  readonly tailLines: number | undefined
  readonly limitBytes: number | undefined
  readonly follow: boolean
}

/** The answer ends with the file, or, when following, with the reader or when `isOver` says so. */
export async function serveLog(
  file: string,
  options: LogOptions,
  response: ServerResponse,
  clock: Clock,
  isOver: () => boolean,
): Promise<void> {
  await using handle = await open(file, 'r')
  response.writeHead(200, {'content-type': 'text/plain; charset=utf-8'})
  let offset = await startOffset(handle, options.tailLines)
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY
  while (left > 0 && !response.destroyed) {
    const {bytesRead, buffer} = await handle.read(Buffer.alloc(Math.min(CHUNK_BYTES, left)), {
      position: offset,
    })
    if (bytesRead === 0) {
      if (!options.follow || isOver()) break
      await clock.sleep(POLL_MS)
      continue
    }
    offset += bytesRead
    left -= bytesRead
    if (!response.write(buffer.subarray(0, bytesRead)))
      await Promise.race([once(response, 'drain'), once(response, 'close')])
  }
  response.end()
}

/** Where the last `tailLines` lines begin, read backwards. */
async function startOffset(handle: FileHandle, tailLines: number | undefined): Promise<number> {
  if (tailLines === undefined) return 0
  const {size} = await handle.stat()
  if (tailLines <= 0) return size
  let missing = tailLines
  let end = size
  while (end > 0) {
    const start = Math.max(0, end - CHUNK_BYTES)
    const {buffer} = await handle.read(Buffer.alloc(end - start), {position: start})
    for (let index = buffer.length - 1; index >= 0; index -= 1) {
      // The newline at the very end closes the last line.
      if (buffer[index] !== 10 || start + index === size - 1) continue
      missing -= 1
      if (missing === 0) return start + index + 1
    }
    end = start
  }
  return 0
}
