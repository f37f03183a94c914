// SPDX-License-Identifier: Apache-2.0
import type {FanOutProgress} from '../model/fan-out-progress.ts'
import type {AdminDialer, Clock, Kube, Log} from '../ports.ts'

/** Which daemons a command is about. */
export interface TargetChoice {
  /** One daemon without Kubernetes; then nothing else applies. */
  readonly daemonUrl: string | undefined
  readonly nodes: readonly string[]
  readonly nodeSelector: string | undefined
  readonly allNodes: boolean
  readonly meshNamespace: string
  readonly daemonSelector: string
  /** More daemons than this are refused. */
  readonly maxNodes?: number | undefined
  /** So many of them, the others are skipped. */
  readonly sample?: number | undefined
}

/** What a command shows of a fan-out that is under way. */
export interface ProgressSink {
  update(progress: FanOutProgress): void
  close(): void
}

/** What the engine needs to ask daemons that were found. */
export interface FanOutDeps {
  readonly dialer: AdminDialer
  readonly clock: Clock
  /** Aborted by Ctrl-C, with a KmeshError of exit status 130 or 143. */
  readonly signal: AbortSignal
  /** Daemons that are asked at the same time; lowered when the API server is busy. */
  readonly concurrency: number
  /** Together with daemons that hang; default 256. */
  readonly ceiling?: number | undefined
  readonly progress?: ProgressSink | undefined
  /** 0 to 1, for pauses; Math.random but in tests. */
  readonly random?: (() => number) | undefined
}

/** What an op needs to find daemons and to ask them. */
export interface DaemonAccess extends FanOutDeps {
  /** Undefined with a daemon URL. */
  readonly kube: Kube | undefined
  readonly log: Log
  readonly choice: TargetChoice
}
