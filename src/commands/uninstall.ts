// SPDX-License-Identifier: Apache-2.0
import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {durationFlag, filledFlag, kubeFlags, outputFlags, yesFlag} from '../lib/cli/flags.ts'
import {requireAnswer} from '../lib/cli/install-settings.ts'
import {installReport} from '../lib/model/install-report.ts'
import {MESH_NAMESPACE} from '../lib/model/manifests-settings.ts'
import {DRY_RUNS} from '../lib/model/plan-result.ts'
import {carryOutUninstall} from '../lib/ops/uninstall.ts'
import {planUninstall, type UninstallPlan} from '../lib/ops/uninstall-objects.ts'
import {DOCUMENT_FORMATS} from '../lib/render/formats.ts'
import {installView, uninstallQuestion} from '../lib/render/views-install.ts'

export default class Uninstall extends BaseCommand<typeof Uninstall> {
  static override summary = 'Take Kmesh off all nodes and out of the cluster'
  static override description =
    'Takes back what `install` made, and nothing else. First the agents remove programs, maps, CNI entry and annotations from their nodes, then the objects go. Pods run on; labels that enroll stay. A run that was cut is finished by the next one.'
  static override examples = [
    '<%= config.bin %> uninstall',
    '<%= config.bin %> uninstall --dry-run=client',
    '<%= config.bin %> uninstall --yes --timeout 5m -o json',
  ]
  static override flags = {
    namespace: filledFlag({
      char: 'n',
      description: 'namespace of the agents',
      default: MESH_NAMESPACE,
      env: 'KMESHCTL_MESH_NAMESPACE',
      helpValue: 'NAME',
    }),
    'dry-run': Flags.option({options: DRY_RUNS})({
      description: 'client and server: only say what would go',
      default: 'none',
    }),
    force: Flags.boolean({
      description: 'delete the objects also when a node could not be cleaned in time',
    }),
    timeout: durationFlag({
      description: 'how long the nodes may take, and again their pods to end; exit 5 when it passes',
      default: 180_000,
      defaultHelp: async () => '3m',
    }),
    ...yesFlag,
    ...outputFlags(DOCUMENT_FORMATS),
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const {namespace, 'dry-run': dryRun, timeout, force} = this.flags
    if (dryRun === 'none') requireAnswer('uninstall', this.flags.yes, this.terminal.interactive)
    const deps = {
      kube: await this.kube(),
      clock: this.clock,
      signal: this.signal,
      say: (text: string) => this.say(text),
    }
    const plan = await planUninstall(deps, namespace)
    if (dryRun === 'none' && plan.objects.length > 0) await this.confirmPlan(plan)
    const outcome = await carryOutUninstall(deps, plan, {dryRun, timeoutMs: timeout, force})
    await this.present(installReport(outcome), installView)
  }

  private async confirmPlan({namespace, nodeCount, enrolled}: UninstallPlan): Promise<void> {
    await this.confirm(uninstallQuestion(namespace, nodeCount, enrolled))
  }
}
