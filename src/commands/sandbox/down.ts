// SPDX-License-Identifier: Apache-2.0
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {outputFlags} from '../../lib/cli/flags.ts'
import {sandboxFlags} from '../../lib/cli/sandbox-flags.ts'
import {stopSandbox} from '../../lib/sandbox/client.ts'
import {checkName} from '../../lib/sandbox/state.ts'

export default class SandboxDown extends BaseCommand<typeof SandboxDown> {
  static override summary = 'End a sandbox and take away everything that it made'
  static override description =
    'Processes, network namespaces, cgroups, mounts, pinned objects and files; also when the process of the sandbox died. Without a sandbox there is nothing to do (exit status 0).'
  static override examples = ['<%= config.bin %> sandbox down']
  static override flags = {...sandboxFlags, ...outputFlags(['table', 'json', 'yaml'] as const)}

  protected async execute(): Promise<void> {
    const name = checkName(this.flags.name)
    const wasThere = await stopSandbox(name)
    const report = {
      kind: 'SandboxDown',
      summary: {requested: 1, ok: wasThere ? 1 : 0, failed: 0, skipped: wasThere ? 0 : 1},
      items: [{name, wasThere}],
      errors: [],
      warnings: [],
    }
    if (this.format !== 'table') await this.present(report, {columns: []})
    this.say(wasThere ? `sandbox ${name} is gone` : `there is no sandbox ${name}`)
  }
}
