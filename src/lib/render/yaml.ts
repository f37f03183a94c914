// SPDX-License-Identifier: Apache-2.0
/**
 * JSON values as YAML. Own code, because the packages build a tree of the whole document first: 100,000 entries of a
 * map took 8 s and 590 MB.
 */
import {escapeJsonText} from './text.ts'

/** Text that every YAML reader takes as text without quotes; all other text is quoted as JSON, which is YAML too. */
const PLAIN = /^(?:[A-Za-z_](?:[\w ./@,'()+=-]*[\w./@)=-])?|\d{1,3}(?:\.\d{1,3}){3})$/
/** Words that YAML 1.1 or 1.2 readers take for something else. */
const RESERVED = /^(?:true|false|yes|no|on|off|y|n|null)$/i
const MOST_RESERVED = 5

/** Field names as text: the same few stand in every item, and looking at each of them costs more than the rest. */
export type KnownNames = Map<string, string>

/** Ids are names too where names of ids are listed: those are many. */
const MOST_KNOWN_NAMES = 500

/** With a line break at the end. What JSON.stringify leaves out is left out. Control characters are escaped. */
export function toYaml(value: unknown): string {
  const text = valueText(value, '', new Map())
  return text.startsWith('\n') ? text.slice(1) : text.trimStart()
}

/** The lines of a list's items, each line behind `indent`. */
export function yamlItems(items: readonly unknown[], indent: string, names: KnownNames = new Map()): string {
  let lines = ''
  for (const item of items) {
    const isObject = typeof item === 'object' && item !== null && !Array.isArray(item)
    // The first field stands beside the dash.
    const fields = isObject ? fieldLines(item, `${indent}- `, `${indent}  `, names) : ''
    lines += fields === '' ? `${indent}-${valueText(item, `${indent}  `, names)}` : fields
  }
  return lines
}

/** After `key:` or `-`: what follows it, with the blank or the line break in front and a line break at the end. */
function valueText(value: unknown, indent: string, names: KnownNames): string {
  if (typeof value !== 'object' || value === null) return ` ${scalar(value)}\n`
  const isList = Array.isArray(value)
  const lines = isList ? yamlItems(value, indent, names) : fieldLines(value, indent, indent, names)
  if (lines === '') return isList ? ' []\n' : ' {}\n'
  return `\n${lines}`
}

function fieldLines(object: object, first: string, indent: string, names: KnownNames): string {
  let lines = ''
  for (const [name, value] of Object.entries(object)) {
    if (value === undefined) continue
    lines += `${lines === '' ? first : indent}${nameText(name, names)}:${valueText(value, `${indent}  `, names)}`
  }
  return lines
}

function nameText(name: string, names: KnownNames): string {
  const known = names.get(name)
  if (known !== undefined) return known
  const found = text(name)
  if (names.size < MOST_KNOWN_NAMES) names.set(name, found)
  return found
}

function scalar(value: unknown): string {
  if (typeof value === 'string') return text(value)
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  // Numbers that are none, and anything else JSON has no word for.
  return JSON.stringify(value) ?? 'null'
}

function text(value: string): string {
  const isPlain = PLAIN.test(value) && !(value.length <= MOST_RESERVED && RESERVED.test(value))
  return isPlain ? value : escapeJsonText(JSON.stringify(value))
}
