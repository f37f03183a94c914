// SPDX-License-Identifier: Apache-2.0
/** What is looked at again from time to time, because nobody tells: new sandboxes, pods of CNI, dead entries. */
import type {Clock} from '../ports.ts'

const CHECK_MS = 30_000

/** Runs them until the returned function is called; a round that takes long delays the next. */
export function repeatChecks(clock: Clock, checks: readonly (() => void | Promise<void>)[]): () => void {
  let isStopped = false
  const round = async () => {
    for (const check of checks) if (!isStopped) await check()
    if (!isStopped) clock.after(CHECK_MS, () => void round())
  }
  clock.after(CHECK_MS, () => void round())
  return () => {
    isStopped = true
  }
}
