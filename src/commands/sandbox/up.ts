// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs'
import {resolve} from 'node:path'
import {Flags} from '@oclif/core'
import {outputFlags} from '../../lib/cli/flags.ts'
import {SandboxCommand} from '../../lib/cli/sandbox-command.ts'
import {sandboxFlags} from '../../lib/cli/sandbox-flags.ts'
import {messageOf, UsageError} from '../../lib/errors.ts'
import {createObjects, lookAtSandbox, startSandbox} from '../../lib/sandbox/client.ts'
import {parseManifests} from '../../lib/sandbox/manifests.ts'
import {MAX_NODES} from '../../lib/sandbox/nodes/addresses.ts'
import {findPrograms} from '../../lib/sandbox/real-control-plane/programs.ts'
import {NO_CONTROL_PLANE} from '../../lib/sandbox/run.ts'
import {checkName} from '../../lib/sandbox/state.ts'
import {requireKernel} from '../../lib/sandbox/where.ts'

export default class SandboxUp extends SandboxCommand<typeof SandboxUp> {
  static override summary = 'Start a cluster on this machine: nodes and pods in network namespaces, real eBPF'
  static override description =
    'Backend kernel needs root on Linux; backend memory needs neither, and has the same API and daemons whose maps are in memory: no connection is redirected. Without -f and --empty there is a namespace shop with a client, a server and a service. A sandbox that is up already is left as it is (exit status 0).'
  static override examples = [
    '<%= config.bin %> sandbox up',
    '<%= config.bin %> sandbox up --nodes 3 --ip-family dual',
    '<%= config.bin %> sandbox up -f app.yaml',
    '<%= config.bin %> sandbox up --control-plane /usr/local/kubebuilder/bin',
  ]
  static override flags = {
    ...sandboxFlags,
    backend: Flags.option({options: ['kernel', 'memory'] as const})({
      description: 'what the nodes are made of; memory routes nothing',
      default: 'kernel',
    }),
    nodes: Flags.integer({description: 'number of nodes', default: 2, min: 1, max: MAX_NODES}),
    'ip-family': Flags.option({options: ['ipv4', 'ipv6', 'dual'] as const})({
      description: 'address families of pods, services and nodes',
      default: 'dual',
    }),
    filename: Flags.string({
      char: 'f',
      description: 'manifests to create instead of the shop (repeatable)',
      helpValue: 'FILE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    empty: Flags.boolean({description: 'no namespace shop'}),
    'without-daemon': Flags.string({
      description: 'node that gets no kmesh-daemon, such as node-2 (repeatable)',
      helpValue: 'NODE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'no-daemon': Flags.boolean({
      description: 'nothing of Kmesh at all: then `kmeshctl install` brings it',
      exclusive: ['without-daemon'],
    }),
    istio: Flags.boolean({
      description: "Istio's PeerAuthentication and DestinationRule, for sidecars that `sandbox inject` adds",
    }),
    'control-plane': Flags.directory({
      description: 'folder with etcd and kube-apiserver, to run instead of the built-in API',
      helpValue: 'DIR',
      env: 'KUBEBUILDER_ASSETS',
    }),
    ...outputFlags(['table', 'json', 'yaml'] as const),
  }

  protected async execute(): Promise<void> {
    const {
      nodes,
      backend,
      empty,
      filename = [],
      'ip-family': ipFamily,
      'without-daemon': withoutDaemon = [],
      'no-daemon': withoutMesh,
      'control-plane': programs,
      istio: withIstio,
    } = this.flags
    const name = checkName(this.flags.name)
    const objects = filename.flatMap((file) => parseManifests(readManifest(file), file))
    for (const node of withoutDaemon) {
      const number = /^node-([1-9]\d*)$/.exec(node)?.[1]
      if (number === undefined || Number(number) > nodes) {
        throw new UsageError(`--without-daemon: there will be no ${node}, only node-1 to node-${nodes}`)
      }
    }
    if (backend === 'kernel') await requireKernel()
    else if (programs !== undefined) {
      throw new UsageError(`--backend memory: ${NO_CONTROL_PLANE}`, {
        parameter: 'control-plane',
        hints: ['unset KUBEBUILDER_ASSETS where it stands there'],
      })
    }
    const controlPlane = programs === undefined ? undefined : resolve(programs)
    if (controlPlane !== undefined) findPrograms(controlPlane, process.arch)
    const withShop = !empty && filename.length === 0
    const started = await startSandbox(
      {name, backend, nodes, ipFamily, withShop, withoutDaemon, withoutMesh, withIstio, controlPlane},
      {say: (message) => this.say(message), signal: this.signal},
    )
    if (!started) this.say(`sandbox ${name} is up already; nothing was changed`)
    else if (objects.length > 0) await createObjects(name, objects, this.logger)
    const status = await lookAtSandbox(name, this.logger)
    await this.show(name, status)
    this.say(`export KUBECONFIG=${status?.kubeconfig}`)
  }
}

function readManifest(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`-f: cannot read ${file}: ${messageOf(error)}`, {
      parameter: 'filename',
      cause: error,
    })
  }
}
