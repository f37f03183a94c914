// SPDX-License-Identifier: Apache-2.0
import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {kubeFlags, meshFlags, namespaceFlag, outputFlags} from '../lib/cli/flags.ts'
import {parseClient, parsePathSubject} from '../lib/model/path-subject.ts'
import {kubeOf} from '../lib/ops/daemons.ts'
import {daemonTargets} from '../lib/ops/enroll-facts.ts'
import {findPath, hasPathFindings, withTrace} from '../lib/ops/path.ts'
import {FORMATS} from '../lib/render/formats.ts'
import {pathPieces, pathView} from '../lib/render/views-path.ts'
import {connectFromPod, sandboxOfServer} from '../lib/sandbox/connect.ts'

const TRACED_CONNECTIONS = 6

export default class Path extends BaseCommand<typeof Path> {
  static override summary = 'Show what becomes of a connection from a pod, hop by hop'
  static override description =
    "From the kernel's own tables on the pod's node, each hop compared with what Kubernetes says: managed, frontend, service, priority, endpoints, backend, port, waypoint, authorization, and what receives. Stale and missing entries are named. Exit status 3 when something differs or the connection fails."
  static override examples = [
    '<%= config.bin %> path web-1 cart -n shop',
    '<%= config.bin %> path shop/web-1 shop/cart:http --family 6',
    '<%= config.bin %> path shop/web-1 10.96.0.10:80 -o json',
    '<%= config.bin %> path shop/web-1 cart --trace',
  ]
  static override args = {
    client: Args.string({description: '[NAMESPACE/]POD that connects', required: true}),
    server: Args.string({
      description: '[NAMESPACE/]SERVICE[:PORT], IP:PORT or [IPV6]:PORT',
      required: true,
    }),
  }
  static override flags = {
    family: Flags.option({options: ['4', '6'] as const})({
      description: "address family of the service (default: the pod's first)",
    }),
    trace: Flags.boolean({
      description: `connect ${TRACED_CONNECTIONS} times for real, in a sandbox, and compare`,
    }),
    ...namespaceFlag,
    ...outputFlags(['table', 'wide', 'json', 'yaml', 'jsonl']),
    ...meshFlags,
    ...kubeFlags,
  }

  protected async execute(): Promise<void> {
    const namespace = await this.namespace()
    const client = parseClient(this.args.client, namespace)
    const subject = parsePathSubject(this.args.server, client.namespace)
    const access = await this.daemonAccess()
    const {dialer, clock, signal, concurrency} = access
    const kube = kubeOf(access)
    const sandbox = this.flags.trace ? sandboxOfServer(kube.server) : undefined
    const family = this.flags.family === undefined ? undefined : this.flags.family === '4' ? 4 : 6
    const predicted = await findPath(
      {kube, dialer, clock, signal},
      {client, subject, family, findDaemons: () => daemonTargets(access), concurrency},
    )
    const report =
      sandbox === undefined
        ? predicted
        : await withTrace(predicted, ({client: {namespace, name: pod}, destination: {address, port}}) =>
            connectFromPod(sandbox, {namespace, pod, address, port, count: TRACED_CONNECTIONS}),
          )
    const findings = hasPathFindings(report)
    if (FORMATS[this.format].machine) return this.present(report, pathView, {findings})
    const pieces = pathPieces(report.items, {...this.renderContext, wide: this.format === 'wide'})
    await this.presentPieces(pieces, report.items.length, report, pathView, {findings})
  }
}
