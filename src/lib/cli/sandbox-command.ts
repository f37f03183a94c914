// SPDX-License-Identifier: Apache-2.0
import type {Command} from '@oclif/core'
import {FORMATS} from '../render/formats.ts'
import {renderTable} from '../render/table.ts'
import {
  type SandboxNodeRow,
  type SandboxPodRow,
  type SandboxServiceRow,
  sandboxNodeColumns,
  sandboxPodColumns,
  sandboxServiceColumns,
} from '../render/views-sandbox.ts'
import {BaseCommand} from './base-command.ts'

const BACKEND_TEXT = {
  kernel: 'kernel',
  memory: 'memory: no kernel is involved; addresses are simulated, nothing is routed or redirected',
} as const

/** What the table of a sandbox is made of; machines get the whole object. */
export interface ShownSandbox {
  readonly name: string
  readonly backend: 'kernel' | 'memory' | null
  readonly phase: string
  readonly message: string
  readonly pid: number | null
  readonly server: string | null
  readonly kubeconfig: string
  readonly logFile: string
  readonly nodes: readonly SandboxNodeRow[]
  readonly pods: readonly SandboxPodRow[]
  readonly services: readonly SandboxServiceRow[] | null
}

/** Base of `sandbox up` and `sandbox status`: shows one sandbox, or that there is none. */
export abstract class SandboxCommand<C extends typeof Command> extends BaseCommand<C> {
  protected async show(name: string, status: ShownSandbox | undefined): Promise<void> {
    const count = status === undefined ? 0 : 1
    const report = {
      kind: 'SandboxStatus',
      summary: {requested: count, ok: count, failed: 0, skipped: 0},
      items: status === undefined ? [] : [status],
      errors: [],
      warnings: [],
    }
    if (FORMATS[this.format].machine || status === undefined) {
      await this.present(report, {columns: [], empty: `there is no sandbox ${name}`})
      return
    }
    await this.terminal.out(await this.text(status))
  }

  private async text(status: ShownSandbox): Promise<string> {
    const context = {color: this.terminal.colorOut, headers: true, wide: true}
    const facts = await renderTable(
      [
        {header: 'SANDBOX', value: (row: readonly [string, string | null]) => row[0]},
        {header: status.name, value: (row: readonly [string, string | null]) => row[1]},
      ],
      [
        ['state', status.message === status.phase ? status.phase : `${status.phase}: ${status.message}`],
        ['backend', status.backend === null ? null : BACKEND_TEXT[status.backend]],
        ['process', status.pid === null ? null : String(status.pid)],
        ['server', status.server],
        ['kubeconfig', status.kubeconfig],
        ['log', status.logFile],
      ],
      context,
    )
    const parts = [
      facts,
      await renderTable(sandboxNodeColumns, status.nodes, context),
      await renderTable(sandboxPodColumns, status.pods, context),
      await renderTable(sandboxServiceColumns, status.services ?? [], context),
    ]
    return parts.filter((part) => part.trim() !== '').join('\n')
  }
}
