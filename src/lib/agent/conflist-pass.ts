// SPDX-License-Identifier: Apache-2.0
/** One look at the conflists: the entry into the file that the runtime uses, and out of those it used before. */
import {basename, dirname, join} from 'node:path'
import {type Choice, chooseConflist, hasEntry, putEntry, rivals, takeEntry} from '../cni/conflist-files.ts'
import {entryOf, type InstallPlaces} from '../cni/install-files.ts'
import type {InstallRecord} from '../cni/install-record.ts'
import {ConflictError, messageOf} from '../errors.ts'
import type {Clock, Log, NodeFiles} from '../ports.ts'
import {PutLimit} from './conflist-limit.ts'

export interface ConflistPlaces extends InstallPlaces {
  /** Undefined: the lexically first one that is usable. */
  readonly conflistName: string | undefined
  readonly failurePolicy: 'fail' | 'ignore'
}

export interface PassParts {
  readonly files: NodeFiles
  readonly record: InstallRecord
  readonly places: ConflistPlaces
  readonly clock: Clock
  readonly log: Log
}

const ATTEMPTS = 5
const SETTLING_MS = 500

export class ConflistPass {
  readonly #parts: PassParts
  readonly #limit: PutLimit
  #problems: readonly string[] = ['the conflists are not looked at yet']
  #message = ''

  constructor(parts: PassParts) {
    this.#parts = parts
    this.#limit = new PutLimit(parts.clock)
  }

  problems(): readonly string[] {
    return this.#problems
  }

  /** Where the entry is. */
  message(): string {
    return this.#message
  }

  /** @returns milliseconds after which to look again, where that cannot wait */
  run(): number | undefined {
    try {
      return this.#run(ATTEMPTS)
    } catch (error) {
      this.#problems = [`the CNI entry is not in place: ${messageOf(error)}`]
      return undefined
    }
  }

  #run(attempts: number): number | undefined {
    const {files, places, clock} = this.#parts
    const choice = chooseConflist(files, places, clock.nowMs())
    if (choice.settling !== undefined) {
      this.#problems = [`waiting until ${join(places.etcPath, choice.settling)} is written`]
      return SETTLING_MS
    }
    if (choice.found === undefined) {
      this.#problems = [waiting(places, choice)]
      return undefined
    }
    try {
      return this.#put(choice.found, choice.skipped)
    } catch (error) {
      if (!(error instanceof ConflictError) || attempts <= 1) throw error
      return this.#run(attempts - 1)
    }
  }

  #put({path, file}: NonNullable<Choice['found']>, skipped: readonly string[]): number | undefined {
    const {files, record, places, log} = this.#parts
    const entry = entryOf(places, places.failurePolicy)
    const isWanted = !hasEntry(file, entry)
    const waitMs = isWanted ? this.#limit.waitMs() : 0
    if (waitMs > 0) {
      this.#problems = [`${path}: somebody takes the CNI entry out again and again; put back in at most 30 s`]
      return waitMs
    }
    record.add('conflists', path, file.path)
    if (isWanted && putEntry(files, file, entry)) {
      this.#limit.count()
      log.info('CNI entry put in', {file: path})
    }
    this.#leave(path, file.path)
    this.#message = this.#describe(path, skipped)
    return undefined
  }

  /** The runtime uses another file by now. The new one has the entry already. */
  #leave(...stay: readonly string[]): void {
    const {files, record, log} = this.#parts
    const problems: string[] = []
    for (const path of record.paths('conflists').filter((known) => !stay.includes(known))) {
      try {
        if (takeEntry(files, path, 'any'))
          log.info('CNI entry taken out: another file is used now', {file: path})
        record.drop('conflists', path)
      } catch (error) {
        problems.push(messageOf(error))
      }
    }
    this.#problems = problems
  }

  #describe(path: string, skipped: readonly string[]): string {
    const {files, places} = this.#parts
    const before = rivals(files, places.etcPath, basename(path))
    return [
      `the entry is in ${path}`,
      ...(this.#limit.isFought ? ['somebody took it out again and again'] : []),
      ...skipped.map((why) => `not used: ${why}`),
      ...(before.length > 0 && dirname(path) === places.etcPath
        ? [`a runtime that reads ${before.join(', ')} uses it first, without Kmesh`]
        : []),
    ].join('; ')
  }
}

function waiting({etcPath, conflistName}: ConflistPlaces, {skipped}: Choice): string {
  const what = conflistName === undefined ? `a conflist in ${etcPath}` : join(etcPath, conflistName)
  return [`waiting for ${what}`, ...skipped.map((why) => `not used: ${why}`)].join('; ')
}
