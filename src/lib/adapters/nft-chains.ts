// SPDX-License-Identifier: Apache-2.0
/** Chains of nftables in the namespace of the calling thread, asked from the kernel by netlink: no nft is needed. */
import {closeSync} from 'node:fs'
import koffi from 'koffi'
import {KmeshError} from '../errors.ts'
import {kernelError} from './bpf-native.ts'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const NETLINK_NETFILTER = 12
const MSG_DONTWAIT = 0x40
const NLM_F_REQUEST = 1
const NLM_F_DUMP = 0x300
const NLM_F_DUMP_INTR = 0x10
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
/** Subsystem nftables in the high byte: linux/netfilter/nfnetlink.h and nf_tables.h. */
const NFT_MSG_NEWCHAIN = 0x0a03
const NFT_MSG_GETCHAIN = 0x0a04
const NFTA_CHAIN_TABLE = 1
const NFTA_CHAIN_NAME = 3
/** struct nlmsghdr, and struct nfgenmsg behind it. */
const HEADER_BYTES = 16
const FAMILY_BYTES = 4
const BUFFER_BYTES = 65_536
const MAX_DUMP_BYTES = 8 * 1024 * 1024
const MAX_ATTEMPTS = 5
const EINTR = 4
/** What a kernel without nf_tables answers: ENOENT, EINVAL, EOPNOTSUPP; without nfnetlink EPROTONOSUPPORT. */
const NO_NFTABLES = [2, 22, 95]
const EPROTONOSUPPORT = 93

export interface NftChain {
  /** Of nftables: 1 inet, 2 ip, 10 ip6. */
  readonly family: number
  readonly table: string
  readonly name: string
}

/** The libc functions behind it; they give -1 and set errno. */
export interface NetlinkCalls {
  socket(family: number, type: number, protocol: number): number
  send(fd: number, bytes: Uint8Array, length: number, flags: number): number
  recv(fd: number, bytes: Uint8Array, length: number, flags: number): number
  errno(): number
}

export function loadNetlinkCalls(): NetlinkCalls {
  const libc = koffi.load('libc.so.6')
  return {
    socket: libc.func('int socket(int family, int type, int protocol)'),
    send: libc.func('long send(int fd, const void* bytes, size_t length, int flags)'),
    recv: libc.func('long recv(int fd, void* bytes, size_t length, int flags)'),
    errno: () => koffi.errno(),
  }
}

/**
 * @param target - names the namespace in errors
 * @returns every chain of every family; none where the kernel has no nftables
 * @throws KernelError; KmeshError `BusyRules`, `TooLarge`
 */
export function listNftChains(calls: NetlinkCalls, target: string): NftChain[] {
  const fd = calls.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)
  if (fd < 0) {
    if (calls.errno() === EPROTONOSUPPORT) return []
    throw kernelError('socket NETLINK_NETFILTER', calls.errno(), target)
  }
  try {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const chains = dumpOnce(calls, fd, target)
      if (chains !== undefined) return chains
    }
  } finally {
    closeSync(fd)
  }
  throw new KmeshError(`the nftables chains in ${target} change while they are listed`, {code: 'BusyRules'})
}

/** Undefined where somebody changed the rules meanwhile. */
function dumpOnce(calls: NetlinkCalls, fd: number, target: string): NftChain[] | undefined {
  const request = dumpRequest()
  if (calls.send(fd, request, request.length, 0) < 0) throw kernelError('send', calls.errno(), target)
  const chains: NftChain[] = []
  let interrupted = false
  for (const {type, flags, body} of received(calls, fd, target)) {
    interrupted ||= (flags & NLM_F_DUMP_INTR) !== 0
    if (type === NLMSG_ERROR) {
      refuseError(-viewOf(body).getInt32(0, true), target)
      return []
    }
    if (type === NLMSG_DONE) break
    if (type === NFT_MSG_NEWCHAIN) chains.push(chainIn(body))
  }
  return interrupted ? undefined : chains
}

function dumpRequest(): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + FAMILY_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, true)
  view.setUint16(4, NFT_MSG_GETCHAIN, true)
  view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, true)
  return bytes
}

function refuseError(errno: number, target: string): void {
  if (!NO_NFTABLES.includes(errno)) throw kernelError('list nftables chains', errno, target)
}

interface Message {
  readonly type: number
  readonly flags: number
  readonly body: Uint8Array
}

/** The kernel makes the next part of a dump when one is read, so nothing here waits. */
function* received(calls: NetlinkCalls, fd: number, target: string): Generator<Message> {
  const buffer = new Uint8Array(BUFFER_BYTES)
  for (let total = 0; total <= MAX_DUMP_BYTES; ) {
    const size = calls.recv(fd, buffer, buffer.length, MSG_DONTWAIT)
    if (size > 0) {
      total += size
      yield* messagesIn(buffer.subarray(0, size))
    } else if (calls.errno() !== EINTR) throw kernelError('recv', calls.errno(), target)
  }
  throw new KmeshError(`there are too many nftables chains in ${target} to look at`, {code: 'TooLarge'})
}

/** Headers are in the machine's byte order: little-endian on all that we build for. */
function* messagesIn(bytes: Uint8Array): Generator<Message> {
  const view = viewOf(bytes)
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = Math.max(view.getUint32(at, true), HEADER_BYTES)
    const body = bytes.subarray(at + HEADER_BYTES, at + length)
    yield {type: view.getUint16(at + 4, true), flags: view.getUint16(at + 6, true), body}
    at += aligned(length)
  }
}

function chainIn(body: Uint8Array): NftChain {
  const texts = new Map<number, string>()
  const view = viewOf(body)
  for (let at = FAMILY_BYTES; at + 4 <= body.length; ) {
    const length = Math.max(view.getUint16(at, true), 4)
    const type = view.getUint16(at + 2, true)
    if (type === NFTA_CHAIN_TABLE || type === NFTA_CHAIN_NAME)
      texts.set(type, Buffer.from(body.subarray(at + 4, at + length - 1)).toString('utf8'))
    at += aligned(length)
  }
  return {
    family: body[0] ?? 0,
    table: texts.get(NFTA_CHAIN_TABLE) ?? '',
    name: texts.get(NFTA_CHAIN_NAME) ?? '',
  }
}

function aligned(length: number): number {
  return (length + 3) & ~3
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
