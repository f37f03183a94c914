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
  mapRow,
  SERVICE,
  VERSION,
} from '../model/maps.ts'
import type {
  Bpf,
  BpfLoadRequest,
  BpfLoadResult,
  BpfMap,
  BpfMapInfo,
  BpfMapLayout,
  BpfRing,
  Log,
  PinTree,
} from '../ports.ts'
import {isCarried} from './carry.ts'
import {differences, neededMaps, pinnedMaps} from './map-layouts.ts'
import type {RoutingMaps} from './map-writer.ts'
import {Migration, type MigrationParts, type MigrationPlan, settleInterrupted} from './migration.ts'
import {MirrorMap} from './mirror-map.ts'
import {LINKS, mapPin, pinFolder} from './pin-names.ts'

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

export type LoadParts = MigrationParts

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
  /** There while the programs of an earlier version serve: to be completed once the maps hold the cluster. */
  readonly migration: Migration | undefined
}

/** @throws KmeshError `ForeignPins`, LayoutError, KernelError */
export function loadDataPlane(parts: LoadParts, options: LoadOptions): DataPlane {
  const {bpf, pins} = parts
  const {bpfFsPath} = options
  const owner = pinOwner(pins, bpfFsPath)
  if (owner === 'foreign') replaceForeign(parts, options)
  else settleInterrupted(parts, bpfFsPath)
  const pinned = owner === 'ours' ? pinnedMaps(bpf, bpfFsPath) : new Map<string, BpfMapInfo>()
  const needed = neededMaps(bpf, options.objectFile, options.mapSizes, pinned)
  const changes = owner === 'ours' ? differences(needed, pinned) : new Map<string, string>()
  const request = loadRequest(options, new Map([...needed].map(([name, {maxEntries}]) => [name, maxEntries])))
  if (changes.size === 0) {
    tell(parts.log, bpf.load(request), options)
    return openPlane(parts, options, pinned.has(MANAGE.name), undefined)
  }
  checkRoom(bpf, options, needed, pinned)
  return migrate(parts, options, {bpfFsPath, request, changes}, pinned.has(MANAGE.name))
}

function migrate(parts: LoadParts, options: LoadOptions, plan: MigrationPlan, isAdopted: boolean): DataPlane {
  const mirrors: MirrorMap[] = []
  const migration = Migration.stage(parts, plan, () => {
    for (const mirror of mirrors) mirror.endMirror()
  })
  if (!migration.needsCluster) {
    tell(parts.log, migration.swap(), options)
    return openPlane(parts, options, isAdopted, undefined)
  }
  parts.log.info('the programs of before serve until the new maps hold the cluster')
  const open = (name: string): BpfMap => {
    const map = parts.bpf.openPinned(migration.pinOf(name))
    if (!plan.changes.has(name) || !isCarried(name)) return map
    const mirror = new MirrorMap(map, parts.bpf.openPinned(mapPin(options.bpfFsPath, name)))
    mirrors.push(mirror)
    return mirror
  }
  return openPlane(parts, options, isAdopted, migration, open)
}

function openPlane(
  {bpf}: LoadParts,
  options: LoadOptions,
  adopted: boolean,
  migration: Migration | undefined,
  open = (name: string): BpfMap => bpf.openPinned(mapPin(options.bpfFsPath, name)),
): DataPlane {
  const maps = new Map(MAPS.map(({name}) => [name, open(name)]))
  const map = (name: string): BpfMap => {
    const found = maps.get(name)
    if (found === undefined) throw new LayoutError(`there is no map ${name}`)
    return found
  }
  noteVersion(map(VERSION.name), options.version)
  return {
    routing: {
      frontend: map(FRONTEND.name),
      service: map(SERVICE.name),
      endpoint: map(ENDPOINT.name),
      backend: map(BACKEND.name),
    },
    manage: map(MANAGE.name),
    globals: map(GLOBALS.name),
    logEvents: bpf.openRing(migration?.pinOf(LOG_EVENTS.name) ?? mapPin(options.bpfFsPath, LOG_EVENTS.name)),
    maps,
    adopted,
    migration,
  }
}

/** A start that changes nothing writes nothing. */
function noteVersion(map: BpfMap, version: string): void {
  const key = encode(VERSION.key, {index: 0})
  const value = encode(VERSION.value, {versionHash: fnv1a32(version)})
  const stored = map.lookup(key)
  if (stored === undefined || Buffer.compare(stored, value) !== 0) map.update(key, value)
}

/** A size that was asked for and has no room for what is there would lose services. @throws LayoutError */
function checkRoom(
  bpf: Bpf,
  {bpfFsPath}: LoadOptions,
  needed: ReadonlyMap<string, BpfMapLayout>,
  pinned: ReadonlyMap<string, BpfMapInfo>,
): void {
  for (const [name, {maxEntries}] of needed) {
    const info = pinned.get(name)
    if (info === undefined || maxEntries >= info.maxEntries || mapRow(name)?.key === undefined) continue
    using map = bpf.openPinned(mapPin(bpfFsPath, name))
    let entries = 0
    for (const batch of map.read()) entries += batch.count
    if (entries <= maxEntries) continue
    throw new LayoutError(
      `map ${name} holds ${entries} entries, more than the ${maxEntries} that are asked for`,
      {
        parameter: 'map-size',
        hints: [`--map-size ${name}=N with a larger N, or none`],
      },
    )
  }
}

function replaceForeign({pins, log}: LoadParts, options: LoadOptions): void {
  if (!options.takeOver) throw foreignPins(pins, options.bpfFsPath, 'replace them with --take-over')
  log.warn(`taking over: removing the pins of another data plane in ${pinFolder(options.bpfFsPath)}`)
  pins.remove(pinFolder(options.bpfFsPath))
}

function loadRequest(options: LoadOptions, sizes: ReadonlyMap<string, number>): BpfLoadRequest {
  const {bpfFsPath, cgroup2Path, objectFile} = options
  // km_globals first: whatever comes after a crash between two pins knows that they are ours.
  const names = [GLOBALS.name, ...MAPS.map((row) => row.name).filter((name) => name !== GLOBALS.name)]
  return {
    objectFile,
    mapPins: Object.fromEntries(names.map((name) => [name, mapPin(bpfFsPath, name)])),
    mapSizes: Object.fromEntries([...sizes].filter(([name]) => mapRow(name)?.key !== undefined)),
    attachments: Object.entries(LINKS).map(([program, link]) => ({
      program,
      linkPin: join(pinFolder(bpfFsPath), link),
      cgroupPath: cgroup2Path,
    })),
  }
}

function tell(log: Log, result: BpfLoadResult, {bpfFsPath, cgroup2Path}: LoadOptions): void {
  log.info(describe(result), {path: pinFolder(bpfFsPath), cgroup: cgroup2Path})
}

function describe(result: BpfLoadResult): string {
  const {adoptedMaps, createdMaps, replacedLinks, createdLinks} = result
  return (
    `programs loaded: ${createdMaps.length} maps made, ${adoptedMaps.length} adopted; ` +
    `${createdLinks.length} programs attached, ${replacedLinks.length} replaced in place`
  )
}
