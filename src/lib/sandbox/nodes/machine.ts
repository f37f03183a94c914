// SPDX-License-Identifier: Apache-2.0
/** What nodes stand on: the kernel of this machine, or nothing but its processes. */
import type {Backend} from '../../model/api.ts'
import type {Clock, Commands, Netns} from '../../ports.ts'
import type {SandboxPaths} from '../state.ts'
import type {AddressPlan} from './addresses.ts'
import {type Cgroups, kernelCgroups} from './cgroups.ts'
import {createMemoryMachine} from './memory-machine.ts'
import {createNetwork, type Network} from './network.ts'
import {namespaceSockets, type Sockets} from './sockets.ts'

export interface Machine {
  readonly backend: Backend
  /** Starts containers; in memory namespaces, cgroups and users are left out. */
  readonly commands: Commands
  readonly sockets: Sockets
  readonly cgroups: Cgroups
  readonly network: Network
  /** Undefined where nodes have no network of their own. */
  readonly netns: Netns | undefined
  /** Path of a node's cgroup, or what stands for it. */
  nodeCgroup(node: string): string
  /**
   * For a container that is about to start in `place`: environment variables that name the ports of this machine
   * which stand in for `ports`. None where the ports are its own.
   */
  standIns(place: string, ports: readonly number[]): Promise<Readonly<Record<string, string>>>
}

export interface MachineOptions {
  readonly commands: Commands
  readonly clock: Clock
  readonly paths: SandboxPaths
  readonly plan: AddressPlan
  /** Undefined: backend memory. */
  readonly netns: Netns | undefined
  /** SIGKILL for a process group; no error where it is gone. */
  readonly killGroup: (pid: number) => void
}

export function createMachine(options: MachineOptions): Machine {
  const {commands, clock, paths, plan, netns} = options
  if (netns === undefined) return createMemoryMachine(options)
  return {
    backend: 'kernel',
    commands,
    netns,
    sockets: namespaceSockets(netns),
    cgroups: kernelCgroups(clock),
    network: createNetwork(commands, paths, plan),
    nodeCgroup: (node) => `${paths.cgroupRoot}/${node}`,
    standIns: async () => ({}),
  }
}
