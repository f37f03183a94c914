// SPDX-License-Identifier: Apache-2.0
/** Fields of the maps' keys and values that are more than a number or an address (contracts 4.3, 4.6). */
import {array, type Codec, ip16, mapped, portBE, struct, u32, u64} from './codec.ts'

export const LB_POLICIES = ['random', 'strict', 'failover'] as const

/** One of LB_POLICIES, or `unknown(<number>)`. */
export const lbPolicy: Codec<string> = mapped(
  u32,
  (number) => LB_POLICIES[number] ?? `unknown(${number})`,
  (name) => {
    const known = (LB_POLICIES as readonly string[]).indexOf(name)
    return known >= 0 ? known : Number(/\d+/.exec(name)?.[0] ?? 0)
  },
)

export interface PortPair {
  /** Port that clients of the service use, host terms. */
  readonly servicePort: number
  /** Port of the endpoint, host terms. */
  readonly targetPort: number
}

const PORT_SLOTS = 10
const SERVICE_SLOTS = 10
export const PRIORITIES = 7

/** Ten service ports, then ten target ports; slot i pairs with slot i. Trailing empty slots are left out. */
export const portPairs: Codec<readonly PortPair[]> = mapped(
  struct({service: array(portBE, PORT_SLOTS), target: array(portBE, PORT_SLOTS)}),
  ({service, target}) => {
    const pairs = service.map((servicePort, slot) => ({servicePort, targetPort: target[slot] ?? 0}))
    const last = pairs.findLastIndex((pair) => pair.servicePort !== 0 || pair.targetPort !== 0)
    return pairs.slice(0, last + 1)
  },
  (pairs) => ({
    service: pairs.map((pair) => pair.servicePort),
    target: pairs.map((pair) => pair.targetPort),
  }),
)

/** Count and ten slots; what stands behind the count is not part of the value. */
export const serviceIds: Codec<readonly number[]> = {
  bytes: 4 + 4 * SERVICE_SLOTS,
  read: (view, offset) => {
    const count = Math.min(view.getUint32(offset, true), SERVICE_SLOTS)
    const ids: number[] = []
    for (let slot = 0; slot < count; slot++) ids.push(view.getUint32(offset + 4 + slot * 4, true))
    return ids
  },
  write: (view, offset, ids) => {
    view.setUint32(offset, ids.length, true)
    array(u32, SERVICE_SLOTS).write(view, offset + 4, ids)
  },
}

export interface ManageKey {
  /** Netns cookie, where the key can be one. */
  readonly cookie: string | null
  /** Pod address, where the key can be one. Small cookies and IPv4 addresses look alike: then both are given. */
  readonly address: string | null
}

/** 16 bytes: a netns cookie and eight zero bytes, or an address (contracts 4.6). */
export const manageKey: Codec<ManageKey> = {
  bytes: 16,
  read: (view, offset) => {
    const low = view.getBigUint64(offset, true)
    const canBeCookie = view.getBigUint64(offset + 8, true) === 0n && low !== 0n
    const canBeAddress = !canBeCookie || view.getUint32(offset + 4, true) === 0
    return {
      cookie: canBeCookie ? low.toString() : null,
      address: canBeAddress ? ip16.read(view, offset) : null,
    }
  },
  write: (view, offset, value) => {
    if (value.cookie !== null) u64.write(view, offset, value.cookie)
    else ip16.write(view, offset, value.address)
  },
}

export const BPF_LEVELS = ['error', 'warn', 'info', 'debug'] as const
export type BpfLevel = (typeof BPF_LEVELS)[number]

/** One of BPF_LEVELS, or `unknown(<number>)`. */
export const bpfLevel: Codec<string> = mapped(
  u32,
  (number) => BPF_LEVELS[number] ?? `unknown(${number})`,
  (name) => Math.max(0, BPF_LEVELS.indexOf(name as BpfLevel)),
)
