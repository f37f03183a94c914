// SPDX-License-Identifier: Apache-2.0
// Goal: items that came in any order are printed as the sorted report is; items with the same key keep their order.
// Method: lists sorted by hand, turned round or mixed, around the sizes of pieces and of large tables.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {FORMATS, type View} from '../../src/lib/render/formats.ts'
import {type SortedFormat, SortedItems} from '../../src/lib/render/sorted-items.ts'

interface Item {
  readonly node: string
  readonly list: string
  readonly id: number
  readonly text: string
  readonly names: Readonly<Record<string, unknown>>
}

const view: View<Item> = {
  columns: [
    {header: 'NODE', value: (item) => item.node},
    {header: 'ID', value: (item) => item.id, align: 'right'},
    {header: 'TEXT', value: (item) => item.text, tone: ({id}) => (id % 2 === 0 ? 'good' : undefined)},
    {header: 'NAMES', value: (item) => JSON.stringify(item.names)},
    {header: 'MORE', value: (item) => item.list, wide: true},
  ],
}
const TEXTS = [
  'plain',
  '',
  'two\nlines\tand a tab',
  '\u001b[31mred\u001b[0m',
  'no',
  'Größe \u202e',
  '"items": []',
]
const context = {nowMs: 0, color: true, headers: true}
const report = {
  kind: 'List',
  summary: {requested: 1, ok: 1, failed: 0, skipped: 0},
  errors: [],
  warnings: [{code: 'Some', message: 'some'}],
}

function sortedItems(count: number): Item[] {
  const items = Array.from({length: count}, (_empty, id) => ({
    node: id < count / 3 ? 'n1' : 'n2',
    list: id < count / 2 ? 'a' : 'b',
    id,
    text: `${TEXTS[id % TEXTS.length]}`,
    names: id % 5 === 0 ? {} : {[`${4_000_000_000 - id}`]: 'cluster//Pod/shop/cart', deep: [{id}, []]},
  }))
  return items
}

async function printed(format: SortedFormat, items: readonly Item[], keyOf: (item: Item) => string) {
  const sorted = new SortedItems(format, view, context)
  for (const item of items) sorted.add(item, {node: item.node, list: item.list, key: keyOf(item)})
  const pieces: string[] = []
  for await (const piece of sorted.pieces({...report, items: []})) pieces.push(piece)
  return {text: pieces.join(''), pieces: pieces.length}
}

for (const format of ['json', 'yaml', 'table'] as const) {
  for (const count of [0, 1, 199, 200, 201, 999, 1000, 1733]) {
    test(`${format} of ${count} items`, async () => {
      const items = sortedItems(count)
      const expected = await FORMATS[format].render({...report, items}, view, context)
      const byId = ({id}: Item): string => String(id).padStart(5, '0')
      const mixed = items.toSorted((a, b) => ((a.id * 7919) % 1741) - ((b.id * 7919) % 1741))
      for (const order of [items, items.toReversed(), mixed]) {
        const {text, pieces} = await printed(format, order, byId)
        assert.equal(text, expected)
        assert.equal(pieces > 2, format === 'table' ? count > 999 : count > 200)
      }
      assert.equal((await printed(format, items, () => '')).text, expected)
    })
  }
}

test('a text longer than a piece of memory, between short ones', async () => {
  const items = sortedItems(3).map((item, at) => ({
    ...item,
    text: at === 1 ? 'ä'.repeat(3_000_000) : 'short',
  }))
  const expected = await FORMATS.json.render({...report, items}, view, context)
  assert.equal((await printed('json', items.toReversed(), ({id}) => String(id))).text, expected)
})
