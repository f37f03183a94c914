// SPDX-License-Identifier: Apache-2.0
/**
 * Network namespaces by setns(2) on the calling thread. Everything is
 * synchronous: between the way in and the way back nothing else of the process
 * can run on this thread.
 */
import {closeSync, openSync, writeSync} from 'node:fs'
import koffi from 'koffi'
import {KmeshError, messageOf} from '../errors.ts'
import {addressBytes} from '../model/codec.ts'
import type {Netns} from '../ports.ts'
import {kernelError} from './bpf-native.ts'
import {errnoOf} from './bpf-pins.ts'

const CLONE_NEWNET = 0x4000_0000
const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_NETNS_COOKIE = 71
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26
const BACKLOG = 511

/** The libc functions behind it; they give -1 and set errno. */
export interface NetnsCalls {
  setns(fd: number, type: number): number
  socket(family: number, type: number, protocol: number): number
  getsockopt(fd: number, level: number, option: number, value: Uint8Array, length: Uint32Array): number
  setsockopt(fd: number, level: number, option: number, value: Int32Array, length: number): number
  bind(fd: number, address: Uint8Array, length: number): number
  listen(fd: number, backlog: number): number
  errno(): number
}

export function loadNetnsCalls(): NetnsCalls {
  const libc = koffi.load('libc.so.6')
  return {
    setns: libc.func('int setns(int fd, int type)'),
    socket: libc.func('int socket(int family, int type, int protocol)'),
    getsockopt: libc.func('int getsockopt(int fd, int level, int option, void* value, void* length)'),
    setsockopt: libc.func(
      'int setsockopt(int fd, int level, int option, const void* value, uint32_t length)',
    ),
    bind: libc.func('int bind(int fd, const void* address, uint32_t length)'),
    listen: libc.func('int listen(int fd, int backlog)'),
    errno: () => koffi.errno(),
  }
}

class KernelNetns implements Netns {
  readonly #calls: NetnsCalls

  constructor(calls: NetnsCalls) {
    this.#calls = calls
  }

  within<T>(namespacePath: string, run: () => T): T {
    const home = openNamespace('/proc/thread-self/ns/net')
    try {
      const target = openNamespace(namespacePath)
      try {
        this.#check(this.#calls.setns(target, CLONE_NEWNET), 'setns', namespacePath)
      } finally {
        closeSync(target)
      }
      try {
        return refusePromise(run())
      } finally {
        this.#goHome(home)
      }
    } finally {
      closeSync(home)
    }
  }

  cookie(namespacePath: string): bigint {
    return this.#withSocket(namespacePath, AF_INET, (fd) => {
      const value = new Uint8Array(8)
      const result = this.#calls.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, value, Uint32Array.of(8))
      this.#check(result, 'getsockopt SO_NETNS_COOKIE', namespacePath)
      closeSync(fd)
      return new DataView(value.buffer).getBigUint64(0, true)
    })
  }

  socket(namespacePath: string, family: 4 | 6): number {
    return this.#withSocket(namespacePath, family === 4 ? AF_INET : AF_INET6, (fd) => fd)
  }

  listen(namespacePath: string, address: string, port: number): number {
    const bytes = addressBytes(address)
    const family = bytes.length === 4 ? AF_INET : AF_INET6
    const target = `${address} port ${port} in ${namespacePath}`
    return this.#withSocket(namespacePath, family, (fd) => {
      this.#setOption(fd, SOL_SOCKET, SO_REUSEADDR, target)
      if (family === AF_INET6) this.#setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, target)
      const name = socketAddress(family, bytes, port)
      this.#check(this.#calls.bind(fd, name, name.length), 'bind', target)
      this.#check(this.#calls.listen(fd, BACKLOG), 'listen', target)
      return fd
    })
  }

  /** Makes a TCP socket inside and hands it to `use`, which then owns it; closed when `use` throws. */
  #withSocket<T>(namespacePath: string, family: number, use: (fd: number) => T): T {
    return this.within(namespacePath, () => {
      const fd = this.#calls.socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)
      this.#check(fd, 'socket', namespacePath)
      try {
        return use(fd)
      } catch (thrown) {
        closeSync(fd)
        throw thrown
      }
    })
  }

  #setOption(fd: number, level: number, option: number, target: string): void {
    this.#check(this.#calls.setsockopt(fd, level, option, Int32Array.of(1), 4), 'setsockopt', target)
  }

  #check(result: number, call: string, target: string): void {
    if (result < 0) throw kernelError(call, this.#calls.errno(), target)
  }

  /** A process that stays in another namespace would serve and dial in the wrong network: it ends. */
  #goHome(home: number): void {
    if (this.#calls.setns(home, CLONE_NEWNET) === 0) return
    writeSync(2, `cannot return to the own network namespace: errno ${this.#calls.errno()}\n`)
    process.abort()
  }
}

function openNamespace(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (thrown) {
    throw kernelError('open', errnoOf(thrown), path, {cause: thrown})
  }
}

function refusePromise<T>(result: T): T {
  if (typeof (result as {then?: unknown} | null | undefined)?.then !== 'function') return result
  throw new KmeshError('what runs inside a network namespace must not await', {code: 'AsyncInNamespace'})
}

/** struct sockaddr_in or sockaddr_in6, port and address in network order. */
function socketAddress(family: number, address: Uint8Array, port: number): Uint8Array {
  const bytes = new Uint8Array(family === AF_INET ? 16 : 28)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, family, true)
  view.setUint16(2, port, false)
  bytes.set(address, family === AF_INET ? 4 : 8)
  return bytes
}

/** @throws KmeshError `LibcMissing` when there is no libc to call */
export function createNetns(calls?: NetnsCalls): Netns {
  return new KernelNetns(calls ?? loadedCalls())
}

function loadedCalls(): NetnsCalls {
  try {
    return loadNetnsCalls()
  } catch (cause) {
    throw new KmeshError(`cannot use libc.so.6: ${messageOf(cause)}`, {code: 'LibcMissing', cause})
  }
}
