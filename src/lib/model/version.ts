// SPDX-License-Identifier: Apache-2.0
import type {Backend} from './api.ts'

/** One line of `kmeshctl version`. Unknown is null. */
export interface VersionItem {
  readonly component: 'client' | 'daemon'
  readonly node: string | null
  readonly pod: string | null
  readonly version: string | null
  readonly commit: string | null
  readonly platform: string | null
  readonly mode: string | null
  readonly backend: Backend | null
  /** `kmeshctl` for our agent; of a Go daemon the version whose admin API it speaks (`v1.2` also for later ones). */
  readonly dialect: string | null
  readonly capabilities: readonly string[]
}
