// SPDX-License-Identifier: Apache-2.0
// Goal: tables look the same however large they are, and hostile text stays text.
// Method: small tables against written lines, large ones against the small one's lines.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {type Column, renderTable} from '../../src/lib/render/table.ts'
import {age, clean, escapeJsonText} from '../../src/lib/render/text.ts'

interface Item {
  name: string | null
  size: number
}

const columns: readonly Column<Item>[] = [
  {header: 'NAME', value: (item) => item.name},
  {header: 'SIZE', value: (item) => item.size, align: 'right'},
  {header: 'NOTE', value: () => 'x', wide: true},
]
const plain = {color: false, wide: false, headers: true}

test('three blanks between columns, numbers to the right, <none> for nothing, no blanks at the end', async () => {
  const items = [
    {name: 'alpha-one', size: 7},
    {name: null, size: 1234},
  ]
  assert.equal(
    await renderTable(columns, items, plain),
    'NAME        SIZE\nalpha-one      7\n<none>      1234\n',
  )
  assert.match(await renderTable(columns, items, {...plain, wide: true}), /^NAME +SIZE {3}NOTE\n/)
  assert.equal(await renderTable(columns, [items[0]!], {...plain, headers: false}), 'alpha-one   7\n')
  assert.equal(await renderTable(columns, [], plain), '')
})

test('a large table has the same lines as a small one', async () => {
  const items = Array.from({length: 1500}, (_, index) => ({name: `n${index % 10}`, size: index % 100}))
  const large = (await renderTable(columns, items, plain)).split('\n')
  const small = (await renderTable(columns, items.slice(0, 900), plain)).split('\n')
  assert.equal(large.length, 1502)
  assert.deepEqual(large.slice(0, 901), small.slice(0, 901))
})

test('lines are the same with and without a row that has wide characters', async () => {
  const tone: Column<Item> = {header: 'TONE', value: ({size}) => size, tone: () => 'bad'}
  const items = Array.from({length: 40}, (_, index) => ({
    name: index % 7 ? `n ${index}` : null,
    size: index ** 3,
  }))
  for (const style of [plain, {...plain, color: true, wide: true}, {...plain, headers: false}]) {
    const narrow = await renderTable([...columns, tone], items, style)
    const all = await renderTable([...columns, tone], [...items, {name: '日本', size: 1}], style)
    assert.ok(all.startsWith(narrow))
    // Four columns of six, three between, one of five.
    assert.match(all.slice(narrow.length), /^日本 {9}1 /)
  }
})

test('escape sequences and control characters never reach a cell', async () => {
  const hostile = 'a\u001b[31mred\u001b[0m\u001b]0;title\u0007b\r\nc\u202ed\u009b1m'
  assert.equal(clean(hostile), 'aredb c d')
  const text = await renderTable(columns, [{name: hostile, size: 1}], plain)
  assert.match(text, /^aredb c d +1$/m)
})

test('JSON text has no 8 bit control characters and parses to the same', () => {
  const json = JSON.stringify({a: 'x\u009b31m\u2028'})
  assert.equal(escapeJsonText(json), '{"a":"x\\u009b31m\\u2028"}')
  assert.deepEqual(JSON.parse(escapeJsonText(json)), {a: 'x\u009b31m\u2028'})
})

test('ages as kubectl shows them', () => {
  assert.deepEqual([37_000, 312_000, 3_600_000 * 5, 86_400_000 * 5 + 7_200_000].map(age), [
    '37s',
    '5m12s',
    '5h',
    '5d2h',
  ])
})
