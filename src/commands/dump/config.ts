// SPDX-License-Identifier: Apache-2.0
import {Args} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {filledFlag, kubeFlags, meshFlags, outputFlags, targetFlags} from '../../lib/cli/flags.ts'
import {ALL_PARTS, type ConfigPart} from '../../lib/model/config-dump.ts'
import {dumpConfig} from '../../lib/ops/dump-config.ts'
import {configView} from '../../lib/render/views-dump-config.ts'

export default class DumpConfig extends BaseCommand<typeof DumpConfig> {
  static override summary = 'Show what the daemons know: services, workloads, policies'
  static override description =
    'Daemons in kernel-native mode know listeners, clusters and routes instead. Without PART everything of the daemon. Ports and addresses are shown decoded. -o jsonl streams, daemon by daemon.'
  static override examples = [
    '<%= config.bin %> dump config services --node worker-1',
    '<%= config.bin %> dump config workloads -n shop -o json',
    '<%= config.bin %> dump config listeners --all-nodes',
  ]
  static override args = {part: Args.string({options: [...ALL_PARTS], description: 'kind of object'})}
  static override flags = {
    namespace: filledFlag({char: 'n', description: 'only objects of this namespace', helpValue: 'NAME'}),
    ...outputFlags(['table', 'wide', 'json', 'yaml', 'name', 'jsonl']),
    ...targetFlags,
    ...meshFlags,
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const part = this.args.part as ConfigPart | undefined
    const request = {part, namespace: this.flags.namespace}
    const access = await this.daemonAccess()
    await this.answer(configView(part), (sink) => dumpConfig(access, request, sink))
  }
}
