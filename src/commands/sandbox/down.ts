// SPDX-License-Identifier: Apache-2.0
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {sandboxFlags} from '../../lib/cli/sandbox-flags.ts'
import {requireRoot, stopSandbox} from '../../lib/sandbox/client.ts'
import {checkName} from '../../lib/sandbox/state.ts'

export default class SandboxDown extends BaseCommand<typeof SandboxDown> {
  static override summary = 'End a sandbox and take away everything that it made'
  static override description =
    'Processes, network namespaces, cgroups, mounts, pinned objects and files; also when the process of the sandbox died. Without a sandbox there is nothing to do (exit status 0).'
  static override examples = ['<%= config.bin %> sandbox down']
  static override flags = {...sandboxFlags}

  protected async execute(): Promise<void> {
    const name = checkName(this.flags.name)
    requireRoot()
    const wasThere = await stopSandbox(name)
    this.say(wasThere ? `sandbox ${name} is gone` : `there is no sandbox ${name}`)
  }
}
