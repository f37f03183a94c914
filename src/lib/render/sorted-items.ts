// SPDX-License-Identifier: Apache-2.0
/** A long list that comes in no order and is printed in order: each item is kept as its text only. */
import {compareText, type Report} from '../model/report.ts'
import type {FormatName, RenderContext, View} from './formats.ts'
import {jsonDocument, jsonItems, PIECE_ITEMS, yamlDocument} from './pieces.ts'
import {TableLines} from './table.ts'
import {TextStore} from './text-store.ts'
import {type KnownNames, yamlItems} from './yaml.ts'

/** Where an item stands: by node, then list, then key; items with the same key keep their order. */
export interface Place {
  readonly node: string
  readonly list: string
  /** Compares as it shall be sorted, code point by code point. */
  readonly key: string
}

interface Group extends Omit<Place, 'key'> {
  readonly keys: string[]
  /** Numbers of the texts. */
  readonly texts: number[]
  isSorted: boolean
}

export type SortedFormat = Extract<FormatName, 'table' | 'json' | 'yaml'>

export class SortedItems<T> {
  count = 0
  private readonly format: SortedFormat
  private readonly context: RenderContext
  private readonly table: TableLines<T>
  private readonly store = new TextStore()
  private readonly names: KnownNames = new Map()
  private readonly groups = new Map<string, Group>()
  private last: Group | undefined

  constructor(format: SortedFormat, view: View<T>, context: RenderContext) {
    this.format = format
    this.context = context
    this.table = new TableLines(view.columns, {...context, wide: false})
  }

  add(item: T, {node, list, key}: Place): void {
    const group = this.groupOf(node, list)
    group.isSorted &&= group.keys.length === 0 || (group.keys.at(-1) as string) <= key
    group.keys.push(key)
    group.texts.push(this.store.add(this.textOf(item)))
    this.count += 1
  }

  /** The text that the format gives for the report with these items. */
  async *pieces(report: Report<T>): AsyncGenerator<string, void, undefined> {
    const {nowMs} = this.context
    if (this.format === 'json') yield* jsonDocument(report, nowMs, this.joined(',\n'))
    else if (this.format === 'yaml') yield* yamlDocument(report, nowMs, this.joined(''))
    else yield* this.table.text(this.inOrder())
  }

  private textOf(item: T): string {
    if (this.format === 'json') return jsonItems([item])
    return this.format === 'yaml' ? yamlItems([item], '  ', this.names) : this.table.pack(item)
  }

  private groupOf(node: string, list: string): Group {
    if (this.last?.node === node && this.last.list === list) return this.last
    const name = JSON.stringify([node, list])
    this.last = this.groups.get(name) ?? {node, list, keys: [], texts: [], isSorted: true}
    this.groups.set(name, this.last)
    return this.last
  }

  private *joined(separator: string): Generator<string, void, undefined> {
    let texts: string[] = []
    for (const text of this.inOrder()) {
      if (texts.push(text) < PIECE_ITEMS) continue
      yield texts.join(separator)
      texts = []
    }
    if (texts.length > 0) yield texts.join(separator)
  }

  private *inOrder(): Generator<string, void, undefined> {
    const groups = [...this.groups.values()]
    groups.sort((a, b) => compareText(a.node, b.node) || compareText(a.list, b.list))
    for (const group of groups) {
      for (const at of orderOf(group)) yield this.store.get(group.texts[at] as number)
    }
  }
}

function orderOf({keys, isSorted}: Group): Uint32Array {
  const order = Uint32Array.from(keys, (_key, at) => at)
  if (isSorted) return order
  return order.sort((a, b) => {
    const one = keys[a] as string
    const other = keys[b] as string
    if (one === other) return a - b
    return one < other ? -1 : 1
  })
}
