// SPDX-License-Identifier: Apache-2.0

/** How far a wait has come, as the live views show it. */
export interface WaitProgress {
  readonly total: number
  readonly reached: number
  /** Pods that went away meanwhile. */
  readonly gone: number
  /** `namespace/name`. */
  readonly pending: readonly string[]
  readonly elapsedMs: number
}
