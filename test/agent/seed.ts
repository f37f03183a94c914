// SPDX-License-Identifier: Apache-2.0
/** Random numbers that a seed repeats. KMESH_SEED chooses it; a failing test says which one it was. */

/** Of the environment, else another one each time. */
export function chooseSeed(): number {
  const given = process.env['KMESH_SEED']
  return given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
}

/** Runs it, and puts the seed into what is thrown. */
export async function withSeed(seed: number, run: (random: Random) => Promise<void>): Promise<void> {
  try {
    await run(new Random(seed))
  } catch (error) {
    throw new Error(`KMESH_SEED=${seed} repeats it: ${String(error)}`, {cause: error})
  }
}

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0 to below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** 0 to `below` - 1. */
  below(below: number): number {
    return Math.floor(this.next() * below)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** @throws RangeError for an empty list */
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to pick from')
    return list[this.below(list.length)] as T
  }
}
