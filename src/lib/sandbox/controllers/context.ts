// SPDX-License-Identifier: Apache-2.0
import type {Clock, Kube, Log} from '../../ports.ts'
import type {ClusterView} from './cluster-view.ts'

/** What every controller works with. */
export interface ControllerContext {
  readonly view: ClusterView
  readonly kube: Kube
  readonly clock: Clock
  readonly log: Log
}
