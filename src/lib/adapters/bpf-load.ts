// SPDX-License-Identifier: Apache-2.0
/** Brings an object into the kernel: maps adopted or pinned, programs attached or swapped, all or nothing. */
import {closeSync, openSync, statfsSync, statSync} from 'node:fs'
import {KernelError, KmeshError, LayoutError, messageOf} from '../errors.ts'
import type {BpfAttachment, BpfLoadRequest, BpfLoadResult} from '../ports.ts'
import {mapInfo} from './bpf-map.ts'
import {checked, kernelError, type NativeBpf} from './bpf-native.ts'
import {BpfObject, type ObjectMap} from './bpf-object.ts'
import {errnoOf, openPin, pin, removePin, Undo} from './bpf-pins.ts'

interface Loading {
  readonly native: NativeBpf
  readonly object: BpfObject
  readonly undo: Undo
  /** Descriptors that are only needed while loading. */
  readonly descriptors: number[]
}

/**
 * Contract of Bpf.load. After a failure pins and links are as before; a failure of taking back is in the
 * error's cause.
 * @throws LayoutError naming the map or program, KernelError (verifier log in `cause`)
 */
export function loadObject(native: NativeBpf, request: BpfLoadRequest): BpfLoadResult {
  using object = new BpfObject(native, request.objectFile)
  const loading: Loading = {native, object, undo: new Undo(), descriptors: []}
  try {
    const adoptedMaps = prepareMaps(loading, request)
    object.load()
    const createdMaps = pinMaps(loading, request, adoptedMaps)
    return {adoptedMaps, createdMaps, ...attachAll(loading, request.attachments)}
  } catch (thrown) {
    const failures = loading.undo.run()
    if (failures.length === 0) throw thrown
    throw new KmeshError(
      `${messageOf(thrown)}; taking it back failed too: ${failures.map(messageOf).join('; ')}`,
      {
        code: 'LoadUndo',
        cause: new AggregateError([thrown, ...failures]),
      },
    )
  } finally {
    for (const fd of loading.descriptors) closeSync(fd)
  }
}

/** Sizes and adopted pins must be set before the load. Returns the names that were adopted. */
function prepareMaps(loading: Loading, request: BpfLoadRequest): string[] {
  const {native, object} = loading
  for (const [name, maxEntries] of Object.entries(request.mapSizes)) {
    checked(native.mapSetMaxEntries(object.map(name).handle, maxEntries), 'set max_entries', name)
  }
  const adopted: string[] = []
  for (const [name, path] of Object.entries(request.mapPins)) {
    const map = object.map(name)
    const fd = openPin(native, path)
    if (fd === undefined) continue
    try {
      checkFits(native, map, fd, path)
      checked(native.mapReuse(map.handle, fd), 'reuse map', name)
    } finally {
      closeSync(fd)
    }
    adopted.push(name)
  }
  return adopted
}

/** @throws LayoutError when the pinned map is not what the object needs */
function checkFits(native: NativeBpf, map: ObjectMap, fd: number, path: string): void {
  const has = mapInfo(native, fd, path)
  const rows: readonly [string, number, number][] = [
    ['type', native.mapType(map.handle), has.type],
    ['key bytes', native.mapKeyBytes(map.handle), has.keyBytes],
    ['value bytes', native.mapValueBytes(map.handle), has.valueBytes],
    ['max_entries', native.mapMaxEntries(map.handle), has.maxEntries],
    ['flags', native.mapFlags(map.handle), has.flags],
  ]
  for (const [what, wanted, found] of rows) {
    if (wanted === found) continue
    throw new LayoutError(`map ${map.name} pinned at ${path} has ${what} ${found}, needed is ${wanted}`)
  }
}

function pinMaps(loading: Loading, request: BpfLoadRequest, adopted: readonly string[]): string[] {
  const created: string[] = []
  for (const [name, path] of Object.entries(request.mapPins)) {
    if (adopted.includes(name)) continue
    pin(loading.native, loading.native.mapFd(loading.object.map(name).handle), path, loading.undo)
    created.push(name)
  }
  return created
}

function attachAll(
  loading: Loading,
  attachments: readonly BpfAttachment[],
): Pick<BpfLoadResult, 'createdLinks' | 'replacedLinks'> {
  const createdLinks: string[] = []
  const replacedLinks: string[] = []
  for (const attachment of attachments) {
    const wasReplaced = attachOne(loading, attachment)
    ;(wasReplaced ? replacedLinks : createdLinks).push(attachment.linkPin)
  }
  return {createdLinks, replacedLinks}
}

/** True when a link that was there runs the new program now. */
function attachOne(loading: Loading, attachment: BpfAttachment): boolean {
  const {native, object, undo, descriptors} = loading
  const program = object.program(attachment.program)
  const pinned = openPin(native, attachment.linkPin)
  if (pinned !== undefined) {
    descriptors.push(pinned)
    const link = linkInfo(native, pinned, attachment.linkPin)
    if (link.cgroupId === cgroupId(attachment.cgroupPath)) {
      swapProgram(loading, attachment, pinned, program.fd)
      return true
    }
  }
  const fresh = createLink(native, attachment, program)
  descriptors.push(fresh)
  if (pinned !== undefined) {
    // It hangs on another cgroup, or on one that is gone.
    removePin(attachment.linkPin)
    undo.add(() => checked(native.objPin(pinned, attachment.linkPin), 'BPF_OBJ_PIN', attachment.linkPin))
  }
  pin(native, fresh, attachment.linkPin, undo)
  return false
}

function swapProgram(loading: Loading, attachment: BpfAttachment, linkFd: number, programFd: number): void {
  const {native, undo, descriptors} = loading
  const target = attachment.linkPin
  const before = native.programById(linkInfo(native, linkFd, target).programId)
  checked(before, 'BPF_PROG_GET_FD_BY_ID', target)
  descriptors.push(before)
  checked(native.linkUpdate(linkFd, programFd, null), 'BPF_LINK_UPDATE', target)
  undo.add(() => checked(native.linkUpdate(linkFd, before, null), 'BPF_LINK_UPDATE', target))
}

function createLink(
  native: NativeBpf,
  attachment: BpfAttachment,
  program: {readonly fd: number; readonly attachType: number},
): number {
  const cgroupFd = openCgroup(attachment.cgroupPath)
  try {
    const target = `${attachment.program} on ${attachment.cgroupPath}`
    return checked(
      native.linkCreate(program.fd, cgroupFd, program.attachType, null),
      'BPF_LINK_CREATE',
      target,
    )
  } finally {
    closeSync(cgroupFd)
  }
}

/** First word of statfs(2) in linux/magic.h. */
const CGROUP2_MAGIC = 0x63677270

/** @throws KmeshError `NoCgroup2` for a folder of anything else, which the kernel would only answer with EBADF */
function openCgroup(path: string): number {
  try {
    if (statfsSync(path).type !== CGROUP2_MAGIC) {
      throw new KmeshError(`${path} is no cgroup of version 2`, {
        code: 'NoCgroup2',
        hints: ["'findmnt -t cgroup2' tells where it is mounted; give that path as --cgroup2-path"],
      })
    }
    return openSync(path, 'r')
  } catch (thrown) {
    if (thrown instanceof KmeshError) throw thrown
    throw kernelError('open', errnoOf(thrown), path, {cause: thrown})
  }
}

/** The kernel's number of a cgroup is its inode. */
function cgroupId(path: string): bigint {
  try {
    return statSync(path, {bigint: true}).ino
  } catch (thrown) {
    throw kernelError('stat', errnoOf(thrown), path, {cause: thrown})
  }
}

const LINK_INFO_BYTES = 64
const LINK_TYPE_CGROUP = 3
const EINVAL = 22

/** `cgroupId` is 0 when the cgroup is gone. @throws KernelError when it is no link of a cgroup */
function linkInfo(native: NativeBpf, fd: number, target: string): {programId: number; cgroupId: bigint} {
  const bytes = new Uint8Array(LINK_INFO_BYTES)
  checked(native.infoByFd(fd, bytes, Uint32Array.of(LINK_INFO_BYTES)), 'BPF_OBJ_GET_INFO_BY_FD', target)
  const view = new DataView(bytes.buffer)
  if (view.getUint32(0, true) !== LINK_TYPE_CGROUP) {
    throw new KernelError('BPF_OBJ_GET', EINVAL, `${target} is not a link to a cgroup`)
  }
  return {programId: view.getUint32(8, true), cgroupId: view.getBigUint64(16, true)}
}
