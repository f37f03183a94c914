// SPDX-License-Identifier: Apache-2.0
/**
 * Which tables of packet filters are in a network namespace, without a process and without making any: asking
 * `iptables-legacy-save` for a table would create it.
 */
import {closeSync, existsSync, readFileSync} from 'node:fs'
import type {Backend, Family} from '../model/iptables-rules.ts'
import type {Netns} from '../ports.ts'
import {kernelError} from './bpf-native.ts'
import {listNftChains, type NetlinkCalls, type NftChain} from './nft-chains.ts'

const AF_INET = 2
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const IPPROTO_RAW = 255
/** Address families of nftables tables that iptables uses. */
const NFT_FAMILY: Readonly<Record<number, Family>> = {2: 'IPv4', 10: 'IPv6'}
const IPTABLES_TABLES = ['filter', 'nat', 'mangle', 'raw', 'security']
/** Tables `istio-proxy-nat` and the like; in case of other names, their chains. */
const NATIVE_ISTIO = /^istio[-_]/i

export interface FilterTables {
  /** False where the kernel has no IPv6. */
  readonly hasIpv6: boolean
  /** Istio's rules stand in a table of nftables' own. */
  readonly hasNativeIstio: boolean
  /** Names of iptables' tables that exist, and for nft have a chain. */
  tables(backend: Backend, family: Family): readonly string[]
}

/** @throws KernelError where the namespace cannot be entered; as {@link listNftChains} */
export function readFilterTables(netns: Netns, calls: NetlinkCalls, namespacePath: string): FilterTables {
  return netns.within(namespacePath, () => {
    const chains = listNftChains(calls, namespacePath)
    const legacy = {IPv4: namesIn('ip_tables_names'), IPv6: namesIn('ip6_tables_names')}
    const nft = {IPv4: nftTables(chains, 'IPv4'), IPv6: nftTables(chains, 'IPv6')}
    return {
      hasIpv6: existsSync('/proc/thread-self/net/if_inet6'),
      hasNativeIstio: chains.some(isNativeIstio),
      tables: (backend: Backend, family: Family) => (backend === 'nft' ? nft : legacy)[family],
    }
  })
}

/** No such file where the kernel has no legacy backend, or did not load it yet. */
function namesIn(file: string): string[] {
  const path = `/proc/thread-self/net/${file}`
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8').split('\n').filter(Boolean)
}

function nftTables(chains: readonly NftChain[], family: Family): string[] {
  const own = chains.filter((chain) => NFT_FAMILY[chain.family] === family)
  return [...new Set(own.map((chain) => chain.table))]
}

function isNativeIstio({family, table, name}: NftChain): boolean {
  if (NFT_FAMILY[family] !== undefined && IPTABLES_TABLES.includes(table)) return false
  return NATIVE_ISTIO.test(table) || NATIVE_ISTIO.test(name)
}

/**
 * The legacy backend's programs talk to the kernel through a raw socket, and say the same whether they may not or there
 * is no such table.
 *
 * @throws KernelError where they may not
 */
export function requireRawSocket(netns: Netns, calls: NetlinkCalls, namespacePath: string): void {
  netns.within(namespacePath, () => {
    const fd = calls.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)
    if (fd >= 0) return closeSync(fd)
    throw kernelError('socket SOCK_RAW', calls.errno(), namespacePath, {
      hints: ['iptables of the legacy backend needs CAP_NET_RAW'],
    })
  })
}
