// SPDX-License-Identifier: Apache-2.0
/** Short-circuit of a pod's sidecar: what stands in its network namespace, and how an agent tells it. */

/** On the pod, by the agent: what became of the short-circuit. Absent where there is none. */
export const BYPASS_ANNOTATION = 'kmesh.net/sidecar-bypass'
/** Its values. */
export const BYPASS_ON = 'enabled'
export const BYPASS_UNSUPPORTED = 'unsupported'

/**
 * How Istio redirects the traffic of a pod to its sidecar: `redirect` is iptables REDIRECT, the one way that
 * can be short-circuited; `tproxy` and `nftables` (rules of its own, not of iptables-nft) cannot.
 */
export type SidecarRedirection = 'none' | 'redirect' | 'tproxy' | 'nftables'

/** What was read in a network namespace, both families and both backends of iptables. */
export interface SidecarRulesState {
  readonly redirection: SidecarRedirection
  /** Our rules stand everywhere where they must, once, at position 1, and nowhere else. */
  readonly complete: boolean
  /** At least one rule of ours is there. */
  readonly present: boolean
}

/** Bypass of one pod in `/debug/enrollment`. */
export interface BypassEntry {
  /** Asked for: the pod is enrolled and has, or gets, a sidecar, or a label asks for it. */
  readonly wanted: boolean
  /** The rules in the pod's namespace short-circuit the sidecar now. */
  readonly active: boolean
  /** Why `wanted` and `active` differ, such as `BypassUnsupported`; else null. */
  readonly reason: string | null
}
