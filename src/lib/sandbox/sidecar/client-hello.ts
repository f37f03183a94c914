// SPDX-License-Identifier: Apache-2.0
/** The first bytes of a connection: plain text, or a TLS ClientHello (RFC 8446, 4.1.2) and what it offers. */

export type FirstBytes =
  | {readonly kind: 'more'}
  | {readonly kind: 'plain'}
  | {readonly kind: 'tls'; readonly protocols: readonly string[]}

const HANDSHAKE = 0x16
const CLIENT_HELLO = 1
const ALPN = 16
const RECORD_HEADER_BYTES = 5
/** Before the session id: handshake header, version, random. */
const FIXED_BYTES = 4 + 2 + 32

/** @param bytes all that came so far; `more` as long as they may still become a whole ClientHello */
export function readFirstBytes(bytes: Buffer): FirstBytes {
  if (bytes.length === 0) return {kind: 'more'}
  if (bytes[0] !== HANDSHAKE) return {kind: 'plain'}
  if (bytes.length < RECORD_HEADER_BYTES) return {kind: 'more'}
  const end = RECORD_HEADER_BYTES + bytes.readUInt16BE(3)
  if (bytes.length < end) return {kind: 'more'}
  return {kind: 'tls', protocols: protocolsOf(bytes.subarray(RECORD_HEADER_BYTES, end))}
}

/** Names of the ALPN extension; none where the message is broken, which the TLS library then says. */
function protocolsOf(hello: Buffer): string[] {
  try {
    if (hello[0] !== CLIENT_HELLO) return []
    let at = FIXED_BYTES
    at += 1 + hello.readUInt8(at)
    at += 2 + hello.readUInt16BE(at)
    at += 1 + hello.readUInt8(at)
    const end = at + 2 + hello.readUInt16BE(at)
    at += 2
    while (at + 4 <= end) {
      const [type, size] = [hello.readUInt16BE(at), hello.readUInt16BE(at + 2)]
      if (type === ALPN) return namesOf(hello.subarray(at + 6, at + 4 + size))
      at += 4 + size
    }
    return []
  } catch (error) {
    if (error instanceof RangeError) return []
    throw error
  }
}

function namesOf(list: Buffer): string[] {
  const names: string[] = []
  for (let at = 0; at < list.length; at += 1 + (list[at] ?? 0)) {
    names.push(list.toString('latin1', at + 1, at + 1 + (list[at] ?? 0)))
  }
  return names
}
