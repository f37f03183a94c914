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

/** With a line break at the end. What JSON.stringify leaves out is left out. Control characters are escaped. */
export function toYaml(value: unknown): string {
  const parts: string[] = []
  write(parts, value, '')
  const text = parts.join('')
  return text.startsWith('\n') ? text.slice(1) : text.trimStart()
}

/** The lines of a list's items, each line behind `indent`. */
export function yamlItems(items: readonly unknown[], indent: string): string {
  const parts: string[] = []
  writeItems(parts, items, indent)
  return parts.join('')
}

/** After `key:` or `-`: what follows it, with the blank or the line break in front and a line break at the end. */
function write(parts: string[], value: unknown, indent: string): void {
  if (typeof value !== 'object' || value === null) {
    parts.push(' ', scalar(value), '\n')
    return
  }
  const isList = Array.isArray(value)
  const entries = isList ? value : Object.entries(value).filter(([, one]) => one !== undefined)
  if (entries.length === 0) {
    parts.push(isList ? ' []\n' : ' {}\n')
    return
  }
  parts.push('\n')
  if (isList) writeItems(parts, value, indent)
  else writeFields(parts, entries as [string, unknown][], indent, indent)
}

function writeItems(parts: string[], items: readonly unknown[], indent: string): void {
  for (const item of items) {
    const fields = fieldsOf(item)
    if (fields.length === 0) {
      parts.push(indent, '-')
      write(parts, item, `${indent}  `)
    } else {
      // The first field stands beside the dash.
      writeFields(parts, fields, `${indent}- `, `${indent}  `)
    }
  }
}

/** Of an object; none for anything else. */
function fieldsOf(value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  return Object.entries(value).filter(([, one]) => one !== undefined)
}

function writeFields(
  parts: string[],
  fields: readonly [string, unknown][],
  first: string,
  indent: string,
): void {
  let before = first
  for (const [name, value] of fields) {
    parts.push(before, text(name), ':')
    write(parts, value, `${indent}  `)
    before = indent
  }
}

function scalar(value: unknown): string {
  if (typeof value === 'string') return text(value)
  // Numbers that are none, and anything else JSON has no word for.
  return JSON.stringify(value) ?? 'null'
}

function text(value: string): string {
  return PLAIN.test(value) && !RESERVED.test(value) ? value : escapeJsonText(JSON.stringify(value))
}
