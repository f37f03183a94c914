// SPDX-License-Identifier: Apache-2.0
/**
 * What only the kernel knows goes from an old map into the one that replaces it: who is enrolled, and the settings
 * of the programs. Entries that this version cannot read are never dropped: it refuses instead.
 */
import {LayoutError} from '../errors.ts'
import {GLOBALS, MANAGE} from '../model/maps.ts'
import type {BpfMap, BpfMapInfo, BpfMapLayout} from '../ports.ts'

const HIGHEST_LEVEL = 3

export const REFUSAL_HINTS = [
  'run the version that made these maps: the data plane works on meanwhile',
  'or give them up: kmesh-daemon uninstall; pods connect past the mesh until the next start enrolls them again',
]

/** Maps whose entries no cluster can tell. */
export function isCarried(map: string): boolean {
  return map === MANAGE.name || map === GLOBALS.name
}

/** @throws LayoutError where the old map is none that this version knows; nothing has been changed */
export function checkCarry(name: string, old: BpfMap, needed: BpfMapLayout): void {
  const {info} = old
  const isKnown = name === GLOBALS.name ? isGlobals(info) : isManage(info)
  if (!isKnown) throw refusal(name, `its layout (${describe(info)}) is none that this version knows`)
  for (const batch of old.read()) {
    for (let index = 0; index < batch.count; index += 1) {
      const value = batch.values.subarray(index * info.valueBytes, (index + 1) * info.valueBytes)
      if (name === GLOBALS.name && wordAt(value) > HIGHEST_LEVEL) {
        throw refusal(name, `its first word, ${wordAt(value)}, is no log level`)
      }
      if (name === MANAGE.name && value.subarray(needed.valueBytes).some((byte) => byte !== 0)) {
        throw refusal(name, `an entry has more than the ${needed.valueBytes} bytes that this version knows`)
      }
    }
  }
}

/** Settings are only ever appended: the first words mean the same in every version. */
function isGlobals({type, keyBytes, valueBytes, maxEntries}: BpfMapInfo): boolean {
  return (
    type === GLOBALS.type &&
    keyBytes === GLOBALS.keyBytes &&
    maxEntries === 1 &&
    valueBytes > 0 &&
    valueBytes % 4 === 0
  )
}

/** A cookie or an address in 16 bytes; flags of whatever length follow. */
function isManage({type, keyBytes}: BpfMapInfo): boolean {
  return type === MANAGE.type && keyBytes === MANAGE.keyBytes
}

function describe({type, keyBytes, valueBytes, maxEntries}: BpfMapInfo): string {
  return `type ${type}, keys of ${keyBytes} bytes, values of ${valueBytes}, ${maxEntries} entries`
}

function refusal(name: string, why: string): LayoutError {
  return new LayoutError(`map ${name} cannot be carried over: ${why}; nothing was changed`, {
    hints: REFUSAL_HINTS,
  })
}

function wordAt(value: Uint8Array): number {
  return new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(0, true)
}

/** Makes `to` hold what `from` holds. Values are cut or filled with zeros. @returns keys of `from`, in hex */
export function carry(name: string, from: BpfMap, to: BpfMap): ReadonlySet<string> {
  const keys = new Set<string>()
  for (const [key, value] of entriesOf(from)) {
    keys.add(hexOf(key))
    to.update(key, resized(value, to.info.valueBytes))
  }
  if (name === GLOBALS.name) return keys
  for (const [key] of [...entriesOf(to)]) if (!keys.has(hexOf(key))) to.delete(key)
  return keys
}

/** In hex. */
export function keysOf(map: BpfMap): ReadonlySet<string> {
  return new Set([...entriesOf(map)].map(([key]) => hexOf(key)))
}

/** Entries that came into `from` after `known` was read: a program wrote them. */
export function carryLate(from: BpfMap, to: BpfMap, known: ReadonlySet<string>): void {
  for (const [key, value] of entriesOf(from)) {
    if (!known.has(hexOf(key))) to.update(key, resized(value, to.info.valueBytes))
  }
}

function* entriesOf(map: BpfMap): Generator<readonly [Uint8Array, Uint8Array]> {
  const {keyBytes, valueBytes} = map.info
  for (const {count, keys, values} of map.read()) {
    for (let index = 0; index < count; index += 1) {
      yield [
        keys.subarray(index * keyBytes, (index + 1) * keyBytes),
        values.subarray(index * valueBytes, (index + 1) * valueBytes),
      ]
    }
  }
}

function resized(value: Uint8Array, bytes: number): Uint8Array {
  const result = new Uint8Array(bytes)
  result.set(value.subarray(0, bytes))
  return result
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
