// SPDX-License-Identifier: Apache-2.0
import {KubeStatusError, messageOf} from '../errors.ts'
import type {Clock, Kube, Log} from '../ports.ts'

const PAUSE_MS = 10_000
/** While it does not answer: ready shall be back soon after it. */
const RETRY_MS = 1000
const LIMIT_MS = 5000

/**
 * Asks the API server now and then whether it answers. Open watches do not tell: one that hangs, or a network
 * that swallows everything, looks like a cluster in which nothing happens.
 */
export class ServerProbe {
  readonly #kube: Kube
  readonly #clock: Clock
  readonly #log: Log
  #cancel: () => void = () => {}
  #problem: string | undefined
  #isStopped = false

  constructor(kube: Kube, clock: Clock, log: Log) {
    this.#kube = kube
    this.#clock = clock
    this.#log = log
  }

  start(): void {
    const pauseMs = this.#problem === undefined ? PAUSE_MS : RETRY_MS
    if (!this.#isStopped) this.#cancel = this.#clock.after(pauseMs, () => void this.#ask())
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  /** Empty while it answers. */
  problems(): readonly string[] {
    return this.#problem === undefined ? [] : [this.#problem]
  }

  async #ask(): Promise<void> {
    const limit = new AbortController()
    this.#cancel = this.#clock.after(LIMIT_MS, () => limit.abort(new Error(`no answer in ${LIMIT_MS} ms`)))
    try {
      await this.#kube.serverVersion({signal: limit.signal})
      this.#set(undefined)
    } catch (error) {
      // Any status is an answer; what it means is the business of the watches.
      this.#set(error instanceof KubeStatusError ? undefined : `the API server: ${messageOf(error)}`)
    }
    this.#cancel()
    this.start()
  }

  /** Said once when it begins and once when it is over. */
  #set(problem: string | undefined): void {
    if (this.#isStopped) return
    if (problem !== undefined && this.#problem === undefined) this.#log.warn(problem)
    if (problem === undefined && this.#problem !== undefined) this.#log.info('the API server answers again')
    this.#problem = problem
  }
}
