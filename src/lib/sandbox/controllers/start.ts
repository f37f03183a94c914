// SPDX-License-Identifier: Apache-2.0
import type {Clock, Informers, Kube, Log} from '../../ports.ts'
import {createClusterView} from './cluster-view.ts'
import {startDaemonSetController} from './daemonset.ts'
import {startDeploymentController} from './deployment.ts'
import {startEndpointSliceController} from './endpointslice.ts'
import {startGarbageCollector} from './garbage.ts'
import {startNamespaceController} from './namespace.ts'
import {startReplicaSetController} from './replicaset.ts'
import {startScheduler} from './scheduler.ts'
import {startServiceAccountController} from './serviceaccount.ts'

export interface ControllerOptions {
  /** Needs every verb on what the sandbox serves: give it a client of system:masters. */
  readonly kube: Kube
  readonly informers: Informers
  readonly clock: Clock
  readonly log: Log
  /** Which ones; the others run elsewhere. Default is all. */
  readonly needs?: {readonly scheduler: boolean; readonly workloads: boolean}
}

/** Starts all controllers of the sandbox as clients of an API server. Stops them when closed. */
export function startControllers(options: ControllerOptions): {close(): void} {
  const {kube, informers, clock, log} = options
  const view = createClusterView(informers)
  const context = {view, kube, clock, log}
  const {scheduler, workloads} = options.needs ?? {scheduler: true, workloads: true}
  const wanted = [
    ...(scheduler ? [startScheduler] : []),
    ...(workloads
      ? [
          startReplicaSetController,
          startDeploymentController,
          startDaemonSetController,
          startEndpointSliceController,
          startNamespaceController,
          startServiceAccountController,
          startGarbageCollector,
        ]
      : []),
  ]
  if (wanted.length === 0) return {close: () => {}}
  const stops = wanted.map((start) => start(context))
  view.start()
  return {
    close: () => {
      for (const stop of stops) stop()
      view.close()
    },
  }
}
