// SPDX-License-Identifier: Apache-2.0
/** The conflists of a node: which one the entry belongs in, and the entry in and out of a file. */
import {join} from 'node:path'
import {ConflictError, KmeshError, messageOf} from '../errors.ts'
import type {NodeFile, NodeFiles} from '../ports.ts'
import {inspectConflist, PLUGIN_TYPE, type PluginEntry, withEntry, withoutEntry} from './conflist.ts'

const MAX_BYTES = 1024 * 1024
const ATTEMPTS = 5
/** Younger than that and no JSON: somebody is still writing it. */
const SETTLING_MS = 2000
const TEMPORARY = /\.kmesh-new$/

export interface Conflists {
  /** The folder. */
  readonly etcPath: string
  /** Undefined: the lexically first one that is usable. */
  readonly conflistName: string | undefined
}

export interface Choice {
  /** Undefined where there is none. */
  readonly found: {readonly path: string; readonly file: NodeFile} | undefined
  /** This file is being written: look again soon. */
  readonly settling: string | undefined
  /** Why those before it are not used. */
  readonly skipped: readonly string[]
}

/** `*.conflist` that is a network list with a plugin of somebody else, in the order of CNI runtimes. */
export function chooseConflist(files: NodeFiles, where: Conflists, nowMs: number): Choice {
  const skipped: string[] = []
  for (const name of namesOf(files, where)) {
    const path = join(where.etcPath, name)
    let file: NodeFile | undefined
    try {
      file = files.read(path, MAX_BYTES)
      if (file === undefined) continue
      const unusable = whyUnusable(file)
      if (unusable === undefined) return {found: {path, file}, settling: undefined, skipped}
      skipped.push(`${name}: ${unusable}`)
    } catch (error) {
      const ageMs = nowMs - (file?.modifiedMs ?? 0)
      if (file !== undefined && ageMs >= 0 && ageMs < SETTLING_MS) {
        return {found: undefined, settling: name, skipped}
      }
      skipped.push(`${name}: ${messageOf(error)}`)
    }
  }
  return {found: undefined, settling: undefined, skipped}
}

function namesOf(files: NodeFiles, {etcPath, conflistName}: Conflists): readonly string[] {
  const names = files.names(etcPath) ?? []
  return names.filter((name) =>
    conflistName === undefined ? name.endsWith('.conflist') : name === conflistName,
  )
}

function whyUnusable({bytes}: NodeFile): string | undefined {
  const {others, hasByteOrderMark} = inspectConflist(bytes)
  if (hasByteOrderMark) return 'it begins with a byte order mark, which no CNI runtime reads'
  return others === 0 ? 'it has no plugin' : undefined
}

/**
 * Puts the entry in or up to date; returns false where it is in place.
 * @throws ConflictError where the file was changed meanwhile, KmeshError, errors of the file system
 */
export function putEntry(files: NodeFiles, file: NodeFile, entry: PluginEntry): boolean {
  const bytes = withEntry(file.bytes, entry)
  if (bytes === file.bytes) return false
  files.replace(file, bytes)
  return true
}

export function hasEntry({bytes}: NodeFile, entry: PluginEntry): boolean {
  return withEntry(bytes, entry) === bytes
}

/**
 * Takes our entry out of a file, where both are still there; reads again when somebody else writes, too.
 * @returns false where there was nothing to take out
 * @throws KmeshError where it cannot be told or not be written
 */
export function takeEntry(files: NodeFiles, path: string, only: 'any' | 'withSocket'): boolean {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const file = files.read(path, MAX_BYTES)
      if (file === undefined) return false
      const bytes = strip(file, only)
      if (bytes === file.bytes) return false
      files.replace(file, bytes)
      return true
    } catch (error) {
      if (error instanceof ConflictError && attempt < ATTEMPTS) continue
      throw new KmeshError(`cannot take the entry out of ${path}: ${messageOf(error)}`, {cause: error})
    }
  }
}

/** What is no network list (any more) and does not name us holds no entry. */
function strip({bytes}: NodeFile, only: 'any' | 'withSocket'): Uint8Array {
  try {
    return withoutEntry(bytes, only)
  } catch (error) {
    if (!Buffer.from(bytes).includes(PLUGIN_TYPE)) return bytes
    throw error
  }
}

/** Every file that may hold an entry: also what a network set aside, such as `10-x.conflist.bak`. */
export function candidates(files: NodeFiles, etcPath: string): readonly string[] {
  const names = files.names(etcPath) ?? []
  return names
    .filter((name) => name.includes('.conflist') && !TEMPORARY.test(name))
    .map((name) => join(etcPath, name))
}

/** Files that some runtimes read, too, and that come before `name`. */
export function rivals(files: NodeFiles, etcPath: string, name: string): readonly string[] {
  const names = files.names(etcPath) ?? []
  return names.slice(0, names.indexOf(name)).filter((other) => /\.(conf|json)$/.test(other))
}
