// SPDX-License-Identifier: Apache-2.0
/** Large documents a piece at a time: the text of 100,000 items is never whole in memory. */
import {documentOf, type Report} from '../model/report.ts'
import {FORMATS, type FormatName, jsonText, type RenderContext, type View} from './formats.ts'
import {escapeJsonText} from './text.ts'

/** Items of one piece: about 100 kB of text. */
const PIECE_ITEMS = 500

/** The text that the format's `render` gives, in order. */
export async function* piecesOf<T>(
  format: FormatName,
  report: Report<T>,
  view: View<T>,
  context: RenderContext,
): AsyncGenerator<string, void, undefined> {
  const isLarge = report.items.length > PIECE_ITEMS
  if (isLarge && format === 'json') yield* jsonPieces(report, context.nowMs)
  else if (isLarge && format === 'yaml') yield* yamlPieces(report, context.nowMs)
  else yield await FORMATS[format].render(report, view, context)
}

function* jsonPieces<T>(report: Report<T>, nowMs: number): Generator<string, void, undefined> {
  // At the start of a line only a member of the document itself stands two blanks deep: text has no line breaks.
  const [before, after] = around(jsonText(documentOf({...report, items: []}, nowMs)), '\n  "items": []')
  yield `${before}\n  "items": [`
  let separator = '\n    '
  for (const items of parts(report.items)) {
    const texts = items.map((item) =>
      escapeJsonText(JSON.stringify(item, null, 2)).replaceAll('\n', '\n    '),
    )
    yield `${separator}${texts.join(',\n    ')}`
    separator = ',\n    '
  }
  yield `\n  ]${after}`
}

async function* yamlPieces<T>(report: Report<T>, nowMs: number): AsyncGenerator<string, void, undefined> {
  const {toYaml, yamlItems} = await import('./yaml.ts')
  const [before, after] = around(toYaml(documentOf({...report, items: []}, nowMs)), '\nitems: []\n')
  yield `${before}\nitems:\n`
  for (const items of parts(report.items)) yield yamlItems(items, '  ')
  yield after
}

function around(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark)
  return [text.slice(0, at), text.slice(at + mark.length)]
}

function* parts<T>(items: readonly T[]): Generator<readonly T[], void, undefined> {
  for (let start = 0; start < items.length; start += PIECE_ITEMS)
    yield items.slice(start, start + PIECE_ITEMS)
}
