// SPDX-License-Identifier: Apache-2.0
/** Deletes that wait until no connect hook can still see the entry, and then happen only if nothing wants it again. */
import {messageOf} from '../errors.ts'
import type {Clock, Log} from '../ports.ts'
import type {Actual, Step} from './actual.ts'
import type {IdTable} from './ids.ts'
import {type MapWriter, mapOfStep} from './map-writer.ts'
import {isStillUsed, planServiceRemoval} from './plan.ts'

/** Longer than any connect hook runs. */
const GRACE_MS = 200

export interface FreeSpaceParts {
  readonly writer: MapWriter
  readonly ids: IdTable
  readonly clock: Clock
  readonly log: Log
  readonly isWanted: (id: number) => boolean
}

export interface PostponedStep {
  readonly step: Step
  /** Name whose id is free afterwards. */
  readonly name: string | undefined
}

export class FreeSpace {
  readonly #parts: FreeSpaceParts
  #waiting: PostponedStep[] = []
  #scheduled = false

  constructor(parts: FreeSpaceParts) {
    this.#parts = parts
  }

  postpone(step: Step, name?: string): void {
    this.#waiting.push({step, name})
    if (this.#scheduled) return
    this.#scheduled = true
    this.#parts.clock.after(GRACE_MS, () => this.#run())
  }

  #run(): void {
    this.#scheduled = false
    const due = this.#waiting
    this.#waiting = []
    for (const postponed of due) {
      try {
        this.#finish(postponed)
      } catch (error) {
        this.#parts.log.error(
          `${mapOfStep(postponed.step)}: cannot delete, trying again: ${messageOf(error)}`,
        )
        this.postpone(postponed.step, postponed.name)
      }
    }
  }

  #finish({step, name}: PostponedStep): void {
    const {writer, ids, isWanted} = this.#parts
    if (isStillUsed(writer.actual, step, isWanted)) return
    writer.write(step)
    const id = name === undefined ? undefined : ids.idOf(name)
    if (name !== undefined && id !== undefined && !isWanted(id)) ids.free(name)
  }
}

/** Services, endpoints and backends that an earlier agent left and nobody wants. */
export function staleSteps(actual: Actual, ids: IdTable, isWanted: (id: number) => boolean): PostponedStep[] {
  const stale: PostponedStep[] = []
  for (const id of new Set([...actual.services.keys(), ...actual.endpoints.keys()])) {
    if (isWanted(id)) continue
    for (const step of planServiceRemoval(actual, id).later) stale.push({step, name: ids.nameOf(id)})
  }
  for (const id of actual.backends.keys()) {
    if (!isWanted(id)) stale.push({step: {kind: 'deleteBackend', id}, name: ids.nameOf(id)})
  }
  return stale
}

/** Frees the ids of names that stand for nothing. */
export function freeUnusedNames(actual: Actual, ids: IdTable, isWanted: (id: number) => boolean): void {
  for (const [name, id] of [...ids.entries()]) {
    if (!actual.services.has(id) && !actual.backends.has(id) && !isWanted(id)) ids.free(name)
  }
}
