// SPDX-License-Identifier: Apache-2.0
import {readFileSync, statSync} from 'node:fs'
import {readdir} from 'node:fs/promises'
import {join} from 'node:path'
import {setImmediate} from 'node:timers/promises'
import {KmeshError} from '../errors.ts'
import type {PodNamespace, Proc} from '../ports.ts'

/** Processes looked at before other work gets its turn. */
const TURN_PROCESSES = 100

/** cgroupfs spells `pod<uid>`, systemd `pod<uid with _ for ->.slice`. */
const POD_IN_CGROUP =
  /pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})/

/** The uid in a path of cgroups, as the API spells it. */
export function podUidIn(cgroup: string): string | undefined {
  return POD_IN_CGROUP.exec(cgroup)?.[1]?.replaceAll('_', '-')
}

/** @param directory - `/proc`, or where the host's is mounted */
export function createProc(directory: string): Proc {
  return {
    podNamespaces: async (uids) => {
      const found = new Map<string, PodNamespace>()
      const ofNode = nodeNamespaces(directory)
      const pids = await processes(directory)
      for (const [position, pid] of pids.entries()) {
        if (found.size === uids.size) break
        if (position % TURN_PROCESSES === TURN_PROCESSES - 1) await setImmediate()
        const process = join(directory, String(pid))
        const uid = podOf(join(process, 'cgroup'))
        if (uid === undefined || !uids.has(uid) || found.has(uid)) continue
        const namespace = namespaceOf(process, ofNode)
        if (namespace !== undefined) found.set(uid, namespace)
      }
      return found
    },
    nodeNamespaces: () => nodeNamespaces(directory),
    networkNamespaces: () => networkNamespaces(directory),
    identityOf,
  }
}

function nodeNamespaces(directory: string): Set<string> {
  const paths = [join(directory, 'self/ns/net'), '/proc/self/ns/net', join(directory, '1/ns/net')]
  return new Set(paths.map(identityOf).filter((identity) => identity !== undefined))
}

/** A process that has gone meanwhile is in no pod. */
function podOf(cgroupFile: string): string | undefined {
  try {
    return podUidIn(readFileSync(cgroupFile, 'utf8'))
  } catch {
    return undefined
  }
}

/** Not that of a launcher outside, or of a process that has not yet entered the pod's namespace. */
function namespaceOf(process: string, ofNode: ReadonlySet<string>): PodNamespace | undefined {
  const path = join(process, 'ns/net')
  const identity = identityOf(path)
  return identity === undefined || ofNode.has(identity) ? undefined : {path, identity}
}

function identityOf(path: string): string | undefined {
  try {
    const {dev, ino} = statSync(path, {bigint: true})
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}

async function processes(directory: string): Promise<number[]> {
  const pids = (await readdir(directory)).filter((name) => /^\d+$/.test(name)).map(Number)
  return pids.sort((a, b) => a - b)
}

async function networkNamespaces(directory: string): Promise<readonly PodNamespace[]> {
  const found = new Map<string, PodNamespace>()
  const add = (path: string): void => {
    const identity = identityOf(path)
    if (identity !== undefined && !found.has(identity)) found.set(identity, {path, identity})
  }
  for (const [position, pid] of (await processes(directory)).entries()) {
    if (position % TURN_PROCESSES === TURN_PROCESSES - 1) await setImmediate()
    add(join(directory, String(pid), 'ns/net'))
  }
  for (const {identity, mount} of namespaceMounts(join(directory, '1/mountinfo'))) {
    if (!found.has(identity)) found.set(identity, {path: visiblePath(directory, mount, identity), identity})
  }
  return [...found.values()]
}

/**
 * `36 35 0:4 net:[4026532281] /run/netns/a rw - nsfs nsfs rw`: so runtimes keep a namespace before it has a process.
 * The device has major number 0, so its number is the minor one.
 */
function namespaceMounts(mountInfoFile: string): {readonly identity: string; readonly mount: string}[] {
  const mounts = readFileSync(mountInfoFile, 'utf8').matchAll(/^\d+ \d+ 0:(\d+) net:\[(\d+)\] (\S+) /gm)
  return [...mounts].map(([, device, inode, mount = '']) => ({
    identity: `${device}:${inode}`,
    mount: mount.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8))),
  }))
}

/** As process 1 sees it, else as we do. @throws KmeshError where neither leads there */
function visiblePath(directory: string, mount: string, identity: string): string {
  const path = [join(directory, '1/root', mount), mount].find((one) => identityOf(one) === identity)
  if (path === undefined)
    throw new KmeshError(`the network namespace mounted on ${mount} cannot be looked into`, {
      code: 'HiddenNamespace',
      hints: ["the agent needs the node's process ids and CAP_SYS_PTRACE"],
    })
  return path
}
