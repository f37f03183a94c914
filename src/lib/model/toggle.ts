// SPDX-License-Identifier: Apache-2.0
/** Switches of Go daemons (contracts 1.2, 1.5, 1.6): one row a toggle. Which dialect has which stands in model/dialect. */
import {DaemonError, UsageError} from '../errors.ts'
import {isKernelText} from './kernel-text.ts'

interface ToggleRow {
  readonly path: string
  readonly title: string
  /** Switched together with `monitoring`, whatever it was. */
  readonly followsMonitoring: boolean
}

/** In the order in which they are set: `monitoring` before those that it switches too. */
export const TOGGLES = {
  authz: {path: '/authz', title: 'authorization in the kernel', followsMonitoring: false},
  monitoring: {path: '/monitoring', title: 'telemetry as a whole', followsMonitoring: false},
  'access-log': {path: '/accesslog', title: 'access log', followsMonitoring: true},
  'workload-metrics': {path: '/workload_metrics', title: 'metrics of workloads', followsMonitoring: true},
  'connection-metrics': {
    path: '/connection_metrics',
    title: 'metrics of single connections',
    followsMonitoring: true,
  },
} as const satisfies Readonly<Record<string, ToggleRow>>

export type ToggleName = keyof typeof TOGGLES
export const TOGGLE_NAMES = Object.keys(TOGGLES) as readonly ToggleName[]
export const TOGGLE_VALUES = ['on', 'off'] as const
export type ToggleState = (typeof TOGGLE_VALUES)[number] | 'unknown'

export interface ToggleReason {
  /** `NotReadable`, `NotSupportedByDaemon` */
  readonly code: string
  readonly message: string
}

/** One toggle of one daemon. */
export interface ToggleItem {
  readonly node: string
  readonly pod: string | null
  readonly toggle: ToggleName
  readonly state: ToggleState
  /** Why it is unknown; null where it is known. */
  readonly reason: ToggleReason | null
}

/** What became of one change on one daemon. `state` is what was read back. */
export interface ToggleChangeItem extends ToggleItem {
  /** `set`: it was the other value, or nobody can tell. `unchanged`: it was that value before. */
  readonly result: 'set' | 'unchanged'
  readonly previous: ToggleState
  readonly wanted: (typeof TOGGLE_VALUES)[number]
}

export interface ToggleChange {
  readonly toggle: ToggleName
  readonly enable: boolean
}

/**
 * `access-log=on`, in the order of the registry.
 *
 * @throws UsageError for a name or value that no daemon knows, a toggle named twice
 */
export function parseToggleChanges(words: readonly string[]): ToggleChange[] {
  const changes = words.map(parseChange)
  const twice = changes.find(
    ({toggle}, index) => changes.findIndex((other) => other.toggle === toggle) < index,
  )
  if (twice !== undefined)
    throw new UsageError(`toggle '${twice.toggle}' is given twice`, {parameter: 'TOGGLE'})
  return changes.sort((a, b) => TOGGLE_NAMES.indexOf(a.toggle) - TOGGLE_NAMES.indexOf(b.toggle))
}

function parseChange(word: string): ToggleChange {
  const [, name = word, value] = /^([^=]*)=(.*)$/s.exec(word) ?? []
  const toggle = TOGGLE_NAMES.find((one) => one === name)
  if (toggle === undefined) {
    throw new UsageError(`there is no toggle '${name}'`, {
      code: 'UnknownToggle',
      parameter: 'TOGGLE',
      hints: [`toggles are ${TOGGLE_NAMES.join(', ')}`],
    })
  }
  if (value === 'on' || value === 'off') return {toggle, enable: value === 'on'}
  const what =
    value === undefined ? `'${word}' says no value` : `'${value}' is no value of toggle '${toggle}'`
  throw new UsageError(what, {parameter: 'TOGGLE', hints: [`write ${toggle}=on or ${toggle}=off`]})
}

/** Our code for a daemon's 400, whose text stays: daemons say so too when the request was fine (contracts 1.9, A7). */
export function toggleRefusal(toggle: ToggleName, error: DaemonError): DaemonError {
  const {status} = error
  if (status !== 400) return error
  const message = `toggle '${toggle}': ${error.message}`
  // v1.0 says "is disable", later ones "is disabled".
  if (/monitoring is disabled?\b/i.test(error.message)) {
    const hints = [`set monitoring=on before, or with it: kmeshctl toggle set monitoring=on ${toggle}=on`]
    return new DaemonError(status, message, {code: 'MonitoringDisabled', hints})
  }
  const code = isKernelText(error.message) ? 'KernelRefused' : 'ToggleRefused'
  return new DaemonError(status, message, {code})
}
