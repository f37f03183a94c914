// SPDX-License-Identifier: Apache-2.0
/** One row of the table of dialects.test.ts, and what rows have in common. */
import type {GoVersion} from '../fakes/go-daemon/dialects.ts'
import type {Cell} from './dialects-fixture.ts'

// biome-ignore lint/suspicious/noExplicitAny: items of several kinds
export type Item = any
export type Cells = readonly (readonly string[])[]

export interface Row {
  /** As the manifest has it; a command that asks daemons has at least one row. */
  readonly id: string
  readonly words: string
  readonly code: number
  readonly header: string
  /** Table cells of an item of the document, to compare with those of the table. */
  readonly cellsOf: (item: Item) => readonly unknown[]
  /** Table lines of one daemon. */
  readonly cells: (cell: Cell) => Cells
  /** Lines that are no daemon's, above the others. */
  readonly first?: Cells
  /** Lines of stderr about one daemon. */
  readonly stderr: (cell: Cell) => readonly string[]
  /** Other lines, in every format, and in tables only. */
  readonly said?: readonly string[]
  readonly totals: readonly string[]
}

export const NONE = '<none>'
export const isNative = ({mode}: Cell): boolean => mode === 'kernel-native'
export const isOld = ({version}: Cell, ...versions: readonly GoVersion[]): boolean =>
  versions.includes(version)
export const BEFORE_V1: readonly GoVersion[] = ['v0.4.0', 'v0.5.0']
/** v0.5 does not tell its version. */
export const shown = ({version}: Cell): string => (version === 'v0.5.0' ? 'v0.5' : version)
export const silent = (): readonly string[] => []
export const error = ({node}: Cell, message: string): string =>
  `error: node ${node} (pod kmesh-system/kmesh-${node}): ${message}`
export const lacks = (cell: Cell, feature: string): string[] => [
  error(cell, `Kmesh ${shown(cell)} does not support ${feature}`),
]
export const UNREADABLE = ({node}: Cell): string =>
  `warning: node ${node}: Kmesh v0.4.0 does not tell the level of logger 'bpf' (LevelUnreadable)`
