// SPDX-License-Identifier: Apache-2.0
/** The maps of one daemon, whatever it speaks. */
import {KmeshError} from '../errors.ts'
import type {MapItem} from '../model/map-item.ts'

export type Entry = Omit<MapItem, 'node' | 'pod'>

export interface MapSource {
  /** Maps that were not named and that user space cannot list, with their type. */
  readonly skipped: ReadonlyMap<string, string>
  /** False: the daemon tells values only. */
  readonly hasKeys: boolean
  /** As many as came together. A map that fails is told, and costs none of the others. @throws what ends the whole daemon */
  entries(): AsyncIterable<readonly (Entry | MapFailure)[]>
}

export interface MapFailure {
  readonly map: string
  readonly error: unknown
}

export interface ReadContext {
  /** Address of the daemon's own pod, where it is known. */
  readonly podIp: string | undefined
  readonly signal: AbortSignal
}

export interface MapNames {
  /** In the daemon's order. */
  readonly readable: readonly string[]
  /** With their type. */
  readonly unreadable: ReadonlyMap<string, string>
}

/** Why a map cannot be read; undefined: it can. */
export function mapError(map: string, {readable, unreadable}: MapNames): KmeshError | undefined {
  if (readable.includes(map)) return undefined
  const type = unreadable.get(map)
  if (type !== undefined) {
    return new KmeshError(`map ${map} (${type}) cannot be listed by user space`, {code: 'MapNotReadable'})
  }
  return new KmeshError(`there is no map '${map}'`, {
    code: 'UnknownMap',
    parameter: 'MAP',
    hints: [`maps are ${readable.join(', ')}`],
  })
}
