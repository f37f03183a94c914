// SPDX-License-Identifier: Apache-2.0
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
}

/** What an op needs to find daemons and to ask them. */
export interface DaemonAccess {
  /** Undefined with a daemon URL. */
  readonly kube: Kube | undefined
  readonly dialer: AdminDialer
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
  readonly concurrency: number
  readonly choice: TargetChoice
}
