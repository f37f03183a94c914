// SPDX-License-Identifier: Apache-2.0
/** Which of the pinned maps the programs of an object can go on with, and which they need anew. */
import {LayoutError} from '../errors.ts'
import {BACKEND, ENDPOINT, FRONTEND, MAPS, type MapRow, SERVICE} from '../model/maps.ts'
import type {Bpf, BpfMapInfo, BpfMapLayout} from '../ports.ts'
import {mapPin} from './pin-names.ts'

const ENOENT = 2
const ROWS = MAPS as readonly unknown[] as readonly MapRow[]
/** One picture of the cluster: the programs must see all four of one time. */
const ROUTING: readonly string[] = [FRONTEND, SERVICE, ENDPOINT, BACKEND].map((row) => row.name)

export function isRouting(map: string): boolean {
  return ROUTING.includes(map)
}

/** Our maps that are pinned, as they are. @throws KernelError */
export function pinnedMaps(bpf: Bpf, bpfFsPath: string): Map<string, BpfMapInfo> {
  const found = new Map<string, BpfMapInfo>()
  for (const {name} of ROWS) {
    try {
      using map = bpf.openPinned(mapPin(bpfFsPath, name))
      found.set(name, map.info)
    } catch (error) {
      if ((error as {errno?: number}).errno !== ENOENT) throw error
    }
  }
  return found
}

/**
 * Our maps as the object wants them, with the sizes that were asked for. A map that is larger than the object's
 * stays so when the option is gone: adopting it matters more.
 * @throws LayoutError where this agent does not write what the object's programs read
 */
export function neededMaps(
  bpf: Bpf,
  objectFile: string,
  sizes: Readonly<Record<string, number>>,
  pinned: ReadonlyMap<string, BpfMapInfo>,
): Map<string, BpfMapLayout> {
  const layouts = new Map(bpf.layouts(objectFile).map((layout) => [layout.name, layout]))
  const needed = new Map<string, BpfMapLayout>()
  for (const row of ROWS) {
    const layout = layouts.get(row.name)
    if (layout === undefined) throw new LayoutError(`${objectFile} has no map ${row.name}`)
    checkRegistry(objectFile, layout, row)
    const kept = row.key === undefined ? 0 : (pinned.get(row.name)?.maxEntries ?? 0)
    const maxEntries = sizes[row.name] ?? Math.max(kept, layout.maxEntries)
    needed.set(row.name, {...layout, maxEntries})
  }
  return needed
}

function checkRegistry(objectFile: string, layout: BpfMapLayout, row: MapRow): void {
  if (row.key === undefined) return
  const asked = `${layout.keyBytes} and ${layout.valueBytes} bytes`
  if (layout.type === row.type && layout.keyBytes === row.keyBytes && layout.valueBytes === row.valueBytes)
    return
  throw new LayoutError(
    `${objectFile}: map ${row.name} has keys and values of ${asked}, this kmesh-daemon writes ${row.keyBytes} and ${row.valueBytes}`,
    {hints: ['program and object must be of one version; without --bpf-object they are']},
  )
}

/** Name -> what is different, for each map that cannot be adopted. @param pinned - of our own pins */
export function differences(
  needed: ReadonlyMap<string, BpfMapLayout>,
  pinned: ReadonlyMap<string, BpfMapInfo>,
): Map<string, string> {
  const found = new Map<string, string>()
  for (const [name, layout] of needed) {
    const info = pinned.get(name)
    if (info !== undefined) {
      const text = differenceOf(layout, info)
      if (text !== '') found.set(name, text)
    } else if (isRouting(name)) {
      found.set(name, 'it is not pinned')
    }
  }
  const cause = ROUTING.filter((name) => found.has(name)).join(', ')
  if (cause === '') return found
  for (const name of ROUTING) if (!found.has(name)) found.set(name, `goes with ${cause}`)
  return found
}

function differenceOf(needed: BpfMapLayout, pinned: BpfMapInfo): string {
  const rows: readonly [string, number, number][] = [
    ['type', pinned.type, needed.type],
    ['key bytes', pinned.keyBytes, needed.keyBytes],
    ['value bytes', pinned.valueBytes, needed.valueBytes],
    ['max_entries', pinned.maxEntries, needed.maxEntries],
    ['flags', pinned.flags, needed.flags],
  ]
  const other = rows.filter(([, is, shall]) => is !== shall)
  return other.map(([what, is, shall]) => `${what} ${is}, needed is ${shall}`).join(', ')
}
