// SPDX-License-Identifier: Apache-2.0
/** What `install` and `uninstall` answer. Pure. */
import type {DryRun} from './plan-result.ts'
import type {Report, ReportError, ReportWarning} from './report.ts'

/**
 * Objects: `planned` in a dry run; `kept`: there already, and not made by kmeshctl. Nodes: `ready`, or `cleaned` where
 * Kmesh is off the node; `pending` and `failed` with a message.
 */
export type InstallState =
  | 'planned'
  | 'created'
  | 'changed'
  | 'unchanged'
  | 'kept'
  | 'deleted'
  | 'refused'
  | 'failed'
  | 'skipped'
  | 'ready'
  | 'cleaned'
  | 'pending'

export interface InstallItem {
  /** Of the object; `Node` for what became of one. */
  readonly kind: string
  readonly namespace: string | null
  readonly name: string
  readonly state: InstallState
  readonly code: string | null
  readonly message: string | null
  /** `path: before -> after`, of objects that change. */
  readonly changes: readonly string[]
}

export interface InstallOutcome {
  readonly action: 'install' | 'uninstall'
  readonly namespace: string
  readonly dryRun: DryRun
  readonly items: readonly InstallItem[]
  readonly errors: readonly ReportError[]
  readonly warnings: readonly ReportWarning[]
}

const FAILED: readonly InstallState[] = ['refused', 'failed', 'pending']

export function installReport(outcome: InstallOutcome): Report<InstallItem> {
  const {action, namespace, dryRun, items, errors, warnings} = outcome
  const failed = items.filter(({state}) => FAILED.includes(state)).length
  const skipped = items.filter(({state}) => state === 'skipped').length
  return {
    kind: action === 'install' ? 'InstallResult' : 'UninstallResult',
    summary: {
      requested: items.length,
      ok: items.length - failed - skipped,
      failed,
      skipped,
      action,
      namespace,
      dryRun,
    },
    items,
    errors,
    warnings,
  }
}
