// SPDX-License-Identifier: Apache-2.0
import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {allNamespacesFlag, kubeFlags, meshFlags, namespaceFlag, outputFlags} from '../../lib/cli/flags.ts'
import {UsageError} from '../../lib/errors.ts'
import {parseSubject} from '../../lib/model/check-subject.ts'
import type {CheckItem} from '../../lib/model/interop-check.ts'
import {kubeOf} from '../../lib/ops/daemons.ts'
import {daemonTargets} from '../../lib/ops/enroll-facts.ts'
import {hasFindings, interopCheck} from '../../lib/ops/interop-check.ts'
import {DOCUMENT_FORMATS, type View} from '../../lib/render/formats.ts'
import {checkView} from '../../lib/render/interop-check.ts'

export default class InteropCheck extends BaseCommand<typeof InteropCheck> {
  static override summary = 'Predict which connections work between Kmesh, sidecars and plain pods'
  static override description =
    'From who has the traffic of each pod now, and from the PeerAuthentications and DestinationRules of Istio. Without CLIENT every pod of the namespace is one, without SERVER every service; then only what does not surely work is listed, and the sums count the rest; -o html writes one self-contained page with every pair. What may not be read is unknown, never assumed. Exit status 3 for verdicts as bad as --fail-on.'
  static override examples = [
    '<%= config.bin %> interop check -n shop',
    '<%= config.bin %> interop check deploy/web shop/svc/cart',
    '<%= config.bin %> interop check -A --fail-on=fails -o json',
    '<%= config.bin %> interop check -A -o html > interop.html',
  ]
  static override args = {
    client: Args.string({description: 'POD, deploy/NAME, ns/NAME, or NAMESPACE/KIND/NAME'}),
    server: Args.string({description: 'the same, or svc/NAME'}),
  }
  static override flags = {
    ...namespaceFlag,
    ...allNamespacesFlag,
    show: Flags.option({options: ['all', 'findings'] as const})({
      description: 'list every pair, or only those that do not surely work',
    }),
    'fail-on': Flags.option({options: ['unknown', 'depends', 'fails', 'never'] as const})({
      description: 'exit with 3 for this verdict and worse ones',
      default: 'depends',
    }),
    ...outputFlags([...DOCUMENT_FORMATS, 'html']),
    ...meshFlags,
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const {client, server} = this.args
    const everywhere = this.flags['all-namespaces']
    const namespace = await this.namespace()
    const access = await this.daemonAccess()
    const {dialer, clock, signal, concurrency} = access
    const subject = client === undefined ? undefined : parseSubject(client, namespace)
    if (subject?.kind === 'service') throw new UsageError(`a service calls nobody: '${client}' is no client`)
    const isBroad = client === undefined && server === undefined
    const report = await interopCheck(
      {kube: kubeOf(access), dialer, clock, signal},
      {
        client: subject,
        server: server === undefined ? undefined : parseSubject(server, namespace),
        namespace: everywhere ? undefined : namespace,
        show: this.flags.show ?? (isBroad && this.format !== 'html' ? 'findings' : 'all'),
        findDaemons: () => daemonTargets(access),
        concurrency,
      },
    )
    const from = client ?? (everywhere ? 'every pod' : `namespace ${namespace}`)
    const place = {...(await this.place()), asked: `from ${from} to ${server ?? 'every service'}`}
    const view: View<CheckItem> = {
      ...checkView,
      // The page is large and wanted seldom.
      html: async (found, nowMs) =>
        (await import('../../lib/render/html/page.ts')).checkPage(found, place, nowMs),
    }
    await this.present(report, view, {findings: hasFindings(report, this.flags['fail-on'])})
  }
}
