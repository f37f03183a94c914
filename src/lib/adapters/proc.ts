// SPDX-License-Identifier: Apache-2.0
import {readFileSync, statSync} from 'node:fs'
import {readdir} from 'node:fs/promises'
import {join} from 'node:path'
import {setImmediate} from 'node:timers/promises'
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
      const pids = (await readdir(directory)).filter((name) => /^\d+$/.test(name)).map(Number)
      pids.sort((a, b) => a - b)
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
