// SPDX-License-Identifier: Apache-2.0
import {Args} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {kubeFlags, meshFlags, outputFlags, targetFlags} from '../../lib/cli/flags.ts'
import {parseToggleChanges, TOGGLE_NAMES} from '../../lib/model/toggle.ts'
import {setToggles} from '../../lib/ops/toggle.ts'
import {DOCUMENT_FORMATS} from '../../lib/render/formats.ts'
import {toggleChangeView} from '../../lib/render/views-toggle.ts'

export default class ToggleSet extends BaseCommand<typeof ToggleSet> {
  static override summary = 'Switch authorization and telemetry of daemons on and off while they run'
  static override description =
    `Toggles are ${TOGGLE_NAMES.join(', ')}. 'monitoring' is set first and takes the other telemetry with it. Where a daemon tells a toggle's value, it is read back.`
  static override examples = [
    '<%= config.bin %> toggle set access-log=on --node worker-1',
    '<%= config.bin %> toggle set monitoring=on connection-metrics=off --all-nodes',
  ]
  static override strict = false
  static override args = {
    toggle: Args.string({required: true, description: 'NAME=on or NAME=off, several are allowed'}),
  }
  static override flags = {...outputFlags(DOCUMENT_FORMATS), ...targetFlags, ...meshFlags, ...kubeFlags}

  protected async execute(): Promise<void> {
    const changes = parseToggleChanges(this.words)
    this.requireTargets()
    await this.present(await setToggles(await this.daemonAccess(), changes), toggleChangeView)
  }
}
