// SPDX-License-Identifier: Apache-2.0
/** Where a connection wanted to go before a REDIRECT rule sent it here; Node has no call for it. */
import type {Socket} from 'node:net'
import koffi from 'koffi'

const SOL_IP = 0
const SOL_IPV6 = 41
/** SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST. */
const ORIGINAL_DST = 80
const SOCKADDR_BYTES = 28

/**
 * Reads `getsockopt(2)` of the socket's descriptor.
 *
 * @returns undefined where conntrack knows of no rule that changed it
 */
export function originalDestinations(): (
  socket: Socket,
) => {readonly address: string; readonly port: number} | undefined {
  const getsockopt = koffi
    .load('libc.so.6')
    .func('int getsockopt(int fd, int level, int option, void* value, void* length)')
  return (socket) => {
    const descriptor = (socket as unknown as {_handle?: {fd?: number}})._handle?.fd
    if (descriptor === undefined || descriptor < 0) return undefined
    const isIpv6 = socket.remoteFamily === 'IPv6'
    const value = new Uint8Array(SOCKADDR_BYTES)
    const length = Uint32Array.of(isIpv6 ? SOCKADDR_BYTES : 16)
    if (getsockopt(descriptor, isIpv6 ? SOL_IPV6 : SOL_IP, ORIGINAL_DST, value, length) !== 0)
      return undefined
    // struct sockaddr_in and sockaddr_in6: the port is big-endian at 2.
    const view = new DataView(value.buffer)
    return {
      address: isIpv6 ? ipv6Text(view) : value.subarray(4, 8).join('.'),
      port: view.getUint16(2),
    }
  }
}

/** At 8, behind the flow label; in the shortest form, as the API writes addresses. */
function ipv6Text(view: DataView): string {
  const groups = Array.from({length: 8}, (_, index) => view.getUint16(8 + index * 2).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
