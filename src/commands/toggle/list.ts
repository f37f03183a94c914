// SPDX-License-Identifier: Apache-2.0
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {kubeFlags, meshFlags, outputFlags, targetFlags} from '../../lib/cli/flags.ts'
import {listToggles} from '../../lib/ops/toggle.ts'
import {DOCUMENT_FORMATS} from '../../lib/render/formats.ts'
import {toggleView} from '../../lib/render/views-toggle.ts'

export default class ToggleList extends BaseCommand<typeof ToggleList> {
  static override summary = 'Show which toggles of the daemons are on'
  static override description =
    'Go daemons up to v1.2 do not tell: their toggles are unknown, and the reason is said. Nothing is guessed from defaults.'
  static override examples = [
    '<%= config.bin %> toggle list',
    '<%= config.bin %> toggle list --node worker-1 -o json',
  ]
  static override flags = {...outputFlags(DOCUMENT_FORMATS), ...targetFlags, ...meshFlags, ...kubeFlags}

  protected async execute(): Promise<void> {
    await this.present(await listToggles(await this.daemonAccess()), toggleView)
  }
}
