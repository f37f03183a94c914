// SPDX-License-Identifier: Apache-2.0
/**
 * Nodes without namespaces and cgroups: containers are ordinary processes of the
 * user, each the leader of a process group; addresses of pods and nodes are only
 * written into objects, nobody listens there.
 */
import {createServer} from 'node:net'
import type {Clock, Commands, RunningProcess} from '../../ports.ts'
import type {Cgroups} from './cgroups.ts'
import type {Machine, MachineOptions} from './machine.ts'
import {LoopbackSockets, portOf} from './sockets.ts'

const POLL_MS = 10
const PREFIX = 'memory:'
/** Environment variable of a container that names the port of this machine in place of its own. */
const STAND_IN = 'KMESHCTL_PORT_'

export function standInName(port: number): string {
  return `${STAND_IN}${port}`
}

export function createMemoryMachine({commands, clock, killGroup}: MachineOptions): Machine {
  const sockets = new LoopbackSockets()
  const groups = new ProcessGroups(commands, clock, killGroup)
  return {
    backend: 'memory',
    netns: undefined,
    commands: groups.commands,
    cgroups: groups,
    sockets,
    network: {
      build: async () => {},
      nodeNamespace: (node) => `${PREFIX}${node}`,
      podNamespace: ({namespace, name, uid}) => `${PREFIX}${namespace}/${name}/${uid.slice(0, 8)}`,
      addPod: async () => {},
      removePod: async () => {},
    },
    nodeCgroup: (node) => `${PREFIX}${node}`,
    standIns: async (place, ports) => {
      const free = await freePorts(ports.length)
      const pairs = ports.map((port, index) => [port, free[index] ?? 0] as const)
      for (const [port, realPort] of pairs) sockets.map(place, port, realPort)
      return Object.fromEntries(pairs.map(([port, realPort]) => [standInName(port), String(realPort)]))
    },
  }
}

/** Ports that nobody listened on a moment ago. Who loses one to somebody else ends, and gets others when restarted. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({length: count}, () => createServer())
  try {
    return await Promise.all(
      servers.map(
        (server) =>
          new Promise<number>((resolve, reject) => {
            server.once('error', reject)
            server.listen({host: '127.0.0.1', port: 0}, () => resolve(portOf(server)))
          }),
      ),
    )
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}

interface Group {
  readonly cgroup: string
  readonly pid: number
  hasEnded: boolean
}

/** What was started "in" a cgroup is a process group. */
class ProcessGroups implements Cgroups {
  readonly commands: Commands
  readonly #groups = new Set<Group>()
  readonly #clock: Clock
  readonly #killGroup: (pid: number) => void

  constructor(commands: Commands, clock: Clock, killGroup: (pid: number) => void) {
    this.#clock = clock
    this.#killGroup = killGroup
    this.commands = {
      run: (request) => commands.run(withoutPlace(request)),
      start: async (request) => {
        const running = await commands.start(withoutPlace(request))
        if (request.cgroupPath !== undefined) this.#add(request.cgroupPath, running)
        return running
      },
    }
  }

  make(): void {}

  /** Also what a leader that has ended left running in its group. */
  kill(path: string): void {
    for (const group of this.#below(path)) {
      this.#killGroup(group.pid)
      if (group.hasEnded) this.#groups.delete(group)
    }
  }

  async remove(path: string, timeoutMs: number): Promise<boolean> {
    const end = this.#clock.monotonicMs() + timeoutMs
    for (;;) {
      this.kill(path)
      if (this.#below(path).length === 0) return true
      if (this.#clock.monotonicMs() > end) return false
      await this.#clock.sleep(POLL_MS)
    }
  }

  #add(cgroup: string, running: RunningProcess): void {
    const group = {cgroup, pid: running.pid, hasEnded: false}
    this.#groups.add(group)
    const ended = (): void => {
      group.hasEnded = true
    }
    running.exited.then(ended, ended)
  }

  #below(path: string): Group[] {
    return [...this.#groups].filter(({cgroup}) => cgroup === path || cgroup.startsWith(`${path}/`))
  }
}

interface Place {
  readonly namespacePath?: string | undefined
  readonly cgroupPath?: string | undefined
  readonly user?: number | undefined
  readonly group?: number | undefined
}

function withoutPlace<T extends Place>(request: T): Omit<T, keyof Place> {
  const {namespacePath: _namespace, cgroupPath: _cgroup, user: _user, group: _group, ...rest} = request
  return rest
}
