// SPDX-License-Identifier: Apache-2.0
/** Cluster addresses and node ports of services. */
import ipaddr from 'ipaddr.js'
import {arrayOf, type Fields, fieldsOf, type StoredObject} from './object.ts'
import {resourceRow} from './resources.ts'
import {invalid, StatusError} from './status.ts'
import {invalidValue} from './validate-names.ts'

export type Family = 'IPv4' | 'IPv6'

/** Where service addresses come from: one or two ranges, the cluster's primary family first. */
export class ServiceRanges {
  readonly families: readonly Family[]
  readonly #ranges: ReadonlyMap<Family, Range>

  /** @param cidrs such as `10.96.0.0/16`, `fd00:10:96::/112` */
  constructor(cidrs: readonly string[]) {
    this.#ranges = new Map(cidrs.map((cidr) => [cidr.includes(':') ? 'IPv6' : 'IPv4', parseRange(cidr)]))
    this.families = [...this.#ranges.keys()]
  }

  cidr(family: Family): string {
    return this.#ranges.get(family)?.cidr ?? ''
  }

  contains(family: Family, address: string): boolean {
    const range = this.#ranges.get(family)
    if (range === undefined || !ipaddr.isValid(address)) return false
    const value = toNumber(address)
    return value > range.first && value < range.first + range.size
  }

  /** An address that `used` does not hold; goes round, so that one that was given up rests for long. */
  next(family: Family, used: ReadonlySet<string>): string | undefined {
    const range = this.#ranges.get(family)
    if (range === undefined) return undefined
    for (let tried = 0; tried <= used.size + 1; tried += 1) {
      range.cursor = range.cursor + 1n >= range.size ? 1n : range.cursor + 1n
      const address = toText(range.first + range.cursor, family)
      if (!used.has(address)) return address
    }
    return undefined
  }
}

interface Range {
  readonly cidr: string
  readonly first: bigint
  readonly size: bigint
  cursor: bigint
}

const SKIPPED = 9n
const NODE_PORT_FIRST = 30_000
const NODE_PORT_LAST = 32_767

function parseRange(cidr: string): Range {
  const [address, prefix] = ipaddr.parseCIDR(cidr)
  const bits = address.toByteArray().length * 8
  const size = 1n << BigInt(bits - prefix)
  const first = (toNumber(address.toString()) / size) * size
  return {cidr, first, size, cursor: size > 32n ? SKIPPED : 0n}
}

function toNumber(address: string): bigint {
  return BigInt(`0x${Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex')}`)
}

function toText(value: bigint, family: Family): string {
  const hex = value.toString(16).padStart(family === 'IPv4' ? 8 : 32, '0')
  return ipaddr.fromByteArray([...Buffer.from(hex, 'hex')]).toString()
}

/**
 * The service with its families and cluster addresses; those of `old` stay.
 * @throws StatusError 422 where what it asks for is not there
 */
export function withClusterAddresses(
  service: StoredObject,
  old: StoredObject | undefined,
  ranges: ServiceRanges,
  others: Iterable<StoredObject>,
): StoredObject {
  const spec = {...fieldsOf(service.spec)}
  if (spec['type'] === 'ExternalName') {
    for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) delete spec[field]
    return {...service, spec}
  }
  const services = [...others].filter((other) => other.metadata.uid !== service.metadata.uid)
  const families = chooseFamilies(service, spec, old, ranges)
  const asked = askedAddresses(service, spec, old)
  const used = new Set(services.flatMap((other) => arrayOf(fieldsOf(other.spec)['clusterIPs']).map(String)))
  const clusterIPs =
    asked[0] === 'None'
      ? ['None']
      : families.map((family, index) => {
          const address = asked[index] ?? ranges.next(family, used)
          if (address === undefined) {
            throw new StatusError(
              500,
              'InternalError',
              `Internal error occurred: failed to allocate a serviceIP: range ${ranges.cidr(family)} is full`,
            )
          }
          checkAddress(service, family, address, old, ranges, used)
          return address
        })
  const ports = withNodePorts(spec, services)
  return {...service, spec: {...spec, ...ports, clusterIP: clusterIPs[0], clusterIPs, ipFamilies: families}}
}

function refuse(service: StoredObject, field: string, value: unknown, why: string): never {
  throw invalid(resourceRow('services'), service.metadata.name, [invalidValue(field, value, why)])
}

/** Sets `ipFamilyPolicy` in `spec` and returns the families. */
function chooseFamilies(
  service: StoredObject,
  spec: Fields,
  old: StoredObject | undefined,
  ranges: ServiceRanges,
): Family[] {
  const asked = arrayOf(spec['ipFamilies']) as Family[]
  const addresses = arrayOf(spec['clusterIPs']).map(String)
  asked.forEach((family, index) => {
    if (!ranges.families.includes(family)) {
      refuse(service, `spec.ipFamilies[${index}]`, family, 'not configured on this cluster')
    }
  })
  const twice = asked.length > 1 || addresses.length > 1
  const policy = String(
    spec['ipFamilyPolicy'] ?? (twice && old === undefined ? 'RequireDualStack' : 'SingleStack'),
  )
  if (policy === 'RequireDualStack' && ranges.families.length < 2) {
    refuse(service, 'spec.ipFamilyPolicy', policy, 'Cluster is not configured for dual-stack services')
  }
  spec['ipFamilyPolicy'] = policy
  const primary =
    asked[0] ?? familyOf(addresses[0] ?? String(spec['clusterIP'] ?? '')) ?? ranges.families[0] ?? 'IPv4'
  const count = policy === 'SingleStack' ? 1 : ranges.families.length
  return [primary, ...ranges.families.filter((family) => family !== primary)].slice(0, count)
}

function familyOf(address: string): Family | undefined {
  if (!ipaddr.isValid(address)) return undefined
  return address.includes(':') ? 'IPv6' : 'IPv4'
}

function askedAddresses(service: StoredObject, spec: Fields, old: StoredObject | undefined): string[] {
  const list = arrayOf(spec['clusterIPs']).map(String)
  const single = typeof spec['clusterIP'] === 'string' && spec['clusterIP'] !== '' ? [spec['clusterIP']] : []
  const before = old === undefined ? [] : arrayOf(fieldsOf(old.spec)['clusterIPs']).map(String)
  const asked = list.length > 0 ? list : single.length > 0 ? single : before
  if (single[0] !== undefined && list[0] !== undefined && single[0] !== list[0]) {
    refuse(service, 'spec.clusterIP', single[0], 'must match the first entry of clusterIPs')
  }
  if (before.length > 0 && before[0] !== asked[0]) {
    refuse(service, 'spec.clusterIPs[0]', asked, 'may not change once set')
  }
  return asked
}

function checkAddress(
  service: StoredObject,
  family: Family,
  address: string,
  old: StoredObject | undefined,
  ranges: ServiceRanges,
  used: ReadonlySet<string>,
): void {
  if (old !== undefined && arrayOf(fieldsOf(old.spec)['clusterIPs']).includes(address)) return
  const fault = used.has(address)
    ? 'provided IP is already allocated'
    : `the provided IP (${address}) is not in the valid range. The range of valid IPs is ${ranges.cidr(family)}`
  if (!used.has(address) && ranges.contains(family, address)) return
  refuse(service, 'spec.clusterIPs', [address], `failed to allocate IP ${address}: ${fault}`)
}

function withNodePorts(spec: Fields, others: readonly StoredObject[]): Fields {
  if (spec['type'] !== 'NodePort' && spec['type'] !== 'LoadBalancer') return {}
  const used = new Set(
    others.flatMap((other) =>
      arrayOf(fieldsOf(other.spec)['ports']).map((port) => fieldsOf(port)['nodePort']),
    ),
  )
  let next = NODE_PORT_FIRST
  const ports = arrayOf(spec['ports']).map((value) => {
    const port = fieldsOf(value)
    while (!port['nodePort'] && used.has(next) && next < NODE_PORT_LAST) next += 1
    const nodePort = port['nodePort'] || next
    used.add(nodePort)
    return {...port, nodePort}
  })
  return {ports}
}
