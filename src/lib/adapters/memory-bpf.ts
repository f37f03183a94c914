// SPDX-License-Identifier: Apache-2.0
/**
 * The Bpf port in memory, held to the same contract as the kernel's adapter: what
 * `kmesh-daemon --backend memory` has in place of a kernel. The object is always
 * ours, the maps of the registry and the two connect programs. Nothing is ever
 * redirected or logged by it, and all of it is gone with the process.
 */
import {KernelError, LayoutError} from '../errors.ts'
import {BPF_MAP_TYPE, GLOBALS, MAPS, type MapRow} from '../model/maps.ts'
import type {
  Bpf,
  BpfAttachment,
  BpfLoadRequest,
  BpfLoadResult,
  BpfMap,
  BpfMapInfo,
  BpfMapLayout,
  BpfRing,
  PinTree,
} from '../ports.ts'
import {
  hexOf,
  type MemoryCall,
  MemoryMap,
  type MemoryOwner,
  MemoryRing,
  type MemoryStore,
  type MemoryWrite,
} from './memory-map.ts'

const ENOENT = 2
const PROGRAMS = ['cgroup_connect4_prog', 'cgroup_connect6_prog']
const ROWS = MAPS as readonly unknown[] as readonly MapRow[]
const INITIAL_LOG_LEVEL = 2

export interface MemoryLink extends BpfAttachment {
  /** How often a program was put in. */
  readonly generation: number
}

export class MemoryBpf implements Bpf, MemoryOwner {
  readonly links = new Map<string, MemoryLink>()
  readonly #pins = new Map<string, MemoryStore>()
  readonly #isCgroup: (path: string) => boolean
  #nextId = 1

  /** @param isCgroup - where programs can be attached */
  constructor(isCgroup: (path: string) => boolean = () => true) {
    this.#isCgroup = isCgroup
  }

  /** Paths of every pin, sorted. */
  get pins(): readonly string[] {
    return [...this.#pins.keys(), ...this.links.keys()].sort()
  }

  load(request: BpfLoadRequest): BpfLoadResult {
    this.before('load', request.objectFile)
    const stores = this.#plan(request)
    for (const {program, cgroupPath} of request.attachments) {
      if (!PROGRAMS.includes(program))
        throw new LayoutError(`${request.objectFile} has no program ${program}`)
      if (!this.#isCgroup(cgroupPath)) throw new KernelError('open', ENOENT, cgroupPath)
    }
    const adoptedMaps: string[] = []
    const createdMaps: string[] = []
    for (const [name, path] of Object.entries(request.mapPins)) {
      ;(this.#pins.has(path) ? adoptedMaps : createdMaps).push(name)
      this.#pins.set(path, stores.get(name) as MemoryStore)
    }
    return {adoptedMaps, createdMaps, ...this.#attach(request.attachments)}
  }

  layouts(objectFile: string): readonly BpfMapLayout[] {
    return this.rowsOf(objectFile).map((row) => ({...layoutOf(row), flags: 0}))
  }

  openPinned(pinPath: string): BpfMap {
    return new MemoryMap(this, this.store(pinPath))
  }

  openRing(pinPath: string): BpfRing {
    const store = this.store(pinPath)
    if (store.info.type !== BPF_MAP_TYPE.ringbuf) throw new LayoutError(`${pinPath} is no ring buffer`)
    return new MemoryRing(store)
  }

  unpin(pinPath: string): void {
    this.#pins.delete(pinPath)
    this.links.delete(pinPath)
  }

  /** The maps of the object; a file is never read. */
  protected rowsOf(_objectFile: string): readonly MapRow[] {
    return ROWS
  }

  /** Takes every pin below `from`, or that one, to `to`. @throws KernelError ENOENT where there is none */
  rename(from: string, to: string): void {
    const moved = this.pins.filter((pin) => pin === from || pin.startsWith(`${from}/`))
    if (moved.length === 0) throw new KernelError('rename', ENOENT, from)
    for (const pin of moved) {
      const path = `${to}${pin.slice(from.length)}`
      const [map, link] = [this.#pins.get(pin), this.links.get(pin)]
      if (map !== undefined) this.#pins.set(path, map)
      if (link !== undefined) this.links.set(path, link)
      this.unpin(pin)
    }
  }

  before(_call: MemoryCall, _target: string): void {}

  wrote(_write: MemoryWrite): void {}

  /** @throws KernelError ENOENT where nothing is pinned */
  protected store(pinPath: string): MemoryStore {
    const store = this.#pins.get(pinPath)
    if (store === undefined) throw new KernelError('BPF_OBJ_GET', ENOENT, pinPath)
    return store
  }

  /** The maps as they would be; nothing is changed yet. */
  #plan(request: BpfLoadRequest): Map<string, MemoryStore> {
    const known = (name: string): MapRow => {
      const row = this.rowsOf(request.objectFile).find((candidate) => candidate.name === name)
      if (row === undefined) throw new LayoutError(`${request.objectFile} has no map ${name}`)
      return row
    }
    for (const name of Object.keys(request.mapSizes)) known(name)
    const stores = new Map<string, MemoryStore>()
    for (const [name, path] of Object.entries(request.mapPins)) {
      const row = known(name)
      const maxEntries = request.mapSizes[name] ?? row.maxEntries
      const pinned = this.#pins.get(path)
      if (pinned !== undefined) checkFits(pinned.info, row, maxEntries, path)
      stores.set(name, pinned ?? this.#create(row, maxEntries))
    }
    return stores
  }

  #create(row: MapRow, maxEntries: number): MemoryStore {
    const {name, type, valueBytes} = row
    const store: MemoryStore = {
      info: {...layoutOf(row), id: this.#nextId++, maxEntries, flags: 0},
      entries: new Map(),
      records: [],
    }
    if (type === BPF_MAP_TYPE.array) {
      for (let index = 0; index < maxEntries; index++) {
        store.entries.set(indexKey(index), new Uint8Array(valueBytes))
      }
    }
    const [first] = name === GLOBALS.name ? store.entries.values() : []
    first?.set([INITIAL_LOG_LEVEL])
    return store
  }

  #attach(attachments: readonly BpfAttachment[]): Pick<BpfLoadResult, 'createdLinks' | 'replacedLinks'> {
    const createdLinks: string[] = []
    const replacedLinks: string[] = []
    for (const attachment of attachments) {
      const before = this.links.get(attachment.linkPin)
      const isSame = before?.cgroupPath === attachment.cgroupPath
      ;(isSame ? replacedLinks : createdLinks).push(attachment.linkPin)
      this.links.set(attachment.linkPin, {...attachment, generation: isSame ? before.generation + 1 : 1})
    }
    return {createdLinks, replacedLinks}
  }
}

/** The pins of `bpf`. Nobody else can have any, so there is nothing to keep others off. */
export function memoryPinTree(bpf: MemoryBpf): PinTree {
  const below = (directory: string): readonly string[] =>
    bpf.pins.filter((pin) => pin.startsWith(`${directory}/`))
  return {
    list: below,
    remove: (directory) => {
      for (const pin of below(directory)) bpf.unpin(pin)
    },
    rename: (from, to) => bpf.rename(from, to),
    lock: () => ({[Symbol.dispose]: () => undefined}),
  }
}

function layoutOf({name, type, keyBytes, valueBytes, maxEntries}: MapRow) {
  return {name, type, keyBytes, valueBytes, maxEntries}
}

function checkFits(info: BpfMapInfo, row: MapRow, maxEntries: number, path: string): void {
  const fits =
    info.type === row.type &&
    info.keyBytes === row.keyBytes &&
    info.valueBytes === row.valueBytes &&
    info.maxEntries === maxEntries
  if (!fits) throw new LayoutError(`map ${row.name} pinned at ${path} does not fit`)
}

function indexKey(index: number): string {
  return hexOf(new Uint8Array(Uint32Array.of(index).buffer))
}
