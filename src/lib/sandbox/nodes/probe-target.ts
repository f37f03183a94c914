// SPDX-License-Identifier: Apache-2.0
import {commandLineOf} from './command-line.ts'
import type {ContainerSettings} from './container.ts'
import type {NodeContext} from './node-context.ts'
import type {ProbeTarget} from './probe.ts'

/** What a container's probes ask, and from where. */
export function probeTargetOf(node: NodeContext, settings: ContainerSettings): ProbeTarget {
  const {container, address, cgroup, namespacePath, environment, user, group} = settings
  return {
    // A kubelet asks from the node; in memory only the pod's own place knows its ports.
    namespacePath: node.backend === 'memory' ? namespacePath : node.namespacePath,
    address,
    ports: container.ports,
    sockets: node.sockets,
    execute: async (command, timeoutMs) => {
      const line = commandLineOf({...container, command, args: []}, environment, [])
      const place = {namespacePath, cgroupPath: cgroup, user, group}
      await node.commands.run({...line, ...place, env: environment, timeoutMs})
    },
  }
}
