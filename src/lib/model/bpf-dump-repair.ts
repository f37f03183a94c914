// SPDX-License-Identifier: Apache-2.0
/**
 * Go daemons print an IPv6 address as IPv4 when its bytes 5 to 15 are zero: `2001:db8::` as `32.1.13.184`
 * (contracts 2.3, defect a). What they know by xDS has it whole.
 */
import {addressBytes, addressText} from './codec.ts'
import type {Fields} from './hostile.ts'

/** IPv4 text that could be the head of a global (2000::/3) or local (fc00::/7) address. */
export function hasCutAddress({address}: Fields): boolean {
  const first = Number(/^(\d+)\.\d+\.\d+\.\d+$/.exec(String(address))?.[1] ?? -1)
  return (first >= 0x20 && first <= 0x3f) || first === 0xfc || first === 0xfd
}

/**
 * @param known - addresses of the daemon's workloads. Where one of them is the printed text itself, that stands;
 *   an address that is not known there stays as it is.
 */
export function repairAddresses(values: readonly Fields[], known: ReadonlySet<string>): readonly Fields[] {
  const whole = new Map<string, string>()
  for (const text of known) {
    if (!text.includes(':')) continue
    const bytes = addressBytes(text)
    if (bytes.byteLength === 16 && bytes.subarray(5).every((byte) => byte === 0)) {
      whole.set(addressText(bytes.subarray(0, 4)), addressText(bytes))
    }
  }
  return values.map((value) => {
    const text = String(value['address'])
    const repaired = hasCutAddress(value) && !known.has(text) ? whole.get(text) : undefined
    return repaired === undefined ? value : {...value, address: repaired}
  })
}
