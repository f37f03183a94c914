// SPDX-License-Identifier: Apache-2.0
import {Args} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {kubeFlags, meshFlags, outputFlags, targetFlags} from '../../lib/cli/flags.ts'
import {readLevels} from '../../lib/ops/log.ts'
import {DOCUMENT_FORMATS} from '../../lib/render/formats.ts'
import {logLevelView} from '../../lib/render/views-log.ts'

export default class LogGet extends BaseCommand<typeof LogGet> {
  static override summary = 'Show the level of one logger'
  static override examples = ['<%= config.bin %> log get bpf', '<%= config.bin %> log get --node worker-1']
  static override args = {
    logger: Args.string({
      description: "name of the logger; 'bpf' is that of the BPF programs",
      default: 'default',
    }),
  }
  static override flags = {...outputFlags(DOCUMENT_FORMATS), ...targetFlags, ...meshFlags, ...kubeFlags}

  protected async execute(): Promise<void> {
    await this.present(
      await readLevels(await this.daemonAccess(), this.args.logger, await this.leases()),
      logLevelView,
    )
  }
}
