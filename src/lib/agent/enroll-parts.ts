// SPDX-License-Identifier: Apache-2.0
import type {ExistingPods} from '../model/api.ts'
import type {Labels} from '../model/enrollment.ts'
import type {BpfMap, Clock, Log, Netns, Proc, StateFiles} from '../ports.ts'
import type {Annotator} from './annotate.ts'

/** What enrollment works with. */
export interface EnrollParts {
  readonly proc: Proc
  readonly netns: Netns
  readonly manage: BpfMap
  readonly files: StateFiles
  readonly clock: Clock
  readonly log: Log
  readonly annotator: Annotator
  readonly existingPods: ExistingPods
  /** False where the maps are new: then cookies of before mean nothing. */
  readonly adopted: boolean
  readonly namespaceLabels: (namespace: string) => Labels
}
