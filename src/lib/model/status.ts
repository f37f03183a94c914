// SPDX-License-Identifier: Apache-2.0
import type {Backend} from './api.ts'
import type {ReportPhase} from './report.ts'

export interface StatusProblem {
  /** `NoDaemonOnNode`, `DaemonNotReady`, `Timeout`, ... */
  readonly code: string
  readonly message: string
  readonly phase: ReportPhase | null
}

/** One node. Unknown is null. */
export interface StatusItem {
  readonly node: string
  /** Name of the daemon's pod. */
  readonly daemon: string | null
  readonly mode: string | null
  readonly backend: Backend | null
  readonly version: string | null
  readonly ready: boolean | null
  /** Who says so; `pod`: only Kubernetes, for Go daemons say that they are ready whatever they are. */
  readonly readyFrom: 'daemon' | 'pod' | null
  readonly enrolledPods: number | null
  readonly totalPods: number | null
  readonly levels: {readonly default: string | null; readonly bpf: string | null}
  readonly problems: readonly StatusProblem[]
}
