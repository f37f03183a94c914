// SPDX-License-Identifier: Apache-2.0
/** All resources that are served now: the built-in ones and those of CustomResourceDefinitions. */
import type {ResourceRow} from './resource-row.ts'
import {RESOURCE_ROWS} from './resources.ts'

export class Registry {
  readonly #custom = new Map<string, readonly ResourceRow[]>()

  rows(): readonly ResourceRow[] {
    return [...RESOURCE_ROWS, ...[...this.#custom.values()].flat()]
  }

  find(group: string, version: string, resource: string): ResourceRow | undefined {
    return this.rows().find(
      (row) => row.group === group && row.version === version && row.resource === resource,
    )
  }

  /** Rows of one definition, one for each served version. */
  custom(definition: string): readonly ResourceRow[] {
    return this.#custom.get(definition) ?? []
  }

  /** Replaces the rows of a definition; none takes it out. */
  setCustom(definition: string, rows: readonly ResourceRow[]): void {
    if (rows.length === 0) this.#custom.delete(definition)
    else this.#custom.set(definition, rows)
  }
}
