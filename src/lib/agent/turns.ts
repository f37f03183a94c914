// SPDX-License-Identifier: Apache-2.0

/** Some of many at a time, so that each has its turn; the many may change in between. */
export class Turns {
  readonly #size: number
  #from = 0

  constructor(size: number) {
    this.#size = size
  }

  next<T>(all: readonly T[]): readonly T[] {
    if (all.length <= this.#size) return all
    const from = this.#from % all.length
    this.#from = from + this.#size
    return [...all, ...all].slice(from, from + this.#size)
  }
}
