// SPDX-License-Identifier: Apache-2.0
/**
 * Byte layouts as values. A codec knows its length and turns bytes into plain
 * data and back, so that layouts can be tested without a kernel.
 * Integers are little-endian (hosts of amd64 and arm64), addresses and ports in
 * network order, as contracts 4.5 has them.
 */
import ipaddr from 'ipaddr.js'
import {LayoutError} from '../errors.ts'

export interface Codec<T> {
  readonly bytes: number
  /** Reads `bytes` bytes at `offset`; never throws on any content of the right length. */
  read(view: DataView, offset: number): T
  /** Writes all `bytes` bytes at `offset`; the target is zeroed before. */
  write(view: DataView, offset: number, value: T): void
}

export type Decoded<C> = C extends Codec<infer T> ? T : never

/** Decodes exactly one value. @throws LayoutError when the length differs. */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  if (bytes.byteLength !== codec.bytes) {
    throw new LayoutError(`expected ${codec.bytes} bytes, got ${bytes.byteLength}`)
  }
  return codec.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0)
}

export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const bytes = new Uint8Array(codec.bytes)
  codec.write(new DataView(bytes.buffer), 0, value)
  return bytes
}

/** Unsigned 32 bits, little-endian. */
export const u32: Codec<number> = {
  bytes: 4,
  read: (view, offset) => view.getUint32(offset, true),
  write: (view, offset, value) => view.setUint32(offset, value, true),
}

/** Unsigned 64 bits, little-endian, as decimal text: JSON numbers end at 2^53. */
export const u64: Codec<string> = {
  bytes: 8,
  read: (view, offset) => view.getBigUint64(offset, true).toString(),
  write: (view, offset, value) => view.setBigUint64(offset, BigInt(value), true),
}

/** Port number in host terms; stored as u32 whose first two bytes are the port in network order. */
export const portBE: Codec<number> = {
  bytes: 4,
  read: (view, offset) => view.getUint16(offset, false),
  write: (view, offset, value) => view.setUint16(offset, value, false),
}

/**
 * Address text; 16 bytes, IPv4 in the first four and the rest zero. An IPv6 address whose last twelve bytes
 * are zero cannot be told from IPv4; only `::` itself is given as `null`, which means "none".
 */
export const ip16: Codec<string | null> = {
  bytes: 16,
  read: (view, offset) => {
    const rest = view.getUint32(offset + 4) | view.getUint32(offset + 8) | view.getUint32(offset + 12)
    if (rest !== 0) return addressText(new Uint8Array(view.buffer, view.byteOffset + offset, 16))
    const ipv4 = view.getUint32(offset)
    return ipv4 === 0 ? null : `${ipv4 >>> 24}.${(ipv4 >>> 16) & 255}.${(ipv4 >>> 8) & 255}.${ipv4 & 255}`
  },
  write: (view, offset, value) => {
    if (value === null) return
    new Uint8Array(view.buffer, view.byteOffset + offset, 16).set(addressBytes(value))
  },
}

/** Text of 4 or 16 network-order bytes; IPv6 in RFC 5952 form. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.byteLength === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  return new ipaddr.IPv6(Array.from(bytes)).toRFC5952String()
}

/** Four decimal numbers to 255 without leading zeros; everything else is for the library. */
const DOTTED_QUAD = new RegExp(`^${Array(4).fill('(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)').join('\\.')}$`)

/** 4 or 16 network-order bytes; IPv4-mapped IPv6 becomes IPv4. @throws LayoutError when it is no address. */
export function addressBytes(text: string): Uint8Array {
  // The usual case by hand: 100,000 of them go through here when an agent starts.
  const quad = DOTTED_QUAD.exec(text)
  if (quad !== null) return Uint8Array.of(Number(quad[1]), Number(quad[2]), Number(quad[3]), Number(quad[4]))
  if (!ipaddr.isValid(text)) throw new LayoutError(`'${text}' is not an IP address`)
  return Uint8Array.from(ipaddr.process(text).toByteArray())
}

/** The same address always in the same spelling. @throws LayoutError */
export function normalAddress(text: string): string {
  return addressText(addressBytes(text))
}

/** `length` values of one kind back to back. */
export function array<T>(item: Codec<T>, length: number): Codec<readonly T[]> {
  return {
    bytes: item.bytes * length,
    read: (view, offset) => {
      const values: T[] = []
      for (let index = 0; index < length; index++) values.push(item.read(view, offset + index * item.bytes))
      return values
    },
    write: (view, offset, values) => {
      if (values.length > length) throw new LayoutError(`at most ${length} values, got ${values.length}`)
      values.forEach((value, index) => {
        item.write(view, offset + index * item.bytes, value)
      })
    },
  }
}

type FieldTypes<F> = {-readonly [K in keyof F]: Decoded<F[K]>}

/** Fields back to back, without padding (the C side is packed). */
export function struct<F extends Readonly<Record<string, Codec<never> | Codec<unknown>>>>(
  fields: F,
): Codec<FieldTypes<F>> {
  const entries = Object.entries(fields) as [string, Codec<unknown>][]
  const bytes = entries.reduce((sum, [, codec]) => sum + codec.bytes, 0)
  return {
    bytes,
    read: (view, offset) => {
      const value: Record<string, unknown> = {}
      let at = offset
      for (const [name, codec] of entries) {
        value[name] = codec.read(view, at)
        at += codec.bytes
      }
      return value as FieldTypes<F>
    },
    write: (view, offset, value) => {
      let at = offset
      for (const [name, codec] of entries) {
        codec.write(view, at, (value as Record<string, unknown>)[name])
        at += codec.bytes
      }
    },
  }
}

/** The same bytes under another shape. */
export function mapped<S, T>(codec: Codec<S>, to: (stored: S) => T, from: (value: T) => S): Codec<T> {
  return {
    bytes: codec.bytes,
    read: (view, offset) => to(codec.read(view, offset)),
    write: (view, offset, value) => codec.write(view, offset, from(value)),
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
