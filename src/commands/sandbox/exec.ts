// SPDX-License-Identifier: Apache-2.0
import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {sandboxFlags} from '../../lib/cli/sandbox-flags.ts'
import {UsageError} from '../../lib/errors.ts'
import {enterPod} from '../../lib/sandbox/enter.ts'
import {checkName} from '../../lib/sandbox/state.ts'
import {backendOfSandbox, pathsOf} from '../../lib/sandbox/where.ts'

const NO_POD_NETWORK =
  'backend memory: there is no pod network; the command runs as you, in the network of this machine'

export default class SandboxExec extends BaseCommand<typeof SandboxExec> {
  static override summary = "Run a command in a pod's network namespace and cgroup, as the pod's user"
  static override description =
    'POD is a pod or a Deployment, of which the first Ready pod is taken. The command runs from the files of this machine; standard streams, signals, terminal and exit status are its own (127: not found).'
  static override examples = [
    '<%= config.bin %> sandbox exec client -- curl http://10.0.0.1/',
    '<%= config.bin %> sandbox exec -n shop client -- sh',
  ]
  static override strict = false
  static override args = {pod: Args.string({description: 'pod or Deployment', required: true})}
  static override flags = {
    ...sandboxFlags,
    namespace: Flags.string({
      char: 'n',
      description: 'namespace of the pod (default: the only one that has it)',
      helpValue: 'NAME',
    }),
    container: Flags.string({char: 'c', description: 'container (default: the first)', helpValue: 'NAME'}),
  }

  protected async execute(): Promise<void> {
    const command = this.words.slice(1)
    if (command.length === 0) {
      throw new UsageError('a command is missing', {hints: ['kmeshctl sandbox exec POD -- COMMAND...']})
    }
    const {name, namespace, container} = this.flags
    checkName(name)
    const backend = backendOfSandbox(name) ?? 'kernel'
    if (backend === 'memory') this.logger.warn(NO_POD_NETWORK)
    enterPod({paths: pathsOf(name), backend, pod: this.args.pod, namespace, container, command})
  }
}
