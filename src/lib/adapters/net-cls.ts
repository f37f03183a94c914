// SPDX-License-Identifier: Apache-2.0
/** The PodClasses port on cgroup v1: `net_cls.classid` of the cgroups of pods, for both cgroup drivers. */
import {existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {KmeshError, messageOf} from '../errors.ts'
import type {PodClasses} from '../ports.ts'
import {podUidIn} from './proc.ts'

const FILE = 'net_cls.classid'
/** `kubelet/kubepods.slice/kubepods-burstable.slice/pod...` is the deepest that is in use. */
const DEEPEST_POD = 5
const NO_CLASS = 0

/** @param directory - where cgroup v1 net_cls is mounted, or would be */
export function createPodClasses(directory: string): PodClasses {
  const known = new Map<string, string>()
  const cgroupOf = (uid: string): string | undefined => {
    const before = known.get(uid)
    if (before !== undefined && existsSync(before)) return before
    const found = findPod(directory, uid, DEEPEST_POD)
    if (found === undefined) known.delete(uid)
    else known.set(uid, found)
    return found
  }
  return {
    requireAvailable: () => {
      if (!existsSync(join(directory, FILE))) throw notMounted(directory)
    },
    get: (uid) => {
      const cgroup = cgroupOf(uid)
      return cgroup === undefined ? undefined : read(cgroup)
    },
    put: (uid, classid) => {
      const cgroup = cgroupOf(uid)
      if (cgroup === undefined) return false
      refuseForeign(cgroup, classid)
      put(cgroup, classid)
      return true
    },
    take: (uid, classid) => {
      const cgroup = cgroupOf(uid)
      return cgroup !== undefined && take(cgroup, classid)
    },
  }
}

function notMounted(directory: string): KmeshError {
  return new KmeshError(`${directory} is no cgroup v1 hierarchy of net_cls`, {
    code: 'NoNetCls',
    hints: [`mount -t cgroup -o net_cls net_cls ${directory}`, 'or use --identity netns'],
  })
}

function findPod(directory: string, uid: string, levels: number): string | undefined {
  for (const name of childrenOf(directory)) {
    const path = join(directory, name)
    const pod = podUidIn(name)
    if (pod === uid) return path
    if (pod !== undefined || levels === 1) continue
    const found = findPod(path, uid, levels - 1)
    if (found !== undefined) return found
  }
  return undefined
}

/** Empty where the cgroup has gone meanwhile. */
function childrenOf(cgroup: string): string[] {
  try {
    return readdirSync(cgroup, {withFileTypes: true})
      .filter((entry) => entry.isDirectory())
      .map(({name}) => name)
  } catch (error) {
    if (isGone(error)) return []
    throw classError(cgroup, 'read', error)
  }
}

/** Undefined where the cgroup has gone meanwhile. */
function read(cgroup: string): number | undefined {
  try {
    return Number(readFileSync(join(cgroup, FILE), 'utf8').trim())
  } catch (error) {
    if (isGone(error)) return undefined
    throw classError(cgroup, 'read', error)
  }
}

/** Somebody shapes or filters traffic by it; overwriting it would break that without a word. */
function refuseForeign(cgroup: string, classid: number): void {
  const found = read(cgroup) ?? NO_CLASS
  if (found !== NO_CLASS && found !== classid)
    throw new KmeshError(`${cgroup} has classid 0x${found.toString(16)} of somebody else`, {
      code: 'ForeignClassid',
    })
  for (const name of childrenOf(cgroup)) refuseForeign(join(cgroup, name), classid)
}

/** The parent first: a cgroup that is made meanwhile inherits it. */
function put(cgroup: string, classid: number): void {
  if (read(cgroup) !== classid) write(cgroup, classid)
  for (const name of childrenOf(cgroup)) put(join(cgroup, name), classid)
}

function take(cgroup: string, classid: number): boolean {
  let wasThere = read(cgroup) === classid
  if (wasThere) write(cgroup, NO_CLASS)
  for (const name of childrenOf(cgroup)) wasThere = take(join(cgroup, name), classid) || wasThere
  return wasThere
}

function write(cgroup: string, classid: number): void {
  try {
    writeFileSync(join(cgroup, FILE), `${classid}\n`, {flag: 'r+'})
  } catch (error) {
    if (!isGone(error)) throw classError(cgroup, 'write', error)
  }
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENODEV'
}

function classError(cgroup: string, what: string, error: unknown): KmeshError {
  return new KmeshError(`cannot ${what} the class of ${cgroup}: ${messageOf(error)}`, {
    code: 'Classid',
    cause: error,
  })
}
