// SPDX-License-Identifier: Apache-2.0
/** Which admin API a daemon speaks, told from what it says about itself (contracts 1.8). */
import type {Capability, DaemonMode, VersionReply} from './api.ts'

/** `own`: our agent, or a daemon that lists capabilities. `go`: v1.2 and later of the Go daemon. */
export type DialectName = 'own' | 'go'

export interface Dialect {
  readonly name: DialectName
  readonly version: VersionReply
  /** Null until it was asked for, or when the daemon does not tell. */
  readonly mode: DaemonMode | null
  readonly capabilities: readonly Capability[]
}

/** `probe`: the version says nothing, ask HEAD /connection_metrics; 405 means v1.1 or later. */
export type DialectGuess = 'own' | 'go' | 'probe' | 'unsupported'

export function guessDialect(version: VersionReply): DialectGuess {
  if (version.capabilities !== undefined) return 'own'
  const release = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version.gitVersion)
  if (release === null) return 'probe'
  const [major, minor] = [Number(release[1]), Number(release[2])]
  // An unstamped build calls itself v0.0.0-master.
  if (major === 0 && minor === 0) return 'probe'
  return major > 1 || (major === 1 && minor >= 2) ? 'go' : 'unsupported'
}
