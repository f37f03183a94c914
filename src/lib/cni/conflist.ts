// SPDX-License-Identifier: Apache-2.0
/**
 * Our plugin's entry in a CNI network list, edited as text: every byte that is not ours stays.
 * Bytes are handled as Latin-1, one character a byte: JSON's own characters are ASCII, so offsets are bytes
 * and text that is no UTF-8 comes through, too.
 */
import {isDeepStrictEqual} from 'node:util'
import {KmeshError, messageOf} from '../errors.ts'
import {layoutOf, type Span, withLayout} from './conflist-layout.ts'
import {endOfText, endOfValue, skipBlanks} from './raw-json.ts'

export const PLUGIN_TYPE = 'kmesh-cni'

/** A plugin's object in `plugins`; ours is told by `type`. */
export interface PluginEntry {
  readonly type: typeof PLUGIN_TYPE
  readonly [field: string]: string
}

export interface Conflist {
  /** Plugins that are not ours. */
  readonly others: number
  /** Entries of ours, of whatever version. */
  readonly ours: number
  /** No CNI runtime reads a file that begins with one. */
  readonly hasByteOrderMark: boolean
}

/** @throws KmeshError `BadConflist` where it is no network list; comments are no JSON */
export function inspectConflist(bytes: Uint8Array): Conflist {
  const {plugins, start} = parse(bytes)
  const ours = plugins.filter(isOurs).length
  return {others: plugins.length - ours, ours, hasByteOrderMark: start > 0}
}

/**
 * Puts the entry behind all others, in the style of the file, or in place of the one that is there.
 *
 * @returns the same bytes where exactly this entry is there already, however it is written
 * @throws KmeshError `BadConflist`
 */
export function withEntry(bytes: Uint8Array, entry: PluginEntry): Uint8Array {
  const list = parse(bytes)
  const first = list.plugins.findIndex(isOurs)
  // In front of all others it would get no result to hand on: the runtime could start no pod.
  if (first < 0 || (first === 0 && list.plugins.length > 1)) return append(remove(bytes), entry)
  const place = list.plugins[first] as Plugin
  const isAlone = list.plugins.filter(isOurs).length === 1
  if (isAlone && isDeepStrictEqual(valueAt(list.text, place.span), entry)) return bytes
  const text = withLayout(entry, layoutOf(list.text, place.span, undefined))
  return remove(replaced(list.text, place.span, text), (_plugin, index) => index !== first)
}

/**
 * Takes out every entry of ours; undoes withEntry to the byte.
 *
 * @param only - `any`: also those of other makers of our type, which need the program that we take away
 * @returns the same bytes where there is none
 * @throws KmeshError `BadConflist`
 */
export function withoutEntry(bytes: Uint8Array, only: 'any' | 'withSocket' = 'any'): Uint8Array {
  return only === 'any' ? remove(bytes) : remove(bytes, hasSocket)
}

/** Go daemons write none. */
function hasSocket({value}: Plugin): boolean {
  return typeof (value as {socket?: unknown}).socket === 'string'
}

interface Plugin {
  readonly span: Span
  readonly value: unknown
}

interface Parsed {
  readonly text: string
  /** Where the JSON starts: behind a byte order mark. */
  readonly start: number
  /** Of the last `plugins`: the one that counts where there are several. */
  readonly array: Span
  readonly plugins: readonly Plugin[]
}

const BYTE_ORDER_MARK = '\u00ef\u00bb\u00bf'

function parse(bytes: Uint8Array): Parsed {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const start = text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0
  const root = parseJson(text.slice(start))
  if (typeof root !== 'object' || root === null || Array.isArray(root)) throw bad('it is no JSON object')
  const values: unknown = (root as {plugins?: unknown}).plugins
  if (!Array.isArray(values)) throw bad("it has no list 'plugins'")
  const array = memberSpan(text, start, 'plugins')
  const plugins = elementSpans(text, array).map((span, index) => ({span, value: values[index] as unknown}))
  return {text, start, array, plugins}
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    // Its words may quote the file, which may hold secrets of other plugins: only the place is told.
    const place = /position \d+(?: \(line \d+ column \d+\))?/.exec(messageOf(error))?.[0]
    const comment = /^\s*(?:\/[/*]|#)/m.test(text) ? '; comments are not allowed' : ''
    throw bad(`it is no JSON${place === undefined ? '' : `, at ${place}`}${comment}`)
  }
}

function bad(why: string): KmeshError {
  return new KmeshError(why, {code: 'BadConflist'})
}

function isOurs({value}: Plugin): boolean {
  return (value as {type?: unknown} | null)?.type === PLUGIN_TYPE
}

/** Value of the last member of that name of the object that starts at or behind `from`. */
function memberSpan(text: string, from: number, name: string): Span {
  let found: Span = {start: from, end: from}
  let position = skipBlanks(text, skipBlanks(text, from) + 1)
  while (text[position] === '"') {
    const keyEnd = endOfText(text, position)
    const start = skipBlanks(text, skipBlanks(text, keyEnd) + 1)
    const end = endOfValue(text, start)
    if (JSON.parse(text.slice(position, keyEnd)) === name) found = {start, end}
    position = skipBlanks(text, end)
    if (text[position] === ',') position = skipBlanks(text, position + 1)
  }
  return found
}

function elementSpans(text: string, array: Span): Span[] {
  const spans: Span[] = []
  let position = skipBlanks(text, array.start + 1)
  while (position < array.end - 1) {
    const end = endOfValue(text, position)
    spans.push({start: position, end})
    position = skipBlanks(text, end)
    if (text[position] === ',') position = skipBlanks(text, position + 1)
  }
  return spans
}

function append(bytes: Uint8Array, entry: PluginEntry): Uint8Array {
  const {text, array, plugins} = parse(bytes)
  const last = plugins.at(-1)?.span
  if (last === undefined) {
    const at = {start: array.start + 1, end: array.start + 1}
    return replaced(text, at, withLayout(entry, layoutOf(text, array, undefined)))
  }
  const before = plugins.at(-2)?.span.end
  const layout = layoutOf(text, last, before === undefined ? array.start + 1 : skipBlanks(text, before) + 1)
  return replaced(text, {start: last.end, end: last.end}, `,${layout.separator}${withLayout(entry, layout)}`)
}

/** @param which - of the entries that are ours */
function remove(
  bytes: Uint8Array,
  which: (plugin: Plugin, index: number) => boolean = () => true,
): Uint8Array {
  const {text, plugins} = parse(bytes)
  const goes = plugins.map((plugin, index) => isOurs(plugin) && which(plugin, index))
  if (!goes.includes(true)) return bytes
  let result = ''
  let copied = 0
  for (let first = goes.indexOf(true); first >= 0; ) {
    const stays = goes.indexOf(false, first)
    const {start, end} = cut(plugins, first, stays < 0 ? plugins.length : stays)
    result += text.slice(copied, start)
    copied = end
    first = stays < 0 ? -1 : goes.indexOf(true, stays)
  }
  return Buffer.from(result + text.slice(copied), 'latin1')
}

function valueAt(text: string, {start, end}: Span): unknown {
  return JSON.parse(Buffer.from(text.slice(start, end), 'latin1').toString('utf8'))
}

/** With the comma before it; at the front with the one behind it. */
function cut(plugins: readonly Plugin[], first: number, next: number): Span {
  const spans = plugins.map(({span}) => span)
  const end = spans[next - 1]?.end ?? 0
  if (first > 0) return {start: spans[first - 1]?.end ?? 0, end}
  return {start: spans[0]?.start ?? 0, end: spans[next]?.start ?? end}
}

function replaced(text: string, {start, end}: Span, by: string): Uint8Array {
  return Buffer.from(text.slice(0, start) + by + text.slice(end), 'latin1')
}
