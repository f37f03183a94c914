// SPDX-License-Identifier: Apache-2.0
/**
 * The Bpf port in memory, held to the same contract as the kernel's adapter
 * (test/contracts/bpf-contract.ts). The object is always ours: the maps of the
 * registry and the two connect programs. Tests look at `links`, send ring buffer
 * records with `emit` and make a call fail with `failNext`.
 */
import {KernelError, LayoutError} from '../../src/lib/errors.ts'
import {BPF_MAP_TYPE, GLOBALS, MAPS, type MapRow} from '../../src/lib/model/maps.ts'
import type {
  Bpf,
  BpfAttachment,
  BpfLoadRequest,
  BpfLoadResult,
  BpfMap,
  BpfMapInfo,
  BpfRing,
} from '../../src/lib/ports.ts'
import {
  type FakeCall,
  FakeMap,
  type FakeOwner,
  FakeRing,
  type FakeWrite,
  hexOf,
  type Store,
} from './bpf-map.ts'

const ENOENT = 2
const PROGRAMS = ['cgroup_connect4_prog', 'cgroup_connect6_prog']
const ROWS = MAPS as readonly unknown[] as readonly MapRow[]
const INITIAL_LOG_LEVEL = 2

export interface FakeLink extends BpfAttachment {
  /** How often a program was put in. */
  readonly generation: number
}

export class FakeBpf implements Bpf, FakeOwner {
  readonly links = new Map<string, FakeLink>()
  /** Every write that reached a map, oldest first: for tests of order. */
  readonly writes: FakeWrite[] = []
  readonly #pins = new Map<string, Store>()
  readonly #failures = new Map<FakeCall, number>()
  readonly #isCgroup: (path: string) => boolean
  #nextId = 1

  constructor(isCgroup: (path: string) => boolean = () => true) {
    this.#isCgroup = isCgroup
  }

  /** The next call of this kind throws KernelError with `errno`, once, before it does anything. */
  failNext(call: FakeCall, errno: number): void {
    this.#failures.set(call, errno)
  }

  /** What a program would do: puts a record into the ring buffer pinned at `pinPath`. */
  emit(pinPath: string, record: Uint8Array): void {
    this.#store(pinPath).records.push(record)
  }

  load(request: BpfLoadRequest): BpfLoadResult {
    this.checkFailure('load', request.objectFile)
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
      this.#pins.set(path, stores.get(name) as Store)
    }
    return {adoptedMaps, createdMaps, ...this.#attach(request.attachments)}
  }

  openPinned(pinPath: string): BpfMap {
    return new FakeMap(this, this.#store(pinPath))
  }

  openRing(pinPath: string): BpfRing {
    const store = this.#store(pinPath)
    if (store.info.type !== BPF_MAP_TYPE.ringbuf) throw new LayoutError(`${pinPath} is no ring buffer`)
    return new FakeRing(store)
  }

  unpin(pinPath: string): void {
    this.#pins.delete(pinPath)
    this.links.delete(pinPath)
  }

  checkFailure(call: FakeCall, target: string): void {
    const errno = this.#failures.get(call)
    if (errno === undefined) return
    this.#failures.delete(call)
    throw new KernelError(call, errno, target)
  }

  /** The maps as they would be; nothing is changed yet. */
  #plan(request: BpfLoadRequest): Map<string, Store> {
    const known = (name: string): MapRow => {
      const row = ROWS.find((candidate) => candidate.name === name)
      if (row === undefined) throw new LayoutError(`${request.objectFile} has no map ${name}`)
      return row
    }
    for (const name of Object.keys(request.mapSizes)) known(name)
    const stores = new Map<string, Store>()
    for (const [name, path] of Object.entries(request.mapPins)) {
      const row = known(name)
      const maxEntries = request.mapSizes[name] ?? row.maxEntries
      const pinned = this.#pins.get(path)
      if (pinned !== undefined) checkFits(pinned.info, row, maxEntries, path)
      stores.set(name, pinned ?? this.#create(row, maxEntries))
    }
    return stores
  }

  #create(row: MapRow, maxEntries: number): Store {
    const {name, type, keyBytes, valueBytes} = row
    const store: Store = {
      info: {id: this.#nextId++, name, type, keyBytes, valueBytes, maxEntries},
      entries: new Map(),
      records: [],
    }
    if (type === BPF_MAP_TYPE.array) {
      for (let index = 0; index < maxEntries; index++) {
        store.entries.set(indexKey(index), new Uint8Array(valueBytes))
      }
    }
    if (name === GLOBALS.name) store.entries.set(indexKey(0), Uint8Array.of(INITIAL_LOG_LEVEL, 0, 0, 0))
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

  #store(pinPath: string): Store {
    const store = this.#pins.get(pinPath)
    if (store === undefined) throw new KernelError('BPF_OBJ_GET', ENOENT, pinPath)
    return store
  }
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
