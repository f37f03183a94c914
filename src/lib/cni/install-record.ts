// SPDX-License-Identifier: Apache-2.0
/**
 * What the agent has made outside its own folders, kept in the state directory. A path is written down before
 * anything is made there, so that whoever comes after a kill knows all of them.
 */
import {isAbsolute} from 'node:path'
import {messageOf} from '../errors.ts'
import type {Log, StateFiles} from '../ports.ts'

export const RECORD_FILE = 'cni-install.json'

interface Contents {
  /** May hold our entry. */
  readonly conflists: readonly string[]
  readonly files: readonly string[]
  readonly directories: readonly string[]
}

type Kind = keyof Contents

const NOTHING: Contents = {conflists: [], files: [], directories: []}

export class InstallRecord {
  readonly #files: StateFiles
  #contents: Contents

  constructor(files: StateFiles, log: Log) {
    this.#files = files
    this.#contents = load(files, log)
  }

  paths(kind: Kind): readonly string[] {
    return this.#contents[kind]
  }

  /** On disk when it returns. @throws KmeshError `StateNotWritten`, then it is not noted */
  add(kind: Kind, ...paths: readonly string[]): void {
    this.#set(kind, [...new Set([...this.#contents[kind], ...paths])])
  }

  drop(kind: Kind, path: string): void {
    this.#set(
      kind,
      this.#contents[kind].filter((known) => known !== path),
    )
  }

  /** Everything was taken out. */
  remove(): void {
    this.#files.remove(RECORD_FILE)
    this.#contents = NOTHING
  }

  #set(kind: Kind, paths: readonly string[]): void {
    if (paths.length === this.#contents[kind].length) return
    const contents = {...this.#contents, [kind]: paths}
    this.#files.write(RECORD_FILE, `${JSON.stringify({version: 1, ...contents}, null, 2)}\n`)
    this.#contents = contents
  }
}

function load(files: StateFiles, log: Log): Contents {
  const text = files.read(RECORD_FILE)
  if (text === undefined) return NOTHING
  try {
    const fields = JSON.parse(text) as Record<string, unknown>
    const paths = (kind: Kind): string[] => {
      const value = fields[kind]
      if (!Array.isArray(value) || !value.every(isPath)) throw new Error(`'${kind}' is no list of paths`)
      return value
    }
    return {conflists: paths('conflists'), files: paths('files'), directories: paths('directories')}
  } catch (error) {
    log.warn(`${RECORD_FILE} is not readable, the folders of the options are searched: ${messageOf(error)}`)
    return NOTHING
  }
}

function isPath(value: unknown): value is string {
  return typeof value === 'string' && isAbsolute(value) && !value.includes('\0')
}
