// SPDX-License-Identifier: Apache-2.0
import type {PolicyConfig, ServiceConfig, WorkloadConfig} from './config-dump.ts'
import type {ClusterConfig, ListenerConfig, RouteConfig} from './kernel-native.ts'

interface Place {
  readonly node: string
  /** Daemon pod; null with `--daemon-url`. */
  readonly pod: string | null
}

/** One object that a daemon knows. */
export type ConfigItem = Place &
  (
    | ({readonly part: 'services'} & ServiceConfig)
    | ({readonly part: 'workloads'} & WorkloadConfig)
    | ({readonly part: 'policies'} & PolicyConfig)
    | ({readonly part: 'listeners'} & ListenerConfig)
    | ({readonly part: 'clusters'} & ClusterConfig)
    | ({readonly part: 'routes'} & RouteConfig)
  )

export type ConfigItemOf<P extends ConfigItem['part']> = Extract<ConfigItem, {readonly part: P}>
