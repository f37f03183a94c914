// SPDX-License-Identifier: Apache-2.0
/** One toggle of one daemon, as far as its dialect and mode have it. */
import {DaemonError, KmeshError} from '../errors.ts'
import type {DaemonMode} from '../model/api.ts'
import {type Dialect, notSupported, versionText} from '../model/dialect.ts'
import {
  TOGGLES,
  type ToggleChange,
  type ToggleChangeItem,
  type ToggleItem,
  type ToggleName,
  toggleRefusal,
} from '../model/toggle.ts'
import type {Admin} from '../ports.ts'

/**
 * Null where the daemon has the toggle. In kernel-native mode Go daemons answer 200 for authz and do nothing,
 * and drop the connection for the others (contracts 1.9, A3 and A4): they are not asked.
 */
export function unsupportedToggle(
  dialect: Dialect,
  mode: DaemonMode | null,
  toggle: ToggleName,
): KmeshError | null {
  if (!dialect.row.toggles.includes(toggle)) return notSupported(dialect, `toggle '${toggle}'`)
  return mode === 'kernel-native' ? notSupported(dialect, `toggle '${toggle}' in kernel-native mode`) : null
}

/** @throws KmeshError `NotSupportedByDaemon` */
export function checkToggle(dialect: Dialect, mode: DaemonMode | null, toggle: ToggleName): void {
  const error = unsupportedToggle(dialect, mode, toggle)
  if (error !== null) throw error
}

/** `unknown` where the daemon has no way to tell: every release up to v1.2 takes POST only. */
export async function readToggle(
  admin: Admin,
  dialect: Dialect,
  toggle: ToggleName,
  signal: AbortSignal,
): Promise<Pick<ToggleItem, 'state' | 'reason'>> {
  try {
    const {enabled} = await admin.call('toggle', {path: TOGGLES[toggle].path}, {signal})
    return {state: enabled ? 'on' : 'off', reason: null}
  } catch (error) {
    if (!(error instanceof DaemonError) || (error.status !== 404 && error.status !== 405)) throw error
    const message = `${versionText(dialect)} does not tell whether ${toggle} is on (it answers ${error.status})`
    return {state: 'unknown', reason: {code: 'NotReadable', message}}
  }
}

/**
 * Reads, sets, reads back.
 *
 * @throws KmeshError `MonitoringDisabled`, `KernelRefused`, `ToggleRefused` with the daemon's text; `NotApplied`
 */
export async function changeToggle(
  admin: Admin,
  dialect: Dialect,
  {toggle, enable}: ToggleChange,
  signal: AbortSignal,
): Promise<Pick<ToggleChangeItem, 'state' | 'reason' | 'previous' | 'wanted' | 'result'>> {
  const wanted = enable ? 'on' : 'off'
  const {state: previous} = await readToggle(admin, dialect, toggle, signal)
  try {
    await admin.call('setToggle', {path: TOGGLES[toggle].path, enable}, {signal})
  } catch (error) {
    throw error instanceof DaemonError ? toggleRefusal(toggle, error) : error
  }
  const after = previous === 'unknown' ? null : await readToggle(admin, dialect, toggle, signal)
  if (after !== null && after.state !== 'unknown' && after.state !== wanted) {
    throw new KmeshError(`toggle '${toggle}' was set ${wanted} and reads ${after.state}`, {
      code: 'NotApplied',
    })
  }
  const unread = `${versionText(dialect)} does not tell whether ${toggle} is on: it accepted the value`
  return {
    state: after?.state ?? 'unknown',
    reason: after?.reason ?? (after === null ? {code: 'NotReadable', message: unread} : null),
    previous,
    wanted,
    result: previous === wanted ? 'unchanged' : 'set',
  }
}
