// SPDX-License-Identifier: Apache-2.0
import {Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {
  allNamespacesFlag,
  durationFlag,
  kubeFlags,
  meshFlags,
  namespaceFlag,
  outputFlags,
  selectorFlag,
} from '../../lib/cli/flags.ts'
import {openInformers} from '../../lib/cli/wiring.ts'
import {UsageError} from '../../lib/errors.ts'
import {kubeOf} from '../../lib/ops/daemons.ts'
import {daemonTargets} from '../../lib/ops/enroll-facts.ts'
import {
  INTEROP_VIEWS,
  type InteropBy,
  type InteropDeps,
  type InteropRequest,
  interopStatus,
} from '../../lib/ops/interop.ts'
import {interopEvents} from '../../lib/ops/interop-watch.ts'
import {STREAM_FORMATS} from '../../lib/render/formats.ts'
import {changeLine, interopClusterView, interopServiceView, interopView} from '../../lib/render/interop.ts'

export default class InteropStatus extends BaseCommand<typeof InteropStatus> {
  static override summary = 'Show who has the traffic of each pod: Kmesh, a sidecar, ambient or nobody'
  static override description =
    'INTENT is what the labels ask for, NOW who has the pod, SOURCE where that is known from: the kernel as the daemon tells it, or else the annotation. Exit status 0 whatever it finds.'
  static override examples = [
    '<%= config.bin %> interop status -n shop',
    '<%= config.bin %> interop status -A --by service',
    '<%= config.bin %> interop status -n shop -w',
    '<%= config.bin %> interop status -A --by service -w -o jsonl',
    '<%= config.bin %> interop status -A -o json',
  ]
  static override flags = {
    ...namespaceFlag,
    ...allNamespacesFlag,
    ...selectorFlag,
    by: Flags.option({options: INTEROP_VIEWS})({
      description: 'one line for each: pods below their namespaces, namespaces, services, or the sums of all',
      default: 'pod',
    }),
    watch: Flags.boolean({
      char: 'w',
      description: 'go on and show what changes, until Ctrl-C; -o table or jsonl',
    }),
    interval: durationFlag({
      description: 'with --watch: how often the daemons are asked',
      default: 3000,
      defaultHelp: async () => '3s',
    }),
    ...outputFlags(STREAM_FORMATS),
    ...meshFlags,
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    this.checkWatch()
    const access = await this.daemonAccess()
    const {dialer, clock, signal, concurrency} = access
    const deps = {kube: kubeOf(access), dialer, clock, signal}
    const request: InteropRequest = {
      namespace: this.flags['all-namespaces'] ? undefined : await this.namespace(),
      selector: this.flags.selector,
      by: this.flags.by,
      findDaemons: () => daemonTargets(access),
      concurrency,
    }
    if (this.flags.watch) return this.follow(deps, request)
    const report = await interopStatus(deps, request)
    await this.present(report, VIEWS[this.flags.by])
  }

  private checkWatch(): void {
    if (!this.flags.watch) return
    if (this.format !== 'table' && this.format !== 'jsonl') {
      throw new UsageError(`--watch has no end, which -o ${this.format} would need`, {
        hints: ['use -o jsonl or the table'],
      })
    }
    if (this.flags.interval <= 0) throw new UsageError('--interval must be more than 0')
  }

  private async follow(deps: InteropDeps, request: InteropRequest): Promise<void> {
    const informers = await openInformers(deps.kube, deps.clock, this.logger)
    const events = interopEvents(
      {...deps, informers},
      {...request, intervalMs: this.flags.interval, onNote: (text) => this.say(text)},
    )
    for await (const changes of events) {
      const nowMs = this.clock.nowMs()
      for (const {type, item} of changes) {
        if (this.format === 'jsonl') await this.emit(type, item)
        else await this.terminal.out(changeLine(type, item, nowMs, this.terminal.colorOut))
      }
    }
  }
}

const VIEWS: Readonly<Record<InteropBy, typeof interopView>> = {
  pod: interopView,
  namespace: interopView,
  service: interopServiceView,
  cluster: interopClusterView,
}
