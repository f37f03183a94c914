// SPDX-License-Identifier: Apache-2.0
/** A network namespace that stays the same while programs run in it, although its path may lead elsewhere meanwhile. */
import {closeSync, openSync} from 'node:fs'
import {kernelError} from './bpf-native.ts'
import {errnoOf} from './bpf-pins.ts'

/**
 * Follows the path once: that of a process leads to another namespace when the process has ended and its number is
 * used again, the node's own among them.
 *
 * @param run - gets a path for this process and its children; errors that name it name `path` in its place
 * @throws KernelError where there is nothing at the path; what `run` throws
 */
export async function holdingNamespace<T>(path: string, run: (held: string) => Promise<T>): Promise<T> {
  const fd = opened(path)
  const held = `/proc/${process.pid}/fd/${fd}`
  try {
    return await run(held)
  } catch (error) {
    rename(error, held, path)
    throw error
  } finally {
    closeSync(fd)
  }
}

function opened(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (thrown) {
    throw kernelError('open', errnoOf(thrown), path, {cause: thrown})
  }
}

function rename(error: unknown, held: string, path: string): void {
  if (!(error instanceof Error)) return
  error.message = error.message.replaceAll(held, path)
  rename(error.cause, held, path)
  if (error instanceof AggregateError) for (const each of error.errors) rename(each, held, path)
}
