// SPDX-License-Identifier: Apache-2.0
/** Programs and maps in the kernel, under the pin names of contracts 4.1; an earlier agent's are adopted. */
import {join} from 'node:path'
import {KmeshError, LayoutError} from '../errors.ts'
import {encode} from '../model/codec.ts'
import {fnv1a32} from '../model/ids.ts'
import {
  BACKEND,
  ENDPOINT,
  FRONTEND,
  GLOBALS,
  LOG_EVENTS,
  MANAGE,
  MAPS,
  SERVICE,
  VERSION,
} from '../model/maps.ts'
import type {Bpf, BpfLoadResult, BpfMap, BpfRing, Log, PinTree} from '../ports.ts'
import type {RoutingMaps} from './map-writer.ts'

const FOLDER = 'bpf_kmesh_workload'

/** Below the BPF file system; everything in it is ours or foreign as a whole. */
export function pinFolder(bpfFsPath: string): string {
  return join(bpfFsPath, FOLDER)
}

export function mapPin(bpfFsPath: string, map: string): string {
  return join(pinFolder(bpfFsPath), 'map', map)
}

const LINKS = {
  cgroup_connect4_prog: 'sockconn/sockconn_prog',
  cgroup_connect6_prog: 'sockconn/sockconn6_prog',
} as const

/** `km_globals` is what only our agent pins. */
export type PinOwner = 'nobody' | 'ours' | 'foreign'

export function pinOwner(pins: PinTree, bpfFsPath: string): PinOwner {
  const found = pins.list(pinFolder(bpfFsPath))
  if (found.length === 0) return 'nobody'
  return found.includes(mapPin(bpfFsPath, GLOBALS.name)) ? 'ours' : 'foreign'
}

export function foreignPins(pins: PinTree, bpfFsPath: string, hint: string): KmeshError {
  const folder = pinFolder(bpfFsPath)
  const found = pins.list(folder)
  return new KmeshError(
    `${folder} holds ${found.length} pins of another data plane, among them ${found[0]}`,
    {
      code: 'ForeignPins',
      hints: [hint],
    },
  )
}

export interface LoadParts {
  readonly bpf: Bpf
  readonly pins: PinTree
  readonly log: Log
}

export interface LoadOptions {
  readonly bpfFsPath: string
  readonly cgroup2Path: string
  readonly objectFile: string
  readonly mapSizes: Readonly<Record<string, number>>
  readonly takeOver: boolean
  readonly version: string
}

/** Everything of the kernel that the agent holds open. */
export interface DataPlane {
  readonly routing: RoutingMaps
  readonly manage: BpfMap
  readonly globals: BpfMap
  readonly logEvents: BpfRing
  /** By name, for dumps; all that can be opened. */
  readonly maps: ReadonlyMap<string, BpfMap>
  /** True where an earlier agent's maps go on; then its cookies and ids still mean something. */
  readonly adopted: boolean
}

/** @throws KmeshError `ForeignPins`, LayoutError, KernelError */
export function loadDataPlane(parts: LoadParts, options: LoadOptions): DataPlane {
  const {bpf, pins, log} = parts
  const owner = pinOwner(pins, options.bpfFsPath)
  if (owner === 'foreign') replaceForeign(parts, options)
  const result = bpf.load(loadRequest(bpf, options, owner === 'ours'))
  const maps = new Map(MAPS.map((row) => [row.name, bpf.openPinned(mapPin(options.bpfFsPath, row.name))]))
  const map = (name: string): BpfMap => {
    const found = maps.get(name)
    if (found === undefined) throw new LayoutError(`there is no map ${name}`)
    return found
  }
  map(VERSION.name).update(
    encode(VERSION.key, {index: 0}),
    encode(VERSION.value, {versionHash: fnv1a32(options.version)}),
  )
  log.info(describe(result), {path: pinFolder(options.bpfFsPath), cgroup: options.cgroup2Path})
  return {
    routing: {
      frontend: map(FRONTEND.name),
      service: map(SERVICE.name),
      endpoint: map(ENDPOINT.name),
      backend: map(BACKEND.name),
    },
    manage: map(MANAGE.name),
    globals: map(GLOBALS.name),
    logEvents: bpf.openRing(mapPin(options.bpfFsPath, LOG_EVENTS.name)),
    maps,
    adopted: result.adoptedMaps.includes(MANAGE.name),
  }
}

function replaceForeign({pins, log}: LoadParts, options: LoadOptions): void {
  if (!options.takeOver) throw foreignPins(pins, options.bpfFsPath, 'replace them with --take-over')
  log.warn(`taking over: removing the pins of another data plane in ${pinFolder(options.bpfFsPath)}`)
  pins.remove(pinFolder(options.bpfFsPath))
}

function loadRequest(bpf: Bpf, options: LoadOptions, isOurs: boolean) {
  const {bpfFsPath, cgroup2Path, objectFile} = options
  // km_globals first: whatever comes after a crash between two pins knows that they are ours.
  const names = [GLOBALS.name, ...MAPS.map((row) => row.name).filter((name) => name !== GLOBALS.name)]
  const attachments = Object.entries(LINKS).map(([program, link]) => ({
    program,
    linkPin: join(pinFolder(bpfFsPath), link),
    cgroupPath: cgroup2Path,
  }))
  const pinned = isOurs ? pinnedSizes(bpf, bpfFsPath) : {}
  return {
    objectFile,
    mapPins: Object.fromEntries(names.map((name) => [name, mapPin(bpfFsPath, name)])),
    mapSizes: {...pinned, ...options.mapSizes},
    attachments,
  }
}

/** A map that was made larger stays so when the option is gone: adopting it matters more. */
function pinnedSizes(bpf: Bpf, bpfFsPath: string): Record<string, number> {
  const sizes: Record<string, number> = {}
  for (const row of MAPS) {
    if (row.key === undefined) continue
    try {
      using map = bpf.openPinned(mapPin(bpfFsPath, row.name))
      if (map.info.maxEntries !== row.maxEntries) sizes[row.name] = map.info.maxEntries
    } catch (error) {
      if ((error as {errno?: number}).errno !== 2) throw error
    }
  }
  return sizes
}

function describe(result: BpfLoadResult): string {
  const {adoptedMaps, createdMaps, replacedLinks, createdLinks} = result
  return (
    `programs loaded: ${createdMaps.length} maps made, ${adoptedMaps.length} adopted; ` +
    `${createdLinks.length} programs attached, ${replacedLinks.length} replaced in place`
  )
}
