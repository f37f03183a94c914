// SPDX-License-Identifier: Apache-2.0
/**
 * A real Kubernetes control plane in place of the sandbox's own API. It runs in the fabric's network namespace, where
 * the kubelets' addresses are; the host and the nodes reach it through relays.
 */
import {arch} from 'node:os'
import {join} from 'node:path'
import type {Commands, Netns} from '../../ports.ts'
import type {ControlPlaneOptions} from '../control-plane.ts'
import {API_CLIENT, accessTo, type ControlPlane, LOCAL_NAMES, NODE_API_PORT} from '../control-plane-access.ts'
import type {AddressPlan} from '../nodes/addresses.ts'
import {makeCgroup} from '../nodes/cgroups.ts'
import {FABRIC} from '../nodes/network.ts'
import {BRIDGE} from '../nodes/topology.ts'
import {createAuthority} from '../pki.ts'
import {namespacePath, type SandboxPaths} from '../state.ts'
import {writeCredentials} from './credentials.ts'
import {controlPlaneAddresses, controlPlaneLines, firstServiceAddresses} from './fabric.ts'
import {findPrograms} from './programs.ts'
import {waitUntilReady} from './ready.ts'
import {listenOn} from './relay.ts'
import {startServers} from './servers.ts'

const PORTS = {api: NODE_API_PORT, etcdClient: 2379, etcdPeer: 2380} as const
/** Of the namespaces where pods look for it. */
const SERVICE_NAMES = ['kubernetes.default', 'kubernetes.default.svc'] as const

export interface RealControlPlaneOptions extends ControlPlaneOptions {
  readonly netns: Netns
  readonly plan: AddressPlan
  readonly paths: SandboxPaths
  readonly commands: Commands
  readonly stopping: AbortSignal
  /** Where the programs are; absolute. */
  readonly directory: string
  /** Environment of the programs: PATH, the sandbox's mark. */
  readonly env: Readonly<Record<string, string>>
}

/**
 * Resolves when the API is ready.
 * @throws KmeshError `ControlPlaneProgram`, `ControlPlaneStart` with the end of the output of what failed
 */
export async function startRealControlPlane(options: RealControlPlaneOptions): Promise<ControlPlane> {
  const {name, plan, paths, commands, clock, log, netns, nodes, stopping} = options
  const programs = findPrograms(options.directory, arch())
  const authority = await createAuthority(`kmeshctl sandbox ${name}`, clock.nowMs())
  const fabric = namespacePath(paths, FABRIC)
  const addresses = controlPlaneAddresses(plan)
  await commands.run({
    file: 'ip',
    args: ['-batch', '-'],
    input: `${controlPlaneLines(plan, BRIDGE, nodes.length).join('\n')}\n`,
    namespacePath: fabric,
  })
  const directory = join(paths.stateDir, 'control-plane')
  const files = await writeCredentials({
    directory,
    authority,
    servingNames: [
      ...LOCAL_NAMES,
      ...SERVICE_NAMES,
      ...addresses,
      ...firstServiceAddresses(options.serviceCidrs),
      ...nodes.flatMap((node) => node.addresses),
    ],
    kubeletClientName: API_CLIENT,
    server: `https://127.0.0.1:${PORTS.api}`,
  })
  const cgroupPath = join(paths.cgroupRoot, 'control-plane')
  makeCgroup(cgroupPath)
  const servers = await startServers({
    ...options,
    programs,
    files,
    ports: PORTS,
    advertiseAddress: addresses[0] ?? '',
    directory,
    outputDir: paths.outputDir,
    place: {namespacePath: fabric, cgroupPath},
  })
  const target = {netns, namespacePath: fabric, port: PORTS.api, log}
  const port = await listenOn(target, {host: '127.0.0.1', port: 0})
  for (const node of nodes) {
    await listenOn(target, {fd: netns.listen(node.networkNamespace, '127.0.0.1', NODE_API_PORT)})
  }
  const access = await accessTo(authority, name, port)
  const client = await authority.issueClient('sandbox-admin', ['system:masters'])
  await waitUntilReady({
    server: access.server,
    authorityPem: authority.certificatePem,
    client,
    clock,
    signal: stopping,
    problem: () => servers.problem(),
  })
  await servers.startClients()
  return {
    ...access,
    needs: {
      scheduler: programs.scheduler === undefined,
      workloads: programs.controllerManager === undefined,
    },
  }
}
