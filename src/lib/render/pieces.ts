// SPDX-License-Identifier: Apache-2.0
/** Large documents a piece at a time: the text of 100,000 items is never whole in memory. */
import {documentOf, type Report} from '../model/report.ts'
import {FORMATS, type FormatName, jsonText, type RenderContext, type View} from './formats.ts'
import {TableLines} from './table.ts'
import {escapeJsonText} from './text.ts'

/** Items of one piece: some ten kB of text, which V8 collects young. */
export const PIECE_ITEMS = 200

/** The text that the format's `render` gives, in order. */
export async function* piecesOf<T>(
  format: FormatName,
  report: Report<T>,
  view: View<T>,
  context: RenderContext,
): AsyncGenerator<string, void, undefined> {
  const {items} = report
  const isLarge = items.length > PIECE_ITEMS
  if (isLarge && format === 'json') yield* jsonDocument(report, context.nowMs, parts(items, jsonItems))
  else if (isLarge && format === 'yaml') {
    const {yamlItems} = await import('./yaml.ts')
    const texts = parts(items, (some) => yamlItems(some, '  '))
    yield* yamlDocument(report, context.nowMs, texts)
  } else if (isLarge && (format === 'table' || format === 'wide')) {
    const lines = new TableLines(view.columns, {...context, wide: format === 'wide'})
    // Once for the widths and once for the text: rows of a large table weigh more than its items.
    for (const item of items) lines.pack(item)
    yield* lines.text(rowsOf(items, lines))
  } else yield await FORMATS[format].render(report, view, context)
}

/** Items as {@link jsonDocument} takes them, with tabs as indents, which JSON has nowhere else. */
export function jsonItems(items: readonly unknown[]): string {
  return items.map((item) => JSON.stringify(item, null, '\t')).join(',\n')
}

/** The document of a report whose items are these texts. */
export function* jsonDocument<T>(
  report: Report<T>,
  nowMs: number,
  texts: Iterable<string>,
): Generator<string, void, undefined> {
  const empty = jsonText(documentOf({...report, items: []}, nowMs))
  // At the start of a line only a member of the document itself stands two blanks deep: text has no line breaks.
  const [before, after] = around(empty, '\n  "items": []')
  let separator = `${before}\n  "items": [\n    `
  let isEmpty = true
  for (const text of texts) {
    const indented = escapeJsonText(text).replaceAll('\t', '  ').replaceAll('\n', '\n    ')
    yield `${separator}${indented}`
    separator = ',\n    '
    isEmpty = false
  }
  yield isEmpty ? empty : `\n  ]${after}`
}

/** The document of a report whose items are these texts of `yamlItems`, two blanks deep. */
export async function* yamlDocument<T>(
  report: Report<T>,
  nowMs: number,
  texts: Iterable<string>,
): AsyncGenerator<string, void, undefined> {
  const {toYaml} = await import('./yaml.ts')
  const empty = toYaml(documentOf({...report, items: []}, nowMs))
  const [before, after] = around(empty, '\nitems: []\n')
  let isEmpty = true
  for (const text of texts) {
    yield isEmpty ? `${before}\nitems:\n${text}` : text
    isEmpty = false
  }
  yield isEmpty ? empty : after
}

function around(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark)
  return [text.slice(0, at), text.slice(at + mark.length)]
}

function* parts<T>(
  items: readonly T[],
  textOf: (items: readonly T[]) => string,
): Generator<string, void, undefined> {
  for (let start = 0; start < items.length; start += PIECE_ITEMS)
    yield textOf(items.slice(start, start + PIECE_ITEMS))
}

function* rowsOf<T>(items: readonly T[], lines: TableLines<T>): Generator<string, void, undefined> {
  for (const item of items) yield lines.pack(item)
}
