// SPDX-License-Identifier: Apache-2.0
import {outputFlags} from '../../lib/cli/flags.ts'
import {SandboxCommand} from '../../lib/cli/sandbox-command.ts'
import {sandboxFlags} from '../../lib/cli/sandbox-flags.ts'
import {lookAtSandbox} from '../../lib/sandbox/client.ts'
import {checkName} from '../../lib/sandbox/state.ts'

export default class SandboxStatus extends SandboxCommand<typeof SandboxStatus> {
  static override summary = 'Show process, nodes, daemons, pods and services of a sandbox'
  static override examples = ['<%= config.bin %> sandbox status', '<%= config.bin %> sandbox status -o json']
  static override flags = {...sandboxFlags, ...outputFlags(['table', 'json', 'yaml'] as const)}

  protected async execute(): Promise<void> {
    const name = checkName(this.flags.name)
    await this.show(name, await lookAtSandbox(name, this.logger))
  }
}
