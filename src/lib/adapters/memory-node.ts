// SPDX-License-Identifier: Apache-2.0
/**
 * Pods without network namespaces, for an agent whose maps are in memory: every
 * pod has an identity and a cookie made up from its uid.
 */
import {createHash} from 'node:crypto'
import {KmeshError} from '../errors.ts'
import type {Netns, PodClasses, PodNamespace, Proc, SidecarRules} from '../ports.ts'

const PREFIX = 'memory:'

export function memoryProc(): Proc {
  return {
    podNamespaces: async (uids) => new Map([...uids].map((uid) => [uid, namespaceOf(uid)])),
    nodeNamespaces: () => new Set(),
    networkNamespaces: async () => [],
    identityOf: (path) => path,
  }
}

function namespaceOf(uid: string): PodNamespace {
  return {path: `${PREFIX}${uid}`, identity: `${PREFIX}${uid}`}
}

/** Knows cookies only: 8 bytes of the SHA-256 of what {@link memoryProc} gave as path. */
export function memoryNetns(): Netns {
  const refuse = (what: string) => (): never => {
    throw new KmeshError(`there are no network namespaces in memory, so ${what}`, {code: 'MemoryBackend'})
  }
  return {
    cookie: (path) => createHash('sha256').update(path).digest().readBigUInt64LE(0),
    within: refuse('nothing runs inside one'),
    socket: refuse('no socket is made inside one'),
    listen: refuse('nobody listens inside one'),
  }
}

/** Every pod has a cgroup. */
export function memoryClasses(): PodClasses {
  const classes = new Map<string, number>()
  return {
    requireAvailable: () => undefined,
    get: (uid) => classes.get(uid) ?? 0,
    put: (uid, classid) => {
      classes.set(uid, classid)
      return true
    },
    take: (uid, classid) => classes.get(uid) === classid && classes.delete(uid),
  }
}

/** No sidecar redirects anything; rules that were put stand until they are removed. */
export function memorySidecarRules(): SidecarRules {
  const paths = new Set<string>()
  const stateOf = (path: string) =>
    ({redirection: 'none', complete: paths.has(path), present: paths.has(path)}) as const
  return {
    look: async (path) => stateOf(path),
    put: async (path) => {
      paths.add(path)
      return stateOf(path)
    },
    remove: async (path) => void paths.delete(path),
  }
}
