// SPDX-License-Identifier: Apache-2.0
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {kubeFlags, meshFlags, outputFlags, targetFlags} from '../../lib/cli/flags.ts'
import {readLevels} from '../../lib/ops/log.ts'
import {DOCUMENT_FORMATS} from '../../lib/render/formats.ts'
import {logLevelView} from '../../lib/render/views-log.ts'

export default class LogList extends BaseCommand<typeof LogList> {
  static override summary = 'Show every logger of the daemons and its level'
  static override examples = [
    '<%= config.bin %> log list',
    '<%= config.bin %> log list --node worker-1 -o json',
  ]
  static override flags = {...outputFlags(DOCUMENT_FORMATS), ...targetFlags, ...meshFlags, ...kubeFlags}

  protected async execute(): Promise<void> {
    await this.present(
      await readLevels(await this.daemonAccess(), undefined, await this.leases()),
      logLevelView,
    )
  }
}
