// SPDX-License-Identifier: Apache-2.0
/**
 * The order of a pod's containers: init containers one after the other, each to its end; one with `restartPolicy:
 * Always` (a native sidecar) only until it is started; then the others together. Sidecars end last, in reverse.
 */
import type {Clock} from '../../ports.ts'
import type {ContainerRunner} from './container.ts'
import type {ContainerView} from './pod-status.ts'

export interface RunnersOfPod {
  readonly init: readonly ContainerRunner[]
  readonly main: readonly ContainerRunner[]
}

export class PodContainers {
  readonly init: readonly ContainerRunner[]
  readonly main: readonly ContainerRunner[]
  readonly #clock: Clock
  #stopped = false

  constructor(runners: RunnersOfPod, clock: Clock) {
    this.init = runners.init
    this.main = runners.main
    this.#clock = clock
  }

  /** Those that decide whether the pod is Ready, then the init containers that end. */
  get all(): readonly ContainerRunner[] {
    const rest = this.init.filter((runner) => !runner.isSidecar)
    return [...this.main, ...this.sidecars, ...rest]
  }

  get sidecars(): readonly ContainerRunner[] {
    return this.init.filter((runner) => runner.isSidecar)
  }

  /** Every init container has ended well, or is a sidecar that is started. */
  get areInitialized(): boolean {
    return this.init.every((runner) => runner.isInitialized)
  }

  get isReady(): boolean {
    return this.areInitialized && [...this.main, ...this.sidecars].every((runner) => runner.ready)
  }

  /** Resolves when everything is started, or nothing will be any more. */
  async start(): Promise<void> {
    for (const runner of this.init) {
      if (this.#stopped) return
      if (runner.isSidecar) {
        runner.start()
        await runner.untilStarted()
      } else if (!(await runner.runToEnd())) return await this.#endSidecars()
    }
    if (this.#stopped) return
    for (const runner of this.main) runner.start()
    void this.#endWithMain()
  }

  /** SIGTERM to the main containers, `graceMs` for all; then to the sidecars with what is left of it. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true
    const end = this.#clock.monotonicMs() + graceMs
    const ending = this.init.filter((runner) => !runner.isSidecar)
    await Promise.all([...this.main, ...ending].map((runner) => runner.stop(graceMs)))
    for (const sidecar of this.sidecars.toReversed()) {
      await sidecar.stop(Math.max(0, end - this.#clock.monotonicMs()))
    }
  }

  /** A pod that is over keeps no sidecar. */
  async #endWithMain(): Promise<void> {
    await Promise.all(this.main.map((runner) => runner.untilOver()))
    if (!this.#stopped) await this.#endSidecars()
  }

  async #endSidecars(): Promise<void> {
    for (const sidecar of this.sidecars.toReversed()) await sidecar.stop(SIDECAR_GRACE_MS)
  }
}

/** Of sidecars whose pod is over without anybody having deleted it. */
const SIDECAR_GRACE_MS = 2000

/** What a pod's status is made of. */
export function viewOf(runner: ContainerRunner): ContainerView {
  const {settings, state, restartCount, ready, started, probeMessage} = runner
  const {name, image = ''} = settings.container
  return {name, image, role: settings.role, state, restartCount, ready, started, probeMessage}
}
