// SPDX-License-Identifier: Apache-2.0
import type {ExistingPods, SidecarPolicy} from '../model/api.ts'
import type {Namespace} from '../model/kube.ts'
import type {BpfMap, Clock, Kube, Log, Netns, PodClasses, Proc, SidecarRules, StateFiles} from '../ports.ts'
import type {Annotator} from './annotate.ts'
import type {PodEvents} from './pod-events.ts'

/** How the kernel knows a pod: by its network namespace, or by the class of its cgroup. */
export type PodIdentity = 'netns' | 'classid'

/** What enrollment works with. */
export interface EnrollParts {
  readonly identity: PodIdentity
  readonly classes: PodClasses
  readonly proc: Proc
  readonly netns: Netns
  readonly kube: Kube
  readonly manage: BpfMap
  readonly files: StateFiles
  readonly clock: Clock
  readonly log: Log
  readonly annotator: Annotator
  readonly nodeName: string
  readonly existingPods: ExistingPods
  readonly sidecarPolicy: SidecarPolicy
  readonly rules: SidecarRules
  /** Of what became of the short-circuit. */
  readonly bypassAnnotator: Annotator
  readonly events: PodEvents
  /** False where the maps are new: then cookies of before mean nothing. */
  readonly adopted: boolean
  /** As the watch knows it; undefined where it does not (yet, or any more). */
  readonly namespace: (name: string) => Namespace | undefined
}
