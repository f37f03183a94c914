// SPDX-License-Identifier: Apache-2.0
import {setFlagsFromString} from 'node:v8'
import {runInNewContext} from 'node:vm'

/** Measured: 100, 300 and 900 answers of 1 MB then need 145 to 149 MB; without it they took 300, for a fifth less CPU. */
const EVERY_BYTES = 3 * 1024 * 1024

/**
 * Text of large answers is garbage as soon as it is shown, but V8 lets it grow to three times what is in use before
 * it looks. Told how much went through, this collects in between.
 */
export class GarbageMeter {
  private readonly collect: () => void
  private bytes = 0

  /** @param collect - runs a whole collection. */
  constructor(collect: () => void) {
    this.collect = collect
  }

  add(bytes: number): void {
    this.bytes += bytes
    if (this.bytes < EVERY_BYTES) return
    this.bytes = 0
    this.collect()
  }
}

/** V8's own collector, which is not shown without its flag. */
export function garbageCollector(): () => void {
  let collect: (() => void) | undefined
  return () => {
    if (collect === undefined) {
      setFlagsFromString('--expose-gc')
      collect = runInNewContext('gc') as () => void
    }
    collect()
  }
}
