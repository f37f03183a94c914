// SPDX-License-Identifier: Apache-2.0
/**
 * Services as `iptables-restore` input, pure: the plain kernel way to a service,
 * for clients that no eBPF program redirects.
 */
import type {Endpoint, EndpointSlice, Service} from '../../model/kube.ts'
import type {Family} from './addresses.ts'

const SERVICES = 'KMX-SERVICES'
const HAIRPIN = 'KMX-HAIRPIN'
const NO_ENDPOINT = 'KMX-REJECT'
const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp']
const LABEL_SERVICE = 'kubernetes.io/service-name'

export interface RuleInput {
  readonly family: Family
  readonly services: readonly Service[]
  readonly slices: readonly EndpointSlice[]
  /** Range of service addresses of this family. */
  readonly serviceCidr: string
  /** Stands in as the source of a pod that reaches itself through a service. */
  readonly nodeAddress: string
}

/** Written once: where the own chains are entered. */
export function baseRules(input: Pick<RuleInput, 'serviceCidr'>): string {
  const to = `-d ${input.serviceCidr}`
  return lines([
    '*nat',
    `:${SERVICES} - [0:0]`,
    `:${HAIRPIN} - [0:0]`,
    `-A PREROUTING ${to} -j ${SERVICES}`,
    `-A OUTPUT ${to} -j ${SERVICES}`,
    `-A POSTROUTING -m conntrack --ctstate DNAT -j ${HAIRPIN}`,
    'COMMIT',
    '*filter',
    `:${NO_ENDPOINT} - [0:0]`,
    `-A FORWARD ${to} -j ${NO_ENDPOINT}`,
    `-A OUTPUT ${to} -j ${NO_ENDPOINT}`,
    // Whatever still has a service's address here was not translated: nobody is behind it.
    `-A ${NO_ENDPOINT} -p tcp -j REJECT --reject-with tcp-reset`,
    `-A ${NO_ENDPOINT} -j REJECT`,
    'COMMIT',
  ])
}

/** Replaces the content of the own chains; to be given to `iptables-restore --noflush`. */
export function serviceRules(input: RuleInput): string {
  const hairpins = new Set<string>()
  const rules = input.services.flatMap((service) => rulesOfService(service, input, hairpins))
  const host = input.family === 'IPv4' ? 32 : 128
  return lines([
    '*nat',
    `:${SERVICES} - [0:0]`,
    `:${HAIRPIN} - [0:0]`,
    ...rules,
    ...[...hairpins].map(
      (address) =>
        `-A ${HAIRPIN} -s ${address}/${host} -d ${address}/${host} -j SNAT --to-source ${input.nodeAddress}`,
    ),
    'COMMIT',
  ])
}

function lines(list: readonly string[]): string {
  return `${list.join('\n')}\n`
}

function addressOf(service: Service, family: Family): string | undefined {
  const {clusterIPs, clusterIP} = service.spec ?? {}
  const addresses = clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP])
  return addresses.find((address) => isAddressOf(address, family))
}

/** Only what looks like an address gets into a rule. */
function isAddressOf(address: string, family: Family): boolean {
  return family === 'IPv4' ? /^[\d.]+$/.test(address) : /^[\da-fA-F:.]*:[\da-fA-F:.]*$/.test(address)
}

function rulesOfService(service: Service, input: RuleInput, hairpins: Set<string>): string[] {
  const address = addressOf(service, input.family)
  if (address === undefined) return []
  const slices = input.slices.filter(
    (slice) =>
      slice.addressType === input.family &&
      slice.metadata.namespace === service.metadata.namespace &&
      slice.metadata.labels?.[LABEL_SERVICE] === service.metadata.name,
  )
  return (service.spec?.ports ?? []).flatMap((port) => {
    const protocol = (port.protocol ?? 'TCP').toLowerCase()
    if (!PROTOCOLS.includes(protocol)) return []
    const targets = slices.flatMap((slice) => targetsOf(slice, port.name ?? '', protocol, input.family))
    const chosen = chooseTargets(targets)
    for (const target of chosen) hairpins.add(target.address)
    return dnatRules(address, Number(port.port), protocol, chosen)
  })
}

interface Target {
  readonly address: string
  readonly port: number
  readonly endpoint: Endpoint
}

function targetsOf(slice: EndpointSlice, portName: string, protocol: string, family: Family): Target[] {
  const port = slice.ports?.find(
    (entry) => (entry.name ?? '') === portName && (entry.protocol ?? 'TCP').toLowerCase() === protocol,
  )?.port
  if (port === undefined) return []
  return (slice.endpoints ?? []).flatMap((endpoint) => {
    const address = endpoint.addresses[0]
    if (address === undefined || !isAddressOf(address, family)) return []
    return [{address, port: Number(port), endpoint}]
  })
}

/** Ready ones; where there are none, those that end but still serve. */
function chooseTargets(targets: readonly Target[]): readonly Target[] {
  const ready = targets.filter(({endpoint}) => endpoint.conditions?.ready ?? true)
  if (ready.length > 0) return ready
  return targets.filter(({endpoint}) => endpoint.conditions?.serving && endpoint.conditions.terminating)
}

/** Each rule takes one share of what the rules before it left over. */
function dnatRules(address: string, port: number, protocol: string, targets: readonly Target[]): string[] {
  const match = `-A ${SERVICES} -d ${address} -p ${protocol} -m ${protocol} --dport ${port}`
  return targets.map((target, index) => {
    const left = targets.length - index
    const share = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`
    const host = target.address.includes(':') ? `[${target.address}]` : target.address
    return `${match}${share} -j DNAT --to-destination ${host}:${target.port}`
  })
}
