// SPDX-License-Identifier: Apache-2.0
/** Runs a few things at a time, those that somebody waits for first. */
export class BypassQueue<T> {
  readonly #parallel: number
  readonly #run: (item: T) => Promise<void>
  readonly #items: T[] = []
  #running = 0
  #isStopped = false

  /** @param run - must not throw */
  constructor(parallel: number, run: (item: T) => Promise<void>) {
    this.#parallel = parallel
    this.#run = run
  }

  /** Nothing begins from now on. */
  stop(): void {
    this.#isStopped = true
  }

  /** @param isUrgent - before all others, where it stands among them already too */
  add(item: T, isUrgent: boolean): void {
    const at = this.#items.indexOf(item)
    if (at !== -1 && !isUrgent) return
    if (at !== -1) this.#items.splice(at, 1)
    if (isUrgent) this.#items.unshift(item)
    else this.#items.push(item)
    this.#next()
  }

  #next(): void {
    while (this.#running < this.#parallel && !this.#isStopped) {
      const item = this.#items.shift()
      if (item === undefined) return
      this.#running += 1
      void this.#run(item).finally(() => {
        this.#running -= 1
        this.#next()
      })
    }
  }
}
