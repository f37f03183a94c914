// SPDX-License-Identifier: Apache-2.0
/** Registry of live values: where each kind is wanted, how long it is kept, which names are let through. */
import {LOGGER_BPF, LOGGER_DEFAULT} from './api.ts'
import {LOG_LEVELS} from './log-level.ts'
import {BPF_LEVELS} from './map-fields.ts'
import {MAPS} from './maps.ts'
import {TOGGLE_NAMES, TOGGLE_VALUES} from './toggle.ts'

interface KindRow {
  /** How long an answer may be shown again. */
  readonly keepMs: number
  /** Shown where nobody answers. */
  readonly fallback: readonly string[]
}

const SECOND_MS = 1000
const readableMaps = MAPS.filter((row) => row.key !== undefined).map(({name}) => name)

export const LIVE_KINDS = {
  nodes: {keepMs: 30 * SECOND_MS, fallback: []},
  namespaces: {keepMs: 30 * SECOND_MS, fallback: []},
  pods: {keepMs: 5 * SECOND_MS, fallback: []},
  services: {keepMs: 30 * SECOND_MS, fallback: []},
  loggers: {keepMs: 60 * SECOND_MS, fallback: [LOGGER_BPF, LOGGER_DEFAULT]},
  maps: {keepMs: 600 * SECOND_MS, fallback: readableMaps},
  contexts: {keepMs: 5 * SECOND_MS, fallback: []},
  clusters: {keepMs: 5 * SECOND_MS, fallback: []},
  users: {keepMs: 5 * SECOND_MS, fallback: []},
  sandboxes: {keepMs: 2 * SECOND_MS, fallback: []},
  sandboxNamespaces: {keepMs: 5 * SECOND_MS, fallback: []},
  sandboxPods: {keepMs: 5 * SECOND_MS, fallback: []},
} as const satisfies Readonly<Record<string, KindRow>>

export type LiveKind = keyof typeof LIVE_KINDS

export interface ArgumentRow {
  readonly live: LiveKind
  /** Of the words behind the first. */
  readonly rest?: LiveKind
  /** A word may be NAME=LEVEL. */
  readonly levels?: boolean
}

/** Arguments that are NAME=VALUE of names which are known without asking. */
export const PAIR_ARGUMENTS: Readonly<Record<string, PairRow>> = {
  'toggle:set': {names: TOGGLE_NAMES, values: TOGGLE_VALUES},
}

export interface PairRow {
  readonly names: readonly string[]
  readonly values: readonly string[]
}

/** What the arguments of a command are. */
export const ARGUMENTS: Readonly<Record<string, ArgumentRow>> = {
  'enroll:namespace': {live: 'namespaces'},
  'unenroll:namespace': {live: 'namespaces'},
  'enroll:pod': {live: 'pods'},
  'unenroll:pod': {live: 'pods'},
  'log:get': {live: 'loggers'},
  'log:set-level': {live: 'loggers', levels: true},
  'dump:maps': {live: 'maps'},
  'sandbox:exec': {live: 'sandboxPods'},
  path: {live: 'pods', rest: 'services'},
}

const FLAG_VALUES: Readonly<Record<string, LiveKind>> = {
  node: 'nodes',
  namespace: 'namespaces',
  'mesh-namespace': 'namespaces',
  context: 'contexts',
  cluster: 'clusters',
  user: 'users',
}

const SANDBOX_FLAG_VALUES: Readonly<Record<string, LiveKind>> = {
  name: 'sandboxes',
  namespace: 'sandboxNamespaces',
}

/** What the value of a flag is, if it is one of these. */
export function kindOfFlag(commandId: string, flag: string): LiveKind | undefined {
  const rows = commandId.startsWith('sandbox:') ? SANDBOX_FLAG_VALUES : FLAG_VALUES
  return Object.hasOwn(rows, flag) ? rows[flag] : undefined
}

/** Flags that say where live values come from, and as whom; others change nothing about them. */
export const SOURCE_FLAGS: ReadonlySet<string> = new Set([
  'kubeconfig',
  'context',
  'cluster',
  'user',
  'server',
  'token-file',
  'certificate-authority',
  'tls-server-name',
  'insecure-skip-tls-verify',
  'as',
  'as-group',
  'as-uid',
  'namespace',
  'daemon-url',
  'node',
  'node-selector',
  'mesh-namespace',
  'daemon-selector',
  'admin-port',
  'name',
])

export function levelsOf(logger: string): readonly string[] {
  return logger === LOGGER_BPF ? BPF_LEVELS : LOG_LEVELS
}

const MAX_NAME = 253
const MAX_NAMES = 10_000

/**
 * Names that every shell takes as they are, sorted, each once. Whatever a cluster or a file calls its things,
 * nothing that a shell, a terminal or a flag parser could act on gets through.
 */
export function safeNames(names: readonly unknown[]): string[] {
  const safe = names.filter(
    (name): name is string =>
      typeof name === 'string' && name.length <= MAX_NAME && /^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$/.test(name),
  )
  return [...new Set(safe)].sort().slice(0, MAX_NAMES)
}
