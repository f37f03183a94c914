// SPDX-License-Identifier: Apache-2.0
// Goal: a large document that is printed in pieces is the same text as the whole one.
// Method: reports around the size of a piece, with items that look like the marks of the document.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {FORMATS, type View} from '../../src/lib/render/formats.ts'
import {piecesOf} from '../../src/lib/render/pieces.ts'

const view: View<unknown> = {columns: []}
const context = {nowMs: 0, color: false, headers: true}
const summary = {requested: 1, ok: 1, failed: 0, skipped: 0, items: [], note: '\n  "items": []\nitems: []\n'}

for (const format of ['json', 'yaml'] as const) {
  for (const size of [0, 199, 200, 201, 400, 733]) {
    test(`${format} of ${size} items`, async () => {
      const items = Array.from({length: size}, (_empty, index) => ({
        node: `n${index}`,
        items: [],
        text: '\n  "items": []\u202e',
        deep: {list: [index, {a: null}], none: {}},
      }))
      const report = {kind: 'List', summary, items, errors: [], warnings: []}
      const pieces: string[] = []
      for await (const piece of piecesOf(format, report, view, context)) pieces.push(piece)
      assert.equal(pieces.join(''), await FORMATS[format].render(report, view, context))
      assert.equal(pieces.length > 1, size > 200)
    })
  }
}
