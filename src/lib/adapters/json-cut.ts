// SPDX-License-Identifier: Apache-2.0
/** JSON without the members that nobody asked for, cut out of its bytes: parsing what is left costs a fifth. */
import type {FieldTree} from '../ports.ts'

const QUOTE = 34
const COMMA = 44
const COLON = 58
const OPEN_LIST = 91
const BACKSLASH = 92
const CLOSE_LIST = 93
const OPEN_OBJECT = 123
const CLOSE_OBJECT = 125
const BLANK = 32
const SHORT_BYTES = 48
const NONE: readonly Wanted[] = []

/** A member that is wanted; `tree` undefined: whole. */
interface Wanted {
  readonly name: Uint8Array
  readonly text: string
  readonly tree: Tree | undefined
}

/** By the length of the name in bytes: most members that nobody asked for differ in it already. */
type Tree = readonly (readonly Wanted[] | undefined)[]

/**
 * What is left of `bytes`, moved to their front: they are overwritten. Undefined for what cannot be JSON; members that
 * are cut out are not looked at, the others are whatever `JSON.parse` makes of them.
 */
export function cutJson(bytes: Uint8Array, fields: FieldTree): Uint8Array | undefined {
  return jsonCutter(fields)(bytes)
}

/** {@link cutJson} for many bodies. */
export function jsonCutter(fields: FieldTree): (bytes: Uint8Array) => Uint8Array | undefined {
  const tree = compile(fields)
  return (bytes) => {
    const cutter = new Cutter(bytes)
    return cutter.run(tree) ? bytes.subarray(0, cutter.written) : undefined
  }
}

function compile(fields: FieldTree): Tree {
  const encoder = new TextEncoder()
  const tree: Wanted[][] = []
  for (const [text, below] of Object.entries(fields)) {
    const name = encoder.encode(text)
    const wanted = {name, text, tree: below === true ? undefined : compile(below)}
    const alike = tree[name.length]
    if (alike === undefined) tree[name.length] = [wanted]
    else alike.push(wanted)
  }
  return Array.from(tree)
}

/** Positions behind the end mean that the text is no JSON. */
class Cutter {
  written = 0
  private readonly bytes: Uint8Array
  private readonly end: number

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.end = bytes.length
  }

  run(tree: Tree): boolean {
    const start = this.blanks(0)
    const after = this.bytes[start] === OPEN_OBJECT ? this.object(start, tree) : this.end + 1
    return after <= this.end && this.blanks(after) === this.end
  }

  /** Copies the value at `at`, reduced; gives the position behind it. Lists in lists stay whole. */
  private value(at: number, tree: Tree): number {
    const mark = this.bytes[at]
    if (mark === OPEN_OBJECT) return this.object(at, tree)
    return mark === OPEN_LIST ? this.list(at, tree) : this.copy(at, this.skip(at))
  }

  private object(at: number, tree: Tree): number {
    this.put(OPEN_OBJECT)
    const empty = this.written
    let next = this.blanks(at + 1)
    if (this.bytes[next] === CLOSE_OBJECT) return this.close(next, CLOSE_OBJECT)
    for (;;) {
      next = this.blanks(this.member(next, tree, this.written === empty))
      if (this.bytes[next] === CLOSE_OBJECT) return this.close(next, CLOSE_OBJECT)
      if (this.bytes[next] !== COMMA) return this.end + 1
      next = this.blanks(next + 1)
    }
  }

  private member(at: number, tree: Tree, isFirst: boolean): number {
    if (this.bytes[at] !== QUOTE) return this.end + 1
    const nameEnd = this.textEnd(at)
    const colon = this.blanks(nameEnd)
    if (this.bytes[colon] !== COLON) return this.end + 1
    const start = this.blanks(colon + 1)
    const wanted = this.find(tree, at + 1, nameEnd - 1) ?? this.findEscaped(tree, at, nameEnd)
    if (wanted === undefined) return this.skip(start)
    if (!isFirst) this.put(COMMA)
    if (wanted.tree === undefined) return this.copy(at, this.skip(start))
    this.copy(at, start)
    return this.value(start, wanted.tree)
  }

  private list(at: number, tree: Tree): number {
    this.put(OPEN_LIST)
    let next = this.blanks(at + 1)
    if (this.bytes[next] === CLOSE_LIST) return this.close(next, CLOSE_LIST)
    for (;;) {
      next = this.bytes[next] === OPEN_OBJECT ? this.object(next, tree) : this.copy(next, this.skip(next))
      next = this.blanks(next)
      if (this.bytes[next] === CLOSE_LIST) return this.close(next, CLOSE_LIST)
      if (this.bytes[next] !== COMMA) return this.end + 1
      this.put(COMMA)
      next = this.blanks(next + 1)
    }
  }

  private find(tree: Tree, start: number, end: number): Wanted | undefined {
    const candidates = tree[end - start]
    if (candidates === undefined) return undefined
    const {bytes} = this
    next: for (const wanted of candidates) {
      const {name} = wanted
      for (let at = 0; at < name.length; at += 1) if (bytes[start + at] !== name[at]) continue next
      return wanted
    }
    return undefined
  }

  /** The same name can be written in many ways. */
  private findEscaped(tree: Tree, start: number, end: number): Wanted | undefined {
    const {bytes} = this
    let at = start
    while (at < end && bytes[at] !== BACKSLASH) at += 1
    if (at === end) return undefined
    try {
      const name: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(start, end)))
      return tree.flatMap((wanted) => wanted ?? NONE).find(({text}) => text === name)
    } catch {
      // No text: what is cut out is not looked at.
      return undefined
    }
  }

  /** Behind the value that starts at `start`. */
  private skip(start: number): number {
    const mark = this.bytes[start]
    if (mark === QUOTE) return this.textEnd(start)
    return mark === OPEN_OBJECT || mark === OPEN_LIST ? this.nestEnd(start) : this.wordEnd(start)
  }

  private nestEnd(start: number): number {
    const {bytes, end} = this
    let depth = 0
    for (let at = start; at < end; at += 1) {
      const mark = bytes[at]
      if (mark === QUOTE) at = this.textEnd(at) - 1
      else if (mark === OPEN_OBJECT || mark === OPEN_LIST) depth += 1
      else if (mark === CLOSE_OBJECT || mark === CLOSE_LIST) {
        depth -= 1
        if (depth === 0) return at + 1
      }
    }
    return end + 1
  }

  /** Behind a number, `true`, `false`, `null`, and blanks. */
  private wordEnd(start: number): number {
    for (let at = start; at < this.end; at += 1) {
      const mark = this.bytes[at]
      if (mark === COMMA || mark === CLOSE_OBJECT || mark === CLOSE_LIST) return at
    }
    return this.end + 1
  }

  /** Behind the closing quote of the text whose opening one stands at `start`. */
  private textEnd(start: number): number {
    const {bytes, end} = this
    let at = start + 1
    for (let inside = bytes[at]; inside !== QUOTE; inside = bytes[at]) {
      at += inside === BACKSLASH ? 2 : 1
      if (at >= end) return end + 1
    }
    return at + 1
  }

  private blanks(at: number): number {
    let next = at
    while (next < this.end && (this.bytes[next] as number) <= BLANK) next += 1
    return next
  }

  private put(mark: number): void {
    this.bytes[this.written] = mark
    this.written += 1
  }

  private copy(start: number, end: number): number {
    if (end > this.end) return end
    const {bytes, written} = this
    const length = end - start
    // Most are names and words: for them the call costs more than the copy.
    if (length > SHORT_BYTES) bytes.copyWithin(written, start, end)
    else for (let at = 0; at < length; at += 1) bytes[written + at] = bytes[start + at] as number
    this.written = written + length
    return end
  }

  private close(at: number, mark: number): number {
    this.put(mark)
    return at + 1
  }
}
