// SPDX-License-Identifier: Apache-2.0
/** How an entry is written so that it looks like its neighbours. */

/** Offsets of a text, the end not included. */
export interface Span {
  readonly start: number
  readonly end: number
}

export interface Layout {
  /** Blanks between a comma and the next entry. */
  readonly separator: string
  /** Before each line of the entry but the first; undefined: all on one line. */
  readonly lineStart: string | undefined
  /** What a member is indented by, more than its object. */
  readonly step: string
}

const MAX_BLANKS = 200
const DEFAULT_STEP = '  '

/**
 * Layout of the value at `span`.
 *
 * @param before - where the blanks before it start, behind bracket or comma
 */
export function layoutOf(text: string, span: Span, before: number | undefined): Layout {
  const separator = before === undefined ? '' : text.slice(before, span.start)
  const value = text.slice(span.start, Math.min(span.end, span.start + 2 * MAX_BLANKS))
  const inside = /^[{[][ \t]*(\r?\n|\r)([ \t]*)(?=\S)/.exec(value)
  const usable = separator.length <= MAX_BLANKS ? separator : ''
  if (inside === null) return {separator: usable, lineStart: undefined, step: DEFAULT_STEP}
  const outer = indentOf(text, span.start)
  const inner = inside[2] ?? ''
  const step = inner.startsWith(outer) && inner.length > outer.length ? inner.slice(outer.length) : ''
  return {separator: usable, lineStart: `${inside[1]}${outer}`, step}
}

/** Blanks at the start of the line that holds `position`. */
function indentOf(text: string, position: number): string {
  const lineStart = Math.max(text.lastIndexOf('\n', position - 1), text.lastIndexOf('\r', position - 1)) + 1
  const indent = /^[ \t]*/.exec(text.slice(lineStart, Math.min(position, lineStart + MAX_BLANKS)))?.[0]
  return indent ?? ''
}

/** The object as JSON, all of it ASCII. */
export function withLayout(entry: Readonly<Record<string, string>>, {lineStart, step}: Layout): string {
  if (lineStart === undefined) return ascii(JSON.stringify(entry))
  const lines = Object.entries(entry).map(
    ([name, value]) => `${lineStart}${step}${JSON.stringify(name)}: ${JSON.stringify(value)}`,
  )
  return ascii(`{${lines.join(',')}${lineStart}}`)
}

function ascii(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
