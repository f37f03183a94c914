// SPDX-License-Identifier: Apache-2.0
/**
 * The admin APIs of the field, one row a dialect: paths, mode names, shapes, what is missing (contracts 1 and 2).
 * Which one a daemon speaks is told from its answers (contracts 1.8), never from a setting of ours.
 */
import {KmeshError} from '../errors.ts'
import type {Capability, DaemonMode, VersionReply} from './api.ts'
import {TOGGLE_NAMES, type ToggleName} from './toggle.ts'

export type DialectName = 'own' | 'v0.4.0' | 'v0.5' | 'v1.0' | 'v1.1' | 'v1.2'

/** Who is enrolled. `standard`, since v0.5: the first match of model/enrollment; `v0.4`: pod label, annotation or namespace label. */
export type EnrollmentRuleSet = 'standard' | 'v0.4'

/** Feature names as messages have them. */
export const FEATURES = {
  listLoggers: 'listing loggers',
  readBpfLevel: "reading the level of logger 'bpf'",
  bpfDumpDualEngine: 'dumping BPF maps in dual-engine mode',
} as const
export type Feature = keyof typeof FEATURES

export interface DialectRow {
  readonly name: DialectName
  /** For messages where the daemon tells no version. */
  readonly title: string
  readonly configDump: Readonly<Record<DaemonMode, string>>
  /** Null: that mode's maps cannot be dumped. */
  readonly bpfDump: Readonly<Record<DaemonMode, string | null>>
  /** Of the dual-engine BPF dump: Go field names and numbers, or names and texts (contracts 2.3). */
  readonly bpfShape: 'raw' | 'pretty'
  readonly missing: readonly Feature[]
  /** Loggers where they cannot be listed. */
  readonly assumedLoggers: readonly string[]
  readonly enrollment: EnrollmentRuleSet
  /** Those that exist; in kernel-native mode none works. */
  readonly toggles: readonly ToggleName[]
}

function paths(dual: string, native: string, under: string): DialectRow['configDump'] {
  return {'dual-engine': `${under}/${dual}`, 'kernel-native': `${under}/${native}`}
}

const OLD_CONFIG = paths('workload', 'ads', '/debug/config_dump')
const NEW_CONFIG = paths('dual-engine', 'kernel-native', '/debug/config_dump')
const NEW_BPF = paths('dual-engine', 'kernel-native', '/debug/config_dump/bpf')

const V1_0_TOGGLES = TOGGLE_NAMES.filter((name) => name !== 'connection-metrics')

const LATEST: Omit<DialectRow, 'name' | 'title'> = {
  configDump: NEW_CONFIG,
  bpfDump: NEW_BPF,
  bpfShape: 'pretty',
  missing: [],
  assumedLoggers: [],
  enrollment: 'standard',
  toggles: TOGGLE_NAMES,
}

export const DIALECTS: {readonly [N in DialectName]: DialectRow} = {
  own: {...LATEST, name: 'own', title: 'the agent of this project', toggles: []},
  'v0.4.0': {
    ...LATEST,
    name: 'v0.4.0',
    title: 'Kmesh v0.4.0',
    configDump: OLD_CONFIG,
    bpfDump: {'dual-engine': null, 'kernel-native': '/debug/bpf/ads'},
    missing: ['listLoggers', 'readBpfLevel', 'bpfDumpDualEngine'],
    assumedLoggers: ['bpf', 'default', 'fileOnly'],
    enrollment: 'v0.4',
    toggles: [],
  },
  'v0.5': {
    ...LATEST,
    name: 'v0.5',
    title: 'Kmesh v0.5',
    configDump: OLD_CONFIG,
    bpfDump: paths('workload', 'ads', '/debug/config_dump/bpf'),
    bpfShape: 'raw',
    toggles: [],
  },
  'v1.0': {...LATEST, name: 'v1.0', title: 'Kmesh v1.0', bpfShape: 'raw', toggles: V1_0_TOGGLES},
  'v1.1': {...LATEST, name: 'v1.1', title: 'Kmesh v1.1'},
  'v1.2': {...LATEST, name: 'v1.2', title: 'Kmesh v1.2 or later'},
}

export interface Dialect {
  readonly name: DialectName
  readonly row: DialectRow
  /** Null: this daemon tells none (before v1.0). */
  readonly version: VersionReply | null
  /** Null until it was asked for, or when the daemon does not tell. */
  readonly mode: DaemonMode | null
  readonly capabilities: readonly Capability[]
}

export function dialectOf(name: DialectName, version: VersionReply | null): Dialect {
  const capabilities = version?.capabilities ?? []
  return {name, row: DIALECTS[name], version, mode: version?.mode ?? null, capabilities}
}

/** `probe`: the version says nothing, ask HEAD /connection_metrics; 405 means v1.1 or later, 404 v1.0. */
export type DialectGuess = DialectName | 'probe'

export function guessDialect(version: VersionReply): DialectGuess {
  if (version.capabilities !== undefined) return 'own'
  const release = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version.gitVersion)
  if (release === null) return 'probe'
  const [major, minor] = [Number(release[1]), Number(release[2])]
  // An unstamped build calls itself v0.0.0-master; a daemon before v1.0 has no /version, whatever a build says.
  if (major === 0) return 'probe'
  if (major > 1 || minor >= 2) return 'v1.2'
  return minor === 1 ? 'v1.1' : 'v1.0'
}

/** What a daemon without `/version` says to a request for all loggers. Undefined: it is no daemon that we know. */
export function dialectByLoggers(status: number, text: string): 'v0.4.0' | 'v0.5' | undefined {
  if (status === 400 && /^\s*logger {1,2}does not exist\s*$/.test(text)) return 'v0.4.0'
  return status === 200 && text.trimStart().startsWith('[') ? 'v0.5' : undefined
}

/** Version for people and reports: the daemon's own, else what its answers show. */
export function versionText({version, row}: Dialect): string {
  return version === null ? row.title : `Kmesh ${version.gitVersion}`
}

/** For columns: a daemon before v1.0 does not tell which release of its line it is. */
export function shownVersion({version, name}: Dialect): string {
  return version?.gitVersion ?? name
}

/** `NotSupportedByDaemon`, naming version and feature. */
export function notSupported(dialect: Dialect, feature: string): KmeshError {
  return new KmeshError(`${versionText(dialect)} does not support ${feature}`, {code: 'NotSupportedByDaemon'})
}
