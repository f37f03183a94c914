// SPDX-License-Identifier: Apache-2.0
/** Keeps the file that tells kmesh-cni who is in the mesh while the agent is away. */
import {messageOf} from '../errors.ts'
import {CNI_CACHE_FILE, type CniCache} from '../model/cni.ts'
import type {Clock, Log, StateFiles} from '../ports.ts'

/** Changes within this time go out in one write. */
const WRITE_DELAY_MS = 200
const RETRY_MS = 5000

export interface CniCacheParts {
  readonly files: StateFiles
  readonly clock: Clock
  readonly log: Log
  /** What holds now. */
  readonly contents: () => Pick<CniCache, 'sidecarPolicy' | 'namespaces' | 'pods'>
}

export class CniCacheWriter {
  readonly #parts: CniCacheParts
  #started = false
  #stopped = false
  #scheduled = false
  #written = ''
  #writing: Promise<void> = Promise.resolve()
  #problem: string | undefined

  constructor(parts: CniCacheParts) {
    this.#parts = parts
  }

  /** Call when pods and namespaces are complete: until then the file of the agent before is right. */
  start(): void {
    this.#started = true
    this.touch()
  }

  /** Something may have changed. */
  touch(): void {
    if (this.#started) this.#writeLater(WRITE_DELAY_MS)
  }

  problems(): readonly string[] {
    return this.#problem === undefined ? [] : [this.#problem]
  }

  /** Writes what is not yet written. */
  async close(): Promise<void> {
    this.#stopped = true
    await this.#writing
    if (this.#started) await this.#write()
  }

  #writeLater(delayMs: number): void {
    if (this.#scheduled || this.#stopped) return
    this.#scheduled = true
    this.#parts.clock.after(delayMs, () => {
      this.#scheduled = false
      if (!this.#stopped) this.#writing = this.#writing.then(() => this.#write())
    })
  }

  async #write(): Promise<void> {
    try {
      const {sidecarPolicy, namespaces, pods} = this.#parts.contents()
      const contents = JSON.stringify({sidecarPolicy, namespaces, pods})
      if (contents === this.#written) return
      const writtenAt = new Date(this.#parts.clock.nowMs()).toISOString()
      const cache: CniCache = {version: 1, writtenAt, sidecarPolicy, namespaces, pods}
      await this.#parts.files.writeAsync(CNI_CACHE_FILE, `${JSON.stringify(cache)}\n`)
      this.#written = contents
      this.#problem = undefined
    } catch (error) {
      const problem = `cannot write ${CNI_CACHE_FILE}: ${messageOf(error)}`
      if (this.#problem !== problem) this.#parts.log.error(problem)
      this.#problem = problem
      this.#writeLater(RETRY_MS)
    }
  }
}
