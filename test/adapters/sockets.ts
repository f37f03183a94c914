// SPDX-License-Identifier: Apache-2.0
/** Blocking connect(2) and getpeername(2), so that a test sees what an application sees. */
import {closeSync} from 'node:fs'
import koffi from 'koffi'
import {addressBytes, addressText} from '../../src/lib/model/codec.ts'
import type {Netns} from '../../src/lib/ports.ts'

const libc = koffi.load('libc.so.6')
const socketCall = libc.func('int socket(int family, int type, int protocol)')
const connectCall = libc.func('int connect(int fd, const void* address, uint32_t length)')
const accept = libc.func('int accept4(int fd, void* address, void* length, int flags)')
const getpeername = libc.func('int getpeername(int fd, void* address, void* length)')
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int option, const void* value, uint32_t length)',
)
const ioctl = libc.func('int ioctl(int fd, unsigned long request, void* value)')

const AF_INET = 2
const AF_INET6 = 10
const SOCK_DGRAM = 2
const SOL_SOCKET = 1
const SO_LINGER = 13
const SO_SNDTIMEO = 21
const FIONBIO = 0x5421

const EINTR = 4
export const ENETUNREACH = 101
export const ECONNREFUSED = 111
export const EINPROGRESS = 115

/** sockaddr of `address`; `mapped` writes IPv4 as ::ffff:a.b.c.d. */
export function socketAddress(address: string, port: number, mapped = false): Uint8Array {
  const bytes = addressBytes(address)
  const isIpv4 = bytes.length === 4 && !mapped
  const name = new Uint8Array(isIpv4 ? 16 : 28)
  const view = new DataView(name.buffer)
  view.setUint16(0, isIpv4 ? AF_INET : AF_INET6, true)
  view.setUint16(2, port, false)
  if (isIpv4) name.set(bytes, 4)
  else if (mapped) name.set([0xff, 0xff, ...bytes], 18)
  else name.set(bytes, 8)
  return name
}

/** 0 or the positive errno. With a time limit the kernel does not restart an interrupted connect by itself. */
export function connect(fd: number, name: Uint8Array): number {
  for (;;) {
    if (connectCall(fd, name, name.length) === 0) return 0
    const errno = koffi.errno()
    if (errno !== EINTR) return errno
  }
}

/** `address:port`, `[address]:port`, `[::ffff:a.b.c.d]:port`. */
export function peerOf(fd: number): string {
  const name = new Uint8Array(28)
  if (getpeername(fd, name, Uint32Array.of(28)) !== 0) throw new Error(`getpeername: errno ${koffi.errno()}`)
  const view = new DataView(name.buffer)
  const port = view.getUint16(2, false)
  if (view.getUint16(0, true) === AF_INET) return `${addressText(name.subarray(4, 8))}:${port}`
  const address = name.subarray(8, 24)
  const isMapped = address.subarray(0, 10).every((byte) => byte === 0) && address[10] === 0xff
  return `[${isMapped ? `::ffff:${addressText(address.subarray(12))}` : addressText(address)}]:${port}`
}

/** Bounds connect(2), which then fails with EINPROGRESS; without it the kernel waits for two minutes. */
export function limitTime(fd: number, timeoutMs = 1000): void {
  const limit = BigInt64Array.of(BigInt(Math.floor(timeoutMs / 1000)), BigInt((timeoutMs % 1000) * 1000))
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, limit, 16)
}

/** What a UDP socket of the namespace is connected to after connect(2), or the negative errno. */
export function dialUdp(netns: Netns, namespacePath: string, address: string, port: number): string | number {
  const fd = netns.within(namespacePath, () => socketCall(AF_INET, SOCK_DGRAM, 0))
  try {
    const errno = connect(fd, socketAddress(address, port))
    return errno === 0 ? peerOf(fd) : -errno
  } finally {
    closeSync(fd)
  }
}

/** From now on connect(2) answers at once, with EINPROGRESS where it goes on. */
export function setNonBlocking(fd: number): void {
  ioctl(fd, FIONBIO, Int32Array.of(1))
}

/** Closing resets the connection then: no port stays behind in TIME_WAIT. */
export function resetOnClose(fd: number): void {
  setsockopt(fd, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 0), 8)
}

/** Takes every connection that waits at a non-blocking listener, and closes it. */
export function acceptAll(listener: number): void {
  for (let fd = accept(listener, null, null, 0); fd >= 0; fd = accept(listener, null, null, 0)) closeSync(fd)
}

/** Connects from inside the namespace; the peer's name, or the negative errno. */
export function dial(
  netns: Netns,
  namespacePath: string,
  address: string,
  port: number,
  mapped = false,
): string | number {
  const family = mapped || address.includes(':') ? 6 : 4
  const fd = netns.socket(namespacePath, family)
  try {
    limitTime(fd)
    const errno = connect(fd, socketAddress(address, port, mapped))
    return errno === 0 ? peerOf(fd) : -errno
  } finally {
    closeSync(fd)
  }
}
