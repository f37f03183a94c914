// SPDX-License-Identifier: Apache-2.0
/**
 * Keeps the CNI plugin installed and its entry in the node's conflist for as long as the agent runs: when files
 * change, and every few seconds because a change may be missed. Nothing here ends the agent: it is said, and tried again.
 */
import {installKubeconfig, installPlugin, type PluginSource} from '../cni/install-files.ts'
import type {InstallRecord} from '../cni/install-record.ts'
import {ConflictError, messageOf} from '../errors.ts'
import type {Clock, KubeAccess, Log, NodeFiles} from '../ports.ts'
import {takeOut} from './conflist-out.ts'
import {ConflistPass, type ConflistPlaces} from './conflist-pass.ts'

const POLL_MS = 10_000
const DEBOUNCE_MS = 200
/** A copy of 120 MB onto a full disk is not tried again every few seconds. */
const MAX_RETRY_MS = 300_000

export interface ConflistParts {
  readonly files: NodeFiles
  readonly record: InstallRecord
  readonly places: ConflistPlaces
  readonly source: PluginSource
  readonly access: () => Promise<KubeAccess>
  readonly clock: Clock
  readonly log: Log
}

export class ConflistKeeper {
  readonly #parts: ConflistParts
  readonly #pass: ConflistPass
  #lock: Disposable | undefined
  #watch: Disposable | undefined
  #cancelPoll: () => void = () => undefined
  #cancelLook: () => void = () => undefined
  #running: Promise<void> = Promise.resolve()
  #isQueued = false
  #isBlind = false
  #isClosed = false
  #isInstalled = false
  #retryMs = POLL_MS
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #installProblems: readonly string[] = ['the CNI plugin is not installed yet']
  #said = ''

  constructor(parts: ConflistParts) {
    this.#parts = parts
    this.#pass = new ConflistPass(parts)
  }

  /** Installs, and puts the entry in where a conflist is there; returns when that was tried. */
  start(): Promise<void> {
    return this.#poll()
  }

  /** Why pods may start without the plugin; empty when all is in place. */
  problems(): readonly string[] {
    return [...this.#installProblems, ...this.#pass.problems()]
  }

  /** What an operator should know though all is in place. */
  message(): string {
    return this.#pass.message()
  }

  /** Takes the entry out of every file that may have it. Plugin and kubeconfig stay for the next start. */
  async stop(): Promise<void> {
    this.#isClosed = true
    this.#cancelPoll()
    this.#cancelLook()
    this.#watch?.[Symbol.dispose]()
    await this.#running
    // An agent that has not yet seen the cluster has one to take out, too: of a predecessor that was killed.
    if (!this.#holdAtEnd()) return
    takeOut(this.#parts)
    this.#lock?.[Symbol.dispose]()
  }

  /** Without the lock the folder is another agent's, or is not there. */
  #holdAtEnd(): boolean {
    const {files, places, log} = this.#parts
    try {
      if (this.#lock === undefined && files.names(places.etcPath) !== undefined) {
        this.#lock = files.lock(places.etcPath)
      }
    } catch (error) {
      log.warn(`CNI: no entry is taken out: ${messageOf(error)}`)
    }
    return this.#lock !== undefined
  }

  async #poll(): Promise<void> {
    await this.#exclusively(async () => {
      await this.#install()
      this.#putEntry()
    })
    if (!this.#isClosed) this.#cancelPoll = this.#parts.clock.after(POLL_MS, () => void this.#poll())
  }

  /** One at a time, in their order. */
  #exclusively(run: () => Promise<void>): Promise<void> {
    this.#running = this.#running.then(async () => {
      if (this.#isClosed) return
      await run()
      this.#say()
    })
    return this.#running
  }

  async #install(): Promise<void> {
    const {files, places, log, clock} = this.#parts
    if (clock.monotonicMs() < this.#notBeforeMs) return
    this.#isInstalled = false
    try {
      this.#hold()
      if (await installPlugin(files, this.#parts.record, this.#parts.source, places)) {
        log.info('CNI plugin installed', {bin: places.binPath, runtime: places.runtimePath})
      }
      this.#isInstalled = true
      this.#retryMs = POLL_MS
      this.#installProblems = await this.#kubeconfigProblems()
    } catch (error) {
      this.#installProblems = [`cannot install the CNI plugin: ${messageOf(error)}`]
      if (error instanceof ConflictError) return
      this.#notBeforeMs = clock.monotonicMs() + this.#retryMs
      this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2)
    }
  }

  /** Folders may appear, and be replaced, at any time. */
  #hold(): void {
    const {files, places} = this.#parts
    if (files.names(places.etcPath) === undefined) return
    if (this.#lock === undefined) {
      this.#lock = files.lock(places.etcPath)
      for (const folder of [places.etcPath, places.binPath, places.runtimePath]) files.sweep(folder)
    }
    this.#follow()
  }

  /** A node may have no watch left for us: then changes are seen at the next poll. */
  #follow(): void {
    const {files, places, log} = this.#parts
    this.#watch?.[Symbol.dispose]()
    this.#watch = undefined
    try {
      this.#watch = files.watch(places.etcPath, () => this.#changed())
      this.#isBlind = false
    } catch (error) {
      if (!this.#isBlind)
        log.warn(`CNI: changes are seen every ${POLL_MS / 1000} s only: ${messageOf(error)}`)
      this.#isBlind = true
    }
  }

  async #kubeconfigProblems(): Promise<string[]> {
    const {files, record, places, log} = this.#parts
    if (files.names(places.etcPath) === undefined) return []
    try {
      const isNew = installKubeconfig(files, record, await this.#parts.access(), places)
      if (isNew) log.info('kubeconfig of the CNI plugin written', {folder: places.etcPath})
      return []
    } catch (error) {
      return [`cannot write the kubeconfig of the CNI plugin: ${messageOf(error)}`]
    }
  }

  /** A burst of events is one look; one that never ends does not put it off. */
  #changed(delayMs = DEBOUNCE_MS): void {
    if (this.#isQueued || this.#isClosed) return
    this.#isQueued = true
    this.#cancelLook = this.#parts.clock.after(delayMs, () => {
      this.#isQueued = false
      void this.#exclusively(async () => this.#putEntry())
    })
  }

  /** Where the plugin cannot be installed its entry would let no pod start. */
  #putEntry(): void {
    if (!this.#isInstalled) return
    const againMs = this.#pass.run()
    if (againMs !== undefined) this.#changed(againMs)
  }

  #say(): void {
    const {log} = this.#parts
    const problems = this.problems().join('; ')
    if (problems === this.#said) return
    this.#said = problems
    if (problems === '') log.info(`CNI: ${this.message()}`)
    else log.warn(`CNI: ${problems}`)
  }
}
