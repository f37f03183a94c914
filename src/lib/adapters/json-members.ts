// SPDX-License-Identifier: Apache-2.0
/** One JSON object, read piece by piece: lists in it come element by element, so that only one element is held. */
import {UnreachableError} from '../errors.ts'
import type {Member} from '../ports.ts'
import {parseJson} from './admin-wire.ts'

const QUOTE = 34
const COMMA = 44
const BACKSLASH = 92
const OPEN_LIST = 91
const CLOSE_LIST = 93
const OPEN_OBJECT = 123
const CLOSE_OBJECT = 125

/** Inside nothing, the object, or a list that is a member of it. */
type Depth = 0 | 1 | 2

export class MemberReader {
  private readonly maxCharacters: number
  /** What is held of the member or element that is not whole yet. */
  private held = ''
  private text = ''
  private start = 0
  private level: Depth = 0
  /** Brackets that are open inside the element. */
  private inner = 0
  private inText = false
  private escaped = false
  private list = ''
  private isOver = false
  private members: Member[] = []

  /** @param maxCharacters - of one element, or of one member that is no list. */
  constructor(maxCharacters: number) {
    this.maxCharacters = maxCharacters
  }

  /**
   * What became whole with this text, in its order.
   *
   * @throws UnreachableError `BadAnswer` for what is no JSON object, `TooLarge`
   */
  push(text: string): readonly Member[] {
    this.members = []
    this.text = text
    this.start = 0
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at)
      if (this.inText) this.textCharacter(code)
      else if (code === QUOTE) this.inText = true
      else if (code === COMMA || code >= OPEN_LIST) this.mark(code, at)
    }
    this.held += text.slice(this.start)
    if (this.held.length > this.maxCharacters) {
      throw new UnreachableError('read', `an entry is longer than ${this.maxCharacters} characters`, {
        code: 'TooLarge',
      })
    }
    if (this.level === 0 && this.held.trim() !== '') this.refuse(this.held)
    return this.members
  }

  /** @throws UnreachableError `Cut` when the object did not end. */
  end(): void {
    if (this.isOver) return
    if (this.level === 0) this.refuse(this.held)
    throw new UnreachableError('read', 'the answer ended before its JSON did', {code: 'Cut'})
  }

  private textCharacter(code: number): void {
    if (this.escaped) this.escaped = false
    else if (code === BACKSLASH) this.escaped = true
    else if (code === QUOTE) this.inText = false
  }

  private mark(code: number, at: number): void {
    const opens = code === OPEN_LIST || code === OPEN_OBJECT
    if (!opens && code !== COMMA && code !== CLOSE_LIST && code !== CLOSE_OBJECT) return
    if (this.inner > 0 || (opens && this.level === 2) || (code === OPEN_OBJECT && this.level === 1)) {
      this.nest(code, opens)
      return
    }
    if (this.level === 0) this.openObject(code, at)
    else if (this.level === 1) this.objectMark(code, at)
    else this.listMark(code, at)
  }

  private nest(code: number, opens: boolean): void {
    if (opens) this.inner += 1
    else if (code !== COMMA) this.inner -= 1
  }

  private openObject(code: number, at: number): void {
    const before = this.take(at)
    if (this.isOver || code !== OPEN_OBJECT || before.trim() !== '') this.refuse(before + this.text.slice(at))
    this.level = 1
  }

  private objectMark(code: number, at: number): void {
    const member = this.take(at)
    if (code === OPEN_LIST) {
      this.list = this.whole(`${member}[]`)
      this.level = 2
      return
    }
    if (code === CLOSE_LIST) this.refuse(member)
    if (member.trim() !== '') this.whole(member)
    if (code === COMMA) return
    this.level = 0
    this.isOver = true
  }

  private listMark(code: number, at: number): void {
    const element = this.take(at)
    if (code === CLOSE_OBJECT) this.refuse(element)
    if (element.trim() !== '' || code === COMMA) {
      this.members.push({name: this.list, isItem: true, value: parseJson(element)})
    }
    if (code === CLOSE_LIST) this.level = 1
  }

  /** One member that is no list, or a list without its elements. Gives its name. */
  private whole(member: string): string {
    const [entry, ...more] = Object.entries(parseJson(`{${member}}`) as object)
    if (entry === undefined || more.length > 0) return this.refuse(member)
    this.members.push({name: entry[0], isItem: false, value: entry[1]})
    return entry[0]
  }

  private take(at: number): string {
    const taken = this.held + this.text.slice(this.start, at)
    this.held = ''
    this.start = at + 1
    return taken
  }

  private refuse(text: string): never {
    const start = JSON.stringify(text.slice(0, 40))
    throw new UnreachableError('decode', `the answer is no JSON object, at ${start}`, {code: 'BadAnswer'})
  }
}
