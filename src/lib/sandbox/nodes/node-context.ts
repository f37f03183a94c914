// SPDX-License-Identifier: Apache-2.0
/** What everything on one node is given. */
import type {Backend} from '../../model/api.ts'
import type {Clock, Commands, Kube, Log} from '../../ports.ts'
import type {SandboxPaths} from '../state.ts'
import type {Addresses, AddressPlan} from './addresses.ts'
import type {Cgroups} from './cgroups.ts'
import type {Machine} from './machine.ts'
import type {Network} from './network.ts'
import type {Sockets} from './sockets.ts'

export interface NodeContext {
  readonly name: string
  /** 1 and up; part of its addresses. */
  readonly index: number
  readonly addresses: Addresses
  readonly namespacePath: string
  /** Root of the node's cgroups. */
  readonly cgroup: string
  /** The node's directory in the bpffs. */
  readonly bpfDir: string
  readonly plan: AddressPlan
  readonly paths: SandboxPaths
  readonly network: Network
  readonly commands: Commands
  readonly backend: Backend
  readonly sockets: Sockets
  readonly cgroups: Cgroups
  readonly standIns: Machine['standIns']
  readonly kube: Kube
  readonly clock: Clock
  readonly log: Log
  /** Aborted when the whole sandbox goes: nothing is restarted or written any more. */
  readonly stopping: AbortSignal
  /** Command line of `image: sandbox/echo`. */
  readonly echoProgram: readonly string[]
  /** Command line of Istio's image `proxyv2`; undefined where there is no such image. */
  readonly sidecarProgram?: readonly string[]
  /** What `image: kmesh-daemon` runs; undefined where there is no such image. */
  readonly daemonProgram?: string
  /** Environment of every container, before its own: PATH, the sandbox's mark. */
  readonly baseEnvironment: Readonly<Record<string, string>>
}
