// SPDX-License-Identifier: Apache-2.0
/** What one node's daemon told about itself and its pods: the ground that planner and interop stand on. */
import type {Backend, Capability, EnrollmentEntry, ExistingPods, SidecarPolicy} from './api.ts'
import type {EnrollmentRuleSet} from './dialect.ts'

/** `unreachable`: there is a daemon pod and it gave no usable answer. */
export type DaemonState = 'ready' | 'notReady' | 'unreachable' | 'absent'

export interface NodeFacts {
  readonly node: string
  readonly daemon: DaemonState
  /** Null where no daemon told. */
  readonly sidecarPolicy: SidecarPolicy | null
  readonly existingPods: ExistingPods | null
  readonly capabilities: readonly Capability[]
  /** Absent: `standard`. */
  readonly rules?: EnrollmentRuleSet
  /** Absent: the kernel. */
  readonly backend?: Backend
  /** By pod uid; null where the daemon cannot tell, or did not. */
  readonly enrollment: ReadonlyMap<string, EnrollmentEntry> | null
}

export type FactsByNode = ReadonlyMap<string, NodeFacts>

/** Facts of a node on which no daemon pod was found. */
export function absentNode(node: string): NodeFacts {
  return {node, daemon: 'absent', sidecarPolicy: null, existingPods: null, capabilities: [], enrollment: null}
}

export function unreachableNode(node: string): NodeFacts {
  return {...absentNode(node), daemon: 'unreachable'}
}

/** Go daemons enroll pods that are Ready; ours, which tell their enrollment, every running pod. */
export function enrollsReadyPodsOnly(facts: NodeFacts): boolean {
  return !facts.capabilities.includes('enrollment')
}

/** How far a change can be followed: the label is stored, the daemon claims it, the kernel has it. */
export const WAIT_LEVELS = ['label', 'annotation', 'kernel'] as const
/** `memory` is what a daemon without a kernel can tell instead; nobody asks for it. */
export type WaitLevel = (typeof WAIT_LEVELS)[number] | 'memory'

export function strongestLevel(facts: NodeFacts): WaitLevel {
  return facts.capabilities.includes('enrollment') ? (facts.backend ?? 'kernel') : 'annotation'
}
