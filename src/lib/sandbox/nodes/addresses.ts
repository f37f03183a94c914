// SPDX-License-Identifier: Apache-2.0
/** Addresses of a sandbox, all derived from its name, so that several can be told apart. */
import {fnv1a32} from '../../model/ids.ts'

export type Family = 'IPv4' | 'IPv6'
export type IpFamilyOption = 'ipv4' | 'ipv6' | 'dual'

/** Highest node number that the ranges have room for. */
export const MAX_NODES = 60
/** Pod numbers of a node; 1 is left free, the last of a /24 too. */
export const FIRST_POD = 2
export const LAST_POD = 254

/** One address of each family that the sandbox has; the first is the primary one. */
export type Addresses = readonly {readonly family: Family; readonly address: string}[]

export interface AddressPlan {
  /** Primary family first. */
  readonly families: readonly Family[]
  /** Service ranges in CIDR form, one a family, primary first. */
  readonly serviceCidrs: readonly string[]
  /** Address of node `node` (1 to {@link MAX_NODES}) on the fabric. */
  nodeAddresses(node: number): Addresses
  podCidrs(node: number): readonly string[]
  podAddresses(node: number, pod: number): Addresses
}

export function familiesOf(option: IpFamilyOption): readonly Family[] {
  if (option === 'ipv4') return ['IPv4']
  if (option === 'ipv6') return ['IPv6']
  return ['IPv4', 'IPv6']
}

/** Prefix length of the subnet that the nodes share. */
export const NODE_PREFIX: Readonly<Record<Family, number>> = {IPv4: 24, IPv6: 64}
export const HOST_PREFIX: Readonly<Record<Family, number>> = {IPv4: 32, IPv6: 128}

/**
 * Pods 10.(128-191).NODE.0/24, services 10.(192-255).0.0/16, nodes 172.(16-31).x.0/24;
 * for IPv6 one unique local /48 (RFC 4193): nodes in subnet 0, pods in 100+NODE (hexadecimal), services in ffff.
 */
export function addressPlan(name: string, option: IpFamilyOption): AddressPlan {
  const families = familiesOf(option)
  const hash = fnv1a32(name)
  const pods = `10.${128 + (hash & 63)}`
  const services = `10.${192 + (hash & 63)}.0.0/16`
  const nodes = `172.${16 + ((hash >>> 6) & 15)}.${(hash >>> 10) & 255}`
  const unique = uniqueLocalPrefix(name)
  const pick = (v4: string, v6: string): string[] => families.map((family) => (family === 'IPv4' ? v4 : v6))
  const withFamily = (addresses: string[]): Addresses =>
    families.map((family, index) => ({family, address: addresses[index] ?? ''}))
  const subnet = (node: number): string => `${unique}:${(0x100 + node).toString(16)}`
  return {
    families,
    serviceCidrs: pick(services, `${unique}:ffff::/112`),
    nodeAddresses: (node) => withFamily(pick(`${nodes}.${node}`, `${unique}::${node.toString(16)}`)),
    podCidrs: (node) => pick(`${pods}.${node}.0/24`, `${subnet(node)}::/64`),
    podAddresses: (node, pod) =>
      withFamily(pick(`${pods}.${node}.${pod}`, `${subnet(node)}::${pod.toString(16)}`)),
  }
}

function uniqueLocalPrefix(name: string): string {
  const high = fnv1a32(`${name}/48`).toString(16).padStart(8, '0')
  const low = (fnv1a32(`${name}/low`) & 255).toString(16).padStart(2, '0')
  const digits = `fd${high}${low}`
  return [0, 4, 8].map((start) => Number.parseInt(digits.slice(start, start + 4), 16).toString(16)).join(':')
}
