// SPDX-License-Identifier: Apache-2.0
/** Toggles of daemons: show them, set them. */
import {type Dialect, versionText} from '../model/dialect.ts'
import {compareText, type Report, type ReportError, type ReportWarning} from '../model/report.ts'
import {
  TOGGLE_NAMES,
  TOGGLES,
  type ToggleChange,
  type ToggleChangeItem,
  type ToggleItem,
} from '../model/toggle.ts'
import type {Admin} from '../ports.ts'
import type {DaemonAccess} from './access.ts'
import {type FoundDaemon, findDaemons} from './daemons.ts'
import {readDialect, readMode, requireMode} from './dialect.ts'
import {fanOut, targetError} from './fan-out.ts'
import {changeToggle, checkToggle, readToggle, unsupportedToggle} from './toggle-daemon.ts'

/** Every toggle of each daemon; what a daemon does not tell is `unknown`, with the reason. */
export async function listToggles(access: DaemonAccess): Promise<Report<ToggleItem>> {
  const {signal} = access
  const {answers, errors, summary} = await fanOut(
    access,
    await findDaemons(access),
    async (admin, {target}) => {
      const dialect = await readDialect(admin, signal)
      const mode = dialect.row.toggles.length === 0 ? null : await readMode(admin, dialect, signal)
      const items: ToggleItem[] = []
      for (const toggle of TOGGLE_NAMES) {
        const place = {node: target.node, pod: target.pod?.name ?? null, toggle}
        const why = unsupportedToggle(dialect, mode, toggle)
        const reading =
          why === null
            ? await readToggle(admin, dialect, toggle, signal)
            : {state: 'unknown' as const, reason: {code: why.code, message: why.message}}
        items.push({...place, ...reading})
      }
      return items
    },
  )
  return {kind: 'ToggleList', summary, items: answers.flatMap(({value}) => value), errors, warnings: []}
}

interface ChangeOutcome {
  readonly dialect: Dialect
  readonly items: readonly ToggleChangeItem[]
  readonly failures: readonly ReportError[]
}

/** Sets toggles on each chosen daemon. What a daemon cannot do is refused before it is asked for anything. */
export async function setToggles(
  access: DaemonAccess,
  changes: readonly ToggleChange[],
): Promise<Report<ToggleChangeItem>> {
  const {answers, errors, summary} = await fanOut(access, await findDaemons(access), (admin, daemon) =>
    changeDaemon(access, admin, daemon, changes),
  )
  const outcomes = answers.map(({value}) => value)
  const failures = outcomes.flatMap((outcome) => outcome.failures)
  const failedNodes = new Set(failures.map(({node}) => node)).size
  return {
    kind: 'ToggleChangeList',
    summary: {...summary, ok: summary.ok - failedNodes, failed: summary.failed + failedNodes},
    items: outcomes.flatMap(({items}) => items),
    errors: [...errors, ...failures].sort((a, b) => compareText(a.node, b.node)),
    warnings: [...alsoSwitched(outcomes, changes), ...forgotten(outcomes)],
  }
}

async function changeDaemon(
  access: DaemonAccess,
  admin: Admin,
  {target}: FoundDaemon,
  changes: readonly ToggleChange[],
): Promise<ChangeOutcome> {
  const {signal, clock} = access
  const dialect = await readDialect(admin, signal)
  const mode = dialect.row.toggles.length === 0 ? null : await requireMode(admin, dialect, signal)
  for (const {toggle} of changes) checkToggle(dialect, mode, toggle)
  const items: ToggleChangeItem[] = []
  const failures: ReportError[] = []
  for (const change of changes) {
    const startMs = clock.monotonicMs()
    try {
      const changed = await changeToggle(admin, dialect, change, signal)
      items.push({node: target.node, pod: target.pod?.name ?? null, toggle: change.toggle, ...changed})
    } catch (error) {
      signal.throwIfAborted()
      failures.push(targetError(error, target, clock.monotonicMs() - startMs))
    }
  }
  return {dialect, items, failures}
}

/** `monitoring` takes the other telemetry with it (contracts 1.5 and 1.6): one warning for each version it was set on. */
function alsoSwitched(outcomes: readonly ChangeOutcome[], changes: readonly ToggleChange[]): ReportWarning[] {
  const change = changes.find(({toggle}) => toggle === 'monitoring')
  if (change === undefined) return []
  const named: readonly string[] = changes.map(({toggle}) => toggle)
  const messages = outcomes
    .filter(({items}) => items.some(({toggle}) => toggle === 'monitoring'))
    .map(({dialect}) => {
      const followers = dialect.row.toggles.filter(
        (toggle) => TOGGLES[toggle].followsMonitoring && !named.includes(toggle),
      )
      const value = change.enable ? 'on' : 'off'
      return followers.length === 0
        ? ''
        : `${versionText(dialect)}: monitoring=${value} switched ${followers.join(', ')} ${value} too`
    })
  return [...new Set(messages)]
    .filter((message) => message !== '')
    .sort(compareText)
    .map((message) => ({code: 'AlsoSwitched', message}))
}

/** Toggles are state of the daemon's process (contracts 1.9, A11). */
function forgotten(outcomes: readonly ChangeOutcome[]): ReportWarning[] {
  if (outcomes.every(({items}) => items.length === 0)) return []
  const message = 'a Go daemon forgets its toggles: after a restart they have their defaults again'
  return [{code: 'ForgottenOnRestart', message}]
}
