// SPDX-License-Identifier: Apache-2.0
/** Lists as protobuf, for who asks for them so: written backwards, as Kubernetes does, so that lengths are known. */
import {BYTES, MAGIC, PROTOBUF, TAG_BITS, VARINT} from '../../model/protobuf-bytes.ts'
import {arrayOf, fieldsOf, textOf} from './object.ts'
import {MESSAGES, messageOfKind} from './protobuf.ts'

const MORE = 0x80
const SEVEN_BITS = 7
const FIRST_BYTES = 16 * 1024
const MS_IN_SECOND = 1000
/** Of a list, of `Unknown` and of an entry of a map. */
const [LIST_METADATA, LIST_ITEMS] = [1, 2]
const [UNKNOWN_TYPE, UNKNOWN_RAW] = [1, 2]
const [MAP_KEY, MAP_VALUE] = [1, 2]

/** Is protobuf what the header asks for first? */
export function isProtobufAsked(accept: string | undefined): boolean {
  return accept?.split(',', 1)[0]?.trim() === PROTOBUF
}

const bytesOf = new WeakMap<object, Buffer>()

/** An item as it lies in a list, made once for all who read it. Undefined for a kind without a table. */
export function protobufItem(kind: string, object: object): Buffer | undefined {
  const known = bytesOf.get(object)
  const key = messageOfKind(kind)
  if (known !== undefined || key === undefined) return known
  const writer = new Writer()
  writer.single(LIST_ITEMS, key, object)
  const bytes = Buffer.from(writer.written())
  bytesOf.set(object, bytes)
  return bytes
}

/** @param items - as {@link protobufItem} makes them, one behind the other */
export function protobufList(
  {kind, apiVersion}: {readonly kind: string; readonly apiVersion: string},
  metadata: object,
  items: readonly Buffer[],
): Buffer {
  const writer = new Writer()
  writer.single(LIST_METADATA, 'meta.ListMeta', metadata)
  const raw = Buffer.concat([writer.written(), ...items])
  const envelope = new Writer()
  envelope.nest(UNKNOWN_RAW, () => envelope.raw(raw))
  envelope.nest(UNKNOWN_TYPE, () => {
    envelope.single(2, 'string', `${kind}List`)
    envelope.single(1, 'string', apiVersion)
  })
  envelope.raw(MAGIC)
  return envelope.written()
}

/** A field of the table, taken apart. */
interface Field {
  readonly number: number
  readonly name: string
  readonly type: string
  readonly form: 'single' | 'list' | 'map' | 'inline'
}

const fieldsOfMessage = new Map<string, readonly Field[]>()

/** The last one first. */
function fieldsBackwards(key: string): readonly Field[] {
  const known = fieldsOfMessage.get(key)
  if (known !== undefined) return known
  const fields = Object.entries(MESSAGES[key] ?? {}).map(([number, written]) =>
    fieldOf(Number(number), written),
  )
  fieldsOfMessage.set(key, fields.reverse())
  return fields
}

function fieldOf(number: number, written: string): Field {
  const [name = '', marked = ''] = written.split(' ')
  const type = marked.replace(/^[*~]/, '')
  if (type.endsWith('[]')) return {number, name, type: type.slice(0, -2), form: 'list'}
  if (type.endsWith('{}')) return {number, name, type: type.slice(0, -2), form: 'map'}
  return {number, name, type, form: marked.startsWith('~') ? 'inline' : 'single'}
}

/** Fills its buffer from the end. */
class Writer {
  private buffer = Buffer.allocUnsafe(FIRST_BYTES)
  private start = FIRST_BYTES

  written(): Buffer {
    return this.buffer.subarray(this.start)
  }

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.start -= bytes.length
    this.buffer.set(bytes, this.start)
  }

  /** A field whose bytes `write` puts in front. */
  nest(number: number, write: () => void): void {
    const left = this.buffer.length - this.start
    write()
    this.varint(this.buffer.length - this.start - left)
    this.varint((number << TAG_BITS) | BYTES)
  }

  single(number: number, type: string, value: unknown): void {
    if (type === 'integer' || type === 'boolean') {
      this.integer(Math.trunc(Number(value)) || 0)
      this.varint((number << TAG_BITS) | VARINT)
    } else this.nest(number, () => this.content(type, value))
  }

  private message(key: string, value: unknown): void {
    const object = fieldsOf(value)
    for (const {number, name, type, form} of fieldsBackwards(key)) {
      const field = object[name]
      if (form === 'inline') this.nest(number, () => this.message(type, object))
      else if (field === undefined || field === null) continue
      else if (form === 'list') this.list(number, type, field)
      else if (form === 'map') this.map(number, type, field)
      else this.single(number, type, field)
    }
  }

  private list(number: number, type: string, value: unknown): void {
    const items = arrayOf(value)
    for (let at = items.length - 1; at >= 0; at -= 1) this.single(number, type, items[at])
  }

  private map(number: number, type: string, value: unknown): void {
    for (const [key, item] of Object.entries(fieldsOf(value)).reverse()) {
      this.nest(number, () => {
        // A list inside of a map is a message with the list as its first field.
        if (type.endsWith('[]')) this.nest(MAP_VALUE, () => this.list(1, type.slice(0, -2), item))
        else this.single(MAP_VALUE, type, item)
        this.single(MAP_KEY, 'string', key)
      })
    }
  }

  private content(type: string, value: unknown): void {
    if (type === 'string') this.text(textOf(value))
    else if (type === 'bytes') this.raw(Buffer.from(textOf(value), 'base64'))
    else if (type === 'quantity') this.single(1, 'string', String(value))
    else if (type === 'json') this.single(1, 'string', JSON.stringify(value))
    else if (type === 'time') this.single(1, 'integer', Math.floor(Date.parse(textOf(value)) / MS_IN_SECOND))
    else if (type === 'intOrString') this.intOrString(value)
    else this.message(type, value)
  }

  private intOrString(value: unknown): void {
    const isText = typeof value === 'string'
    this.single(3, 'string', isText ? value : '')
    this.single(2, 'integer', isText ? 0 : value)
    this.single(1, 'integer', isText ? 1 : 0)
  }

  private text(text: string): void {
    const length = Buffer.byteLength(text)
    this.reserve(length)
    this.start -= length
    this.buffer.write(text, this.start)
  }

  private integer(value: number): void {
    if (value >= 0 && value < 2 ** 31) this.varint(value)
    else this.long(BigInt.asUintN(64, BigInt(value)))
  }

  /** A negative number takes all of its 64 bits. */
  private long(value: bigint): void {
    const bytes: number[] = []
    let rest = value
    for (; rest >= BigInt(MORE); rest >>= BigInt(SEVEN_BITS)) bytes.push(Number(rest & 0x7fn) | MORE)
    this.raw(Uint8Array.of(...bytes, Number(rest)))
  }

  private varint(value: number): void {
    let [length, more] = [1, value >>> SEVEN_BITS]
    for (; more > 0; more >>>= SEVEN_BITS) length += 1
    this.reserve(length)
    this.start -= length
    let rest = value
    for (let at = this.start; at < this.start + length; at += 1) {
      const isLast = at === this.start + length - 1
      this.buffer[at] = isLast ? rest : (rest & (MORE - 1)) | MORE
      rest >>>= SEVEN_BITS
    }
  }

  private reserve(length: number): void {
    if (length <= this.start) return
    const used = this.buffer.length - this.start
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length, length) * 2 + used)
    this.buffer.copy(larger, larger.length - used, this.start)
    this.start = larger.length - used
    this.buffer = larger
  }
}
