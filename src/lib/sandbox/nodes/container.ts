// SPDX-License-Identifier: Apache-2.0
/** One container: its process, restarted with back-off, its readiness, its end. */
import {constants} from 'node:os'
import {messageOf} from '../../errors.ts'
import type {Container} from '../../model/kube.ts'
import type {RunningProcess} from '../../ports.ts'
import {type CommandLine, CreateContainerError, commandLineOf, portsOf} from './command-line.ts'
import type {NodeContext} from './node-context.ts'
import {probeOnce} from './probe.ts'
import {probeTargetOf} from './probe-target.ts'
import {waitForStartup, watchReadiness} from './readiness.ts'

const FIRST_BACKOFF_MS = 1000
const LAST_BACKOFF_MS = 10_000
/** Who ran this long starts over with the first back-off. */
const STEADY_MS = 10_000
export type ContainerState =
  | {readonly kind: 'waiting'; readonly reason: string; readonly message: string}
  | {readonly kind: 'running'; readonly startedAtMs: number; readonly pid: number}
  | {readonly kind: 'terminated'; readonly exitCode: number; readonly reason: string; readonly atMs: number}

export type ContainerRole = 'main' | 'init' | 'sidecar'

export interface ContainerSettings {
  readonly container: Container
  readonly namespacePath: string
  readonly cgroup: string
  readonly outputFile: string
  readonly environment: Readonly<Record<string, string>>
  readonly user: number
  readonly group: number
  readonly restartPolicy: string
  /** `main`; `init` runs once to a good end; `sidecar` is an init container that runs as long as the pod. */
  readonly role: ContainerRole
  /** Primary address of the pod. */
  readonly address: string
  /** What the sandbox cannot do that it asks for: then it is not started, and says so. */
  readonly unsupported: string | undefined
}

export class ContainerRunner {
  readonly settings: ContainerSettings
  state: ContainerState
  restartCount = 0
  ready = false
  /** It runs and its startup probe, if there is one, has passed. */
  started = false
  /** Last failure of the readiness probe, else ''. */
  probeMessage = ''
  readonly #node: NodeContext
  readonly #onChange: () => void
  readonly #stop = new AbortController()
  /** Stopped alone, or with the whole sandbox. */
  readonly #stopping: AbortSignal
  #process: RunningProcess | undefined
  #loop: Promise<void> | undefined
  readonly #firstStart = Promise.withResolvers<void>()

  /** @param waitingFor reason of the state before its first start */
  constructor(
    node: NodeContext,
    settings: ContainerSettings,
    onChange: () => void,
    waitingFor = 'ContainerCreating',
  ) {
    this.#node = node
    this.settings = settings
    this.#onChange = onChange
    this.state = {kind: 'waiting', reason: waitingFor, message: ''}
    this.#stopping = AbortSignal.any([this.#stop.signal, node.stopping])
    this.#stopping.addEventListener('abort', () => this.#firstStart.resolve(), {once: true})
  }

  get isSidecar(): boolean {
    return this.settings.role === 'sidecar'
  }

  /** What comes after this init container may begin. */
  get isInitialized(): boolean {
    const {state} = this
    return this.isSidecar ? this.started : state.kind === 'terminated' && state.exitCode === 0
  }

  start(): void {
    this.#loop = this.#run().catch((error: unknown) => {
      const {name} = this.settings.container
      this.#node.log.error(`container ${name}: ${messageOf(error)}`, {cgroup: this.settings.cgroup})
    })
  }

  /** @returns whether it ended with exit status 0 */
  async runToEnd(): Promise<boolean> {
    this.start()
    await this.#loop
    return this.isInitialized
  }

  /** Resolves when it was started once, startup probe included, or is stopped. */
  untilStarted(): Promise<void> {
    return this.#firstStart.promise
  }

  /** Resolves when it is not started again. */
  async untilOver(): Promise<void> {
    await this.#loop
  }

  /** Its pod is not there yet: why. */
  waitFor(message: string): void {
    this.#become({kind: 'waiting', reason: 'ContainerCreating', message})
  }

  /** SIGTERM, `graceMs`, then SIGKILL for all of it; resolves when the process is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stop.abort()
    const process = this.#process
    if (process !== undefined) {
      process.signal('SIGTERM')
      const waiting = new AbortController()
      const timeUp = this.#node.clock.sleep(graceMs, waiting.signal).catch(() => {})
      await Promise.race([process.exited, timeUp])
      waiting.abort()
    }
    this.#node.cgroups.kill(this.settings.cgroup)
    // It may not have reached its cgroup yet.
    this.#process?.signal('SIGKILL')
    await this.#loop
  }

  async #run(): Promise<void> {
    let backoffMs = FIRST_BACKOFF_MS
    while (!this.#stopping.aborted) {
      const startedMs = this.#node.clock.monotonicMs()
      const exitCode = await this.#runOnce()
      if (this.#stopping.aborted || !this.#isRestarted(exitCode)) return
      if (this.#node.clock.monotonicMs() - startedMs >= STEADY_MS) backoffMs = FIRST_BACKOFF_MS
      if (exitCode !== undefined) {
        this.#become({
          kind: 'waiting',
          reason: 'CrashLoopBackOff',
          message: `exit status ${exitCode}; restarts in ${backoffMs} ms`,
        })
      }
      await this.#node.clock.sleep(backoffMs, this.#stopping).catch(() => {})
      backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS)
      if (exitCode !== undefined) this.restartCount += 1
    }
  }

  #isRestarted(exitCode: number | undefined): boolean {
    const policy = this.settings.restartPolicy
    return exitCode === undefined || policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0)
  }

  /** @returns the exit status, undefined where it did not start */
  async #runOnce(): Promise<number | undefined> {
    try {
      this.#process = await this.#launch()
    } catch (error) {
      const reason = error instanceof CreateContainerError ? 'CreateContainerError' : 'RunContainerError'
      this.#become({kind: 'waiting', reason, message: messageOf(error)})
      return undefined
    }
    if (this.#stopping.aborted) this.#process.signal('SIGKILL')
    const nowMs = this.#node.clock.nowMs()
    this.state = {kind: 'running', startedAtMs: nowMs, pid: this.#process.pid}
    const ended = new AbortController()
    const probing = this.#probe(this.#process, ended.signal)
    const exit = await this.#process.exited
    ended.abort()
    await probing
    this.#process = undefined
    this.started = false
    this.#node.cgroups.kill(this.settings.cgroup)
    const exitCode = exit.exitCode ?? 128 + signalNumber(exit.signal)
    const reason = exitCode === 0 ? 'Completed' : 'Error'
    // As a kubelet has it: an init container that did its work is ready.
    this.ready = this.settings.role === 'init' && exitCode === 0
    this.#become({kind: 'terminated', exitCode, reason, atMs: this.#node.clock.nowMs()})
    return exitCode
  }

  async #launch(): Promise<RunningProcess> {
    const {container, namespacePath, unsupported} = this.settings
    if (unsupported !== undefined) throw new CreateContainerError(unsupported)
    const ports = portsOf(container, this.settings.environment)
    const environment = {...this.settings.environment, ...(await this.#node.standIns(namespacePath, ports))}
    const line = commandLineOf(container, environment, this.#node.echoProgram, this.#node.sidecarProgram)
    this.#node.cgroups.make(this.settings.cgroup)
    return await this.#node.commands.start({...this.#place(line), env: environment})
  }

  #place(line: CommandLine): Omit<Parameters<NodeContext['commands']['start']>[0], 'env'> {
    const {namespacePath, cgroup, outputFile, user, group, container} = this.settings
    return {
      ...line,
      outputFile,
      namespacePath,
      cgroupPath: cgroup,
      user,
      group,
      workingDir: container.workingDir ?? '/',
    }
  }

  #become(state: ContainerState): void {
    this.state = state
    this.#onChange()
  }

  /** First the startup probe, then, for as long as it runs, the readiness probe. */
  async #probe(process: RunningProcess, ended: AbortSignal): Promise<void> {
    const {startupProbe, readinessProbe: probe} = this.settings.container
    if (startupProbe !== undefined) {
      this.#onChange()
      const attempt = () => probeOnce(startupProbe, probeTargetOf(this.#node, this.settings))
      const problem = await waitForStartup(startupProbe, attempt, this.#node.clock, ended)
      if (ended.aborted) return
      if (problem !== undefined) {
        this.probeMessage = `startup probe: ${problem}`
        process.signal('SIGKILL')
        return
      }
    }
    this.started = true
    this.ready = probe === undefined && this.settings.role !== 'init'
    this.#firstStart.resolve()
    this.#onChange()
    if (probe === undefined) return
    await watchReadiness(
      probe,
      () => probeOnce(probe, probeTargetOf(this.#node, this.settings)),
      ({ready, message}) => this.#setReady(ready, message),
      this.#node.clock,
      ended,
    )
  }

  #setReady(ready: boolean, message: string): void {
    if (this.ready === ready && this.probeMessage === message) return
    this.ready = ready
    this.probeMessage = message
    this.#onChange()
  }
}

function signalNumber(name: string | null): number {
  return constants.signals[(name ?? '') as NodeJS.Signals] ?? 0
}
