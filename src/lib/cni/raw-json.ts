// SPDX-License-Identifier: Apache-2.0
/** Finds a member of a JSON object as it was written, so that it can be handed on byte for byte. */

/**
 * Text of the member `name` of the outermost object; of the last one where there are several, as JSON.parse takes it.
 * Undefined where there is none.
 *
 * @param json - text that JSON.parse takes and that is an object
 */
export function rawMember(json: string, name: string): string | undefined {
  let found: string | undefined
  let position = json.indexOf('{') + 1
  for (;;) {
    position = skipBlanks(json, position)
    if (json[position] !== '"') return found
    const keyEnd = endOfText(json, position)
    const key: unknown = JSON.parse(json.slice(position, keyEnd))
    const start = skipBlanks(json, skipBlanks(json, keyEnd) + 1)
    const end = endOfValue(json, start)
    if (key === name) found = json.slice(start, end)
    position = skipBlanks(json, end)
    if (json[position] === ',') position += 1
  }
}

/** @returns the first position from `from` on that is no white space */
export function skipBlanks(json: string, from: number): number {
  let position = from
  while (' \t\n\r'.includes(json[position] ?? '-')) position += 1
  return position
}

/** @param from - at the opening quote; @returns behind the closing one */
export function endOfText(json: string, from: number): number {
  let position = from + 1
  while (position < json.length && json[position] !== '"') position += json[position] === '\\' ? 2 : 1
  return position + 1
}

const DEPTH: Readonly<Record<string, number>> = {'{': 1, '[': 1, '}': -1, ']': -1}

/** Counts brackets instead of calling itself: depth costs no stack. */
export function endOfValue(json: string, from: number): number {
  const first = json[from] ?? ''
  if (first === '"') return endOfText(json, from)
  if (DEPTH[first] === undefined) return endOfWord(json, from)
  let depth = 0
  let position = from
  do {
    const character = json[position] ?? ''
    if (character === '"') {
      position = endOfText(json, position)
      continue
    }
    depth += DEPTH[character] ?? 0
    position += 1
  } while (depth > 0 && position < json.length)
  return position
}

/** Numbers, true, false and null. */
function endOfWord(json: string, from: number): number {
  let position = from
  while (position < json.length && !',}] \t\n\r'.includes(json[position] ?? '')) position += 1
  return position
}
