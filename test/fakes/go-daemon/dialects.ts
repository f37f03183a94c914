// SPDX-License-Identifier: Apache-2.0
/** What the Go daemons of each version serve: the test's own table, independent of the one that is tested. */

export const GO_VERSIONS = ['v0.4.0', 'v0.5.0', 'v1.0.0', 'v1.1.0', 'v1.2.0', 'v0.0.0-master'] as const
export type GoVersion = (typeof GO_VERSIONS)[number]
export const GO_MODES = ['dual-engine', 'kernel-native'] as const
export type GoMode = (typeof GO_MODES)[number]

export interface Traits {
  /** 0 for v0.4.0, ... 4 for v1.2 and main. */
  readonly age: 0 | 1 | 2 | 3 | 4
  readonly wrongMode: string
  readonly configDump: Readonly<Record<string, GoMode>>
  readonly bpfDump: Readonly<Record<string, GoMode>>
  readonly toggles: readonly string[]
}

const NEW_TOGGLES = ['/accesslog', '/monitoring', '/workload_metrics', '/authz']
const OLD_CONFIG = {
  '/debug/config_dump/workload': 'dual-engine',
  '/debug/config_dump/ads': 'kernel-native',
} as const
const NEW_CONFIG = {
  '/debug/config_dump/dual-engine': 'dual-engine',
  '/debug/config_dump/kernel-native': 'kernel-native',
} as const
const NEW_BPF = {
  '/debug/config_dump/bpf/dual-engine': 'dual-engine',
  '/debug/config_dump/bpf/kernel-native': 'kernel-native',
} as const

const recent = (age: 2 | 3 | 4, toggles: readonly string[]): Traits => ({
  age,
  wrongMode: '\tInvalid Client Mode\n',
  configDump: NEW_CONFIG,
  bpfDump: NEW_BPF,
  toggles,
})
const ALL_TOGGLES = [...NEW_TOGGLES, '/connection_metrics']

export const TRAITS: Readonly<Record<GoVersion, Traits>> = {
  'v0.4.0': {
    age: 0,
    wrongMode: '\tinvalid ClientMode\n',
    configDump: OLD_CONFIG,
    bpfDump: {'/debug/bpf/ads': 'kernel-native'},
    toggles: [],
  },
  'v0.5.0': {
    age: 1,
    wrongMode: '\tInvalid Client Mode\n',
    configDump: OLD_CONFIG,
    bpfDump: {
      '/debug/config_dump/bpf/workload': 'dual-engine',
      '/debug/config_dump/bpf/ads': 'kernel-native',
    },
    toggles: [],
  },
  'v1.0.0': recent(2, NEW_TOGGLES),
  'v1.1.0': recent(3, ALL_TOGGLES),
  'v1.2.0': recent(4, ALL_TOGGLES),
  'v0.0.0-master': recent(4, ALL_TOGGLES),
}
