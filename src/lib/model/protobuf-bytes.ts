// SPDX-License-Identifier: Apache-2.0
/** The wire format of protobuf: tags, numbers of variable length, bytes. Every read stays within the message. */

/** Content type of it, as Kubernetes names it. */
export const PROTOBUF = 'application/vnd.kubernetes.protobuf'
/** In front of every object of Kubernetes. */
export const MAGIC = Buffer.from('k8s\0')

/** A tag is the number of a field and, in its lowest bits, the form of what follows. */
export const TAG_BITS = 3
export const WIRE_BITS = 7
export const VARINT = 0
export const BYTES = 2
const FIXED64 = 1
const FIXED32 = 5
const EIGHT_BYTES = 8
const FOUR_BYTES = 4

const MORE = 0x80
const SEVEN_BITS = 0x7f
const TWO_TO_THE_32 = 2 ** 32
const SIGN = 2 ** 31
/** A number of 64 bits takes ten bytes. */
const MAX_SHIFT = 63

/** What is no protobuf, or breaks off. */
export class ProtobufError extends Error {}

/** Walks over `bytes`; `at` is the position of what is read next. */
export class ProtobufBytes {
  readonly bytes: Buffer
  at: number

  constructor(bytes: Buffer, start = 0) {
    this.bytes = bytes
    this.at = start
  }

  /** A number below 2^32; of a longer one only whether it is one is looked at. @throws ProtobufError */
  small(): number {
    const first = this.bytes[this.at] as number
    if (first < MORE) {
      this.at += 1
      return first
    }
    return this.integer() >>> 0
  }

  /** A signed number of up to 64 bits, as exact as a double is. @throws ProtobufError */
  integer(): number {
    const {bytes} = this
    let [low, high] = [0, 0]
    for (let shift = 0; shift <= MAX_SHIFT; shift += 7) {
      const byte = bytes[this.at]
      if (byte === undefined) break
      this.at += 1
      const bits = byte & SEVEN_BITS
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high |= bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < MORE) return signed(low >>> 0, high >>> 0)
    }
    throw new ProtobufError('a number breaks off')
  }

  /** Length of what follows. @throws ProtobufError where it goes beyond `end` */
  length(end: number): number {
    const length = this.small()
    if (length > end - this.at) throw new ProtobufError('a field is longer than what it is in')
    return length
  }

  /** Bytes with their length in front. @throws ProtobufError */
  take(end: number): Buffer {
    const length = this.length(end)
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  /** Text with its length in front. @throws ProtobufError */
  text(end: number): string {
    const length = this.length(end)
    const start = this.at
    this.at += length
    return knownText(this.bytes, start, length)
  }

  private skip(length: number): void {
    this.at += length
  }

  /** Behind the value of a field of wire type `wire`. @throws ProtobufError */
  pass(wire: number, end: number): void {
    if (wire === VARINT) this.integer()
    else if (wire === BYTES) this.skip(this.length(end))
    else if (wire === FIXED64) this.at += EIGHT_BYTES
    else if (wire === FIXED32) this.at += FOUR_BYTES
    else throw new ProtobufError(`a field has the wire type ${wire}`)
    if (this.at > end) throw new ProtobufError('a field is longer than what it is in')
  }
}

/** Texts of a list repeat: names of labels, of nodes, states. A slot keeps the last one that fell into it. */
const SLOTS = 4096
const SLOT_BYTES = 40
const slab = new Uint8Array(SLOTS * SLOT_BYTES)
const texts: string[] = new Array<string>(SLOTS).fill('')
const HASH_FACTOR = 31

function knownText(bytes: Buffer, start: number, length: number): string {
  if (length > SLOT_BYTES || length === 0) return bytes.toString('utf8', start, start + length)
  let hash = length
  for (let at = 0; at < length; at += 1)
    hash = (Math.imul(hash, HASH_FACTOR) + (bytes[start + at] as number)) | 0
  const slot = (hash ^ (hash >>> 12)) & (SLOTS - 1)
  const from = slot * SLOT_BYTES
  const known = texts[slot] as string
  if (known.length === length && isSame(bytes, start, from, length)) return known
  const text = bytes.toString('utf8', start, start + length)
  texts[slot] = ''
  // Only a text of ASCII is as long as its bytes.
  if (text.length === length) {
    for (let at = 0; at < length; at += 1) slab[from + at] = bytes[start + at] as number
    texts[slot] = text
  }
  return text
}

function isSame(bytes: Buffer, start: number, from: number, length: number): boolean {
  for (let at = 0; at < length; at += 1) if (bytes[start + at] !== slab[from + at]) return false
  return true
}

function signed(low: number, high: number): number {
  if (high < SIGN) return high * TWO_TO_THE_32 + low
  return -((~high >>> 0) * TWO_TO_THE_32 + (~low >>> 0)) - 1
}
