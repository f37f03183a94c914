// SPDX-License-Identifier: Apache-2.0
import {Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {
  allNamespacesFlag,
  kubeFlags,
  meshFlags,
  namespaceFlag,
  outputFlags,
  selectorFlag,
} from '../../lib/cli/flags.ts'
import {kubeOf} from '../../lib/ops/daemons.ts'
import {daemonTargets} from '../../lib/ops/enroll-facts.ts'
import {INTEROP_VIEWS, type InteropBy, interopStatus} from '../../lib/ops/interop.ts'
import {DOCUMENT_FORMATS} from '../../lib/render/formats.ts'
import {interopClusterView, interopServiceView, interopView} from '../../lib/render/interop.ts'

export default class InteropStatus extends BaseCommand<typeof InteropStatus> {
  static override summary = 'Show who has the traffic of each pod: Kmesh, a sidecar, ambient or nobody'
  static override description =
    'INTENT is what the labels ask for, NOW who has the pod, SOURCE where that is known from: the kernel as the daemon tells it, or else the annotation. Exit status 0 whatever it finds.'
  static override examples = [
    '<%= config.bin %> interop status -n shop',
    '<%= config.bin %> interop status -A --by service',
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
    ...outputFlags(DOCUMENT_FORMATS),
    ...meshFlags,
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const access = await this.daemonAccess()
    const {dialer, clock, signal, concurrency} = access
    const report = await interopStatus(
      {kube: kubeOf(access), dialer, clock, signal},
      {
        namespace: this.flags['all-namespaces'] ? undefined : await this.namespace(),
        selector: this.flags.selector,
        by: this.flags.by,
        findDaemons: () => daemonTargets(access),
        concurrency,
      },
    )
    await this.present(report, VIEWS[this.flags.by])
  }
}

const VIEWS: Readonly<Record<InteropBy, typeof interopView>> = {
  pod: interopView,
  namespace: interopView,
  service: interopServiceView,
  cluster: interopClusterView,
}
