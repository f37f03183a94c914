// SPDX-License-Identifier: Apache-2.0
import {BaseCommand} from '../lib/cli/base-command.ts'
import {kubeFlags, meshFlags, outputFlags, targetFlags} from '../lib/cli/flags.ts'
import {readStatus} from '../lib/ops/status.ts'
import {STREAM_FORMATS} from '../lib/render/formats.ts'
import {statusView} from '../lib/render/views-status.ts'

export default class Status extends BaseCommand<typeof Status> {
  static override summary = 'Show the daemon of every node, what it does and what is wrong with it'
  static override description = 'Exits 0 whatever it finds, as long as the cluster can be asked.'
  static override examples = ['<%= config.bin %> status', '<%= config.bin %> status --node worker-1 -o json']
  static override flags = {...outputFlags(STREAM_FORMATS), ...targetFlags, ...meshFlags, ...kubeFlags}

  protected async execute(): Promise<void> {
    const access = await this.daemonAccess()
    await this.answer(statusView, (onItem) => readStatus(access, onItem))
  }
}
