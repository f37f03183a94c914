// SPDX-License-Identifier: Apache-2.0
import {Args} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {SHELLS} from '../lib/render/completion.ts'
import {COMPLETION_SCRIPTS} from '../lib/render/completion-scripts.ts'

export default class Completion extends BaseCommand<typeof Completion> {
  static override summary = 'Print the script that lets a shell complete commands, flags and live names'
  static override description =
    'Names of nodes, namespaces, pods, loggers and maps come from the cluster that the line is about, within a second or not at all (KMESHCTL_COMPLETION_TIMEOUT_MS: longer). For `kubectl kmesh`, put kubectl_complete-kmesh beside kubectl-kmesh on PATH.'
  static override examples = [
    'source <(<%= config.bin %> completion bash)   # in ~/.bashrc',
    'source <(<%= config.bin %> completion zsh)    # in ~/.zshrc',
    '<%= config.bin %> completion fish | source    # in ~/.config/fish/config.fish',
  ]
  static override args = {
    shell: Args.option({options: SHELLS})({required: true, description: 'which shell'}),
  }

  protected async execute(): Promise<void> {
    await this.terminal.out(COMPLETION_SCRIPTS[this.args.shell])
  }
}
