// SPDX-License-Identifier: Apache-2.0
import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {durationFlag, filledFlag, kubeFlags, outputFlags, yesFlag} from '../lib/cli/flags.ts'
import {installSettings, requireAnswer} from '../lib/cli/install-settings.ts'
import {installReport} from '../lib/model/install-report.ts'
import {manifestsOf} from '../lib/model/manifests.ts'
import {MESH_NAMESPACE} from '../lib/model/manifests-settings.ts'
import {DRY_RUNS} from '../lib/model/plan-result.ts'
import {carryOutInstall, type InstallPlan, itemOf, planInstall} from '../lib/ops/install.ts'
import {DOCUMENT_FORMATS, FORMATS} from '../lib/render/formats.ts'
import {manifestsJson, manifestsYaml} from '../lib/render/manifests.ts'
import {renderTable} from '../lib/render/table.ts'
import {installQuestion, installView} from '../lib/render/views-install.ts'

const AGENT = 'AGENT'
const NODE_PATHS = 'PATHS OF THE NODES'

export default class Install extends BaseCommand<typeof Install> {
  static override summary = 'Put Kmesh into the cluster, or change how it is there'
  static override description =
    'Namespace, account, roles and one agent a node; deploy/ has the same as files. Lets the API server check everything first, writes only what differs, and waits until each node has a ready agent.'
  static override examples = [
    '<%= config.bin %> install --image registry.example/kmesh-daemon:v1',
    '<%= config.bin %> install --dry-run=client > kmesh.yaml',
    '<%= config.bin %> install --dry-run=server -o wide',
    '<%= config.bin %> install --node-selector mesh=yes --existing-pods untouched --yes',
  ]
  static override flags = {
    image: filledFlag({
      description: 'image of the agents (default: kmesh-daemon:v<this version>, see deploy/Dockerfile)',
      env: 'KMESHCTL_IMAGE',
      helpValue: 'IMAGE',
    }),
    'image-pull-policy': Flags.option({options: ['Always', 'IfNotPresent', 'Never'] as const})({
      description: 'when nodes fetch it',
      default: 'IfNotPresent',
    }),
    'image-pull-secret': Flags.string({
      description: 'Secret of the namespace with credentials for it (repeatable)',
      helpValue: 'NAME',
      multiple: true,
      multipleNonGreedy: true,
    }),
    namespace: filledFlag({
      char: 'n',
      description: 'namespace of the agents',
      default: MESH_NAMESPACE,
      env: 'KMESHCTL_MESH_NAMESPACE',
      helpValue: 'NAME',
    }),
    'node-selector': Flags.string({
      description: 'only nodes with this label, KEY=VALUE (repeatable)',
      helpValue: 'LABEL',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'dry-run': Flags.option({options: DRY_RUNS})({
      description: 'client: print the manifests; server: let the API server check, store nothing',
      default: 'none',
    }),
    overwrite: Flags.boolean({
      description: 'take over objects that kmeshctl did not make (without it: code Conflict, exit 7)',
    }),
    wait: Flags.boolean({
      description: 'wait until each node has a ready agent',
      default: true,
      allowNo: true,
    }),
    timeout: durationFlag({
      description: 'how long to wait; exit 5 when it passes',
      default: 180_000,
      defaultHelp: async () => '3m',
    }),
    'existing-pods': Flags.option({options: ['live', 'untouched'] as const})({
      description: 'do namespace labels act on running pods',
      default: 'live',
      helpGroup: AGENT,
    }),
    'sidecar-policy': Flags.option({options: ['bypass', 'exclude'] as const})({
      description: 'labelled pods with a sidecar: enrolled without it, or left to it',
      default: 'bypass',
      helpGroup: AGENT,
    }),
    cni: Flags.boolean({
      description: 'enroll pods before their first packet, by a CNI plugin',
      default: true,
      allowNo: true,
      helpGroup: AGENT,
    }),
    'failure-policy': Flags.option({options: ['fail', 'ignore'] as const})({
      description: 'does a pod that would be enrolled start while the agent is away',
      default: 'fail',
      helpGroup: AGENT,
    }),
    'log-level': filledFlag({
      description: 'of the agents',
      default: 'info',
      helpGroup: AGENT,
      helpValue: 'LEVEL',
    }),
    set: Flags.string({
      description: 'any further option of kmesh-daemon, NAME or NAME=VALUE (repeatable)',
      helpGroup: AGENT,
      helpValue: 'OPTION',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'cni-etc-path': pathFlag('/etc/cni/net.d', 'conflists'),
    'cni-bin-path': pathFlag('/opt/cni/bin', 'CNI plugins'),
    'conflist-name': filledFlag({
      description: 'the conflist to join (default: the lexically first usable one)',
      helpGroup: NODE_PATHS,
      helpValue: 'FILE',
    }),
    'cgroup2-path': pathFlag('/sys/fs/cgroup', 'cgroup v2'),
    'bpf-fs-path': pathFlag('/sys/fs/bpf', 'BPF file system'),
    'state-dir': pathFlag('/var/lib/kmesh', 'what outlives the agent'),
    'run-dir': pathFlag('/var/run/kmesh', 'socket and logs'),
    ...yesFlag,
    ...outputFlags(DOCUMENT_FORMATS),
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const settings = installSettings(this.flags, this.config.version)
    const {'dry-run': dryRun, overwrite, wait, timeout} = this.flags
    if (dryRun === 'client') return this.print(manifestsOf(settings))
    if (dryRun === 'none') requireAnswer('install', this.flags.yes, this.terminal.interactive)
    const deps = {
      kube: await this.kube(),
      clock: this.clock,
      signal: this.signal,
      say: (text: string) => this.say(text),
    }
    const plan = await planInstall(deps, settings, overwrite)
    if (dryRun === 'none') await this.confirmPlan(plan)
    const outcome = await carryOutInstall(deps, plan, {dryRun, timeoutMs: wait ? timeout : null})
    await this.present(installReport(outcome), installView)
  }

  private async print(manifests: ReturnType<typeof manifestsOf>): Promise<void> {
    if (this.format === 'name') {
      const names = manifests.map(({object}) => `${object.kind.toLowerCase()}/${object.metadata.name}\n`)
      return this.terminal.out(names.join(''))
    }
    const text = this.format === 'json' ? manifestsJson(manifests) : manifestsYaml(manifests)
    await this.terminal.out(text)
  }

  /** Shows what would be written before it asks; nothing to write is nothing to ask. */
  private async confirmPlan({objects, settings, warnings}: InstallPlan): Promise<void> {
    const items = objects.map((object) => itemOf(object, 'planned'))
    const isRefused = items.some(({state}) => state === 'refused')
    if (this.flags.yes || isRefused || !items.some(({state}) => state === 'planned')) return
    const style = {color: this.terminal.colorErr, wide: true, headers: true}
    if (!FORMATS[this.format].machine) {
      this.terminal.err(await renderTable(installView.columns, items, style))
      for (const warning of warnings) this.say(`warning: ${warning.message}`)
    }
    await this.confirm(installQuestion(settings.namespace, items))
  }
}

function pathFlag(path: string, what: string) {
  return filledFlag({description: what, default: path, helpGroup: NODE_PATHS, helpValue: 'DIR'})
}
