// SPDX-License-Identifier: Apache-2.0
import {encode} from '../model/codec.ts'
import {MANAGE} from '../model/maps.ts'
import type {BpfMap} from '../ports.ts'

/** Netns cookies, in decimal, in km_manage: the kernel's own word on who is captured. Every method throws KernelError. */
export class ManagedCookies {
  readonly #map: BpfMap

  constructor(map: BpfMap) {
    this.#map = map
  }

  has(cookie: string): boolean {
    return this.#map.lookup(keyOf(cookie)) !== undefined
  }

  add(cookie: string): void {
    this.#map.update(keyOf(cookie), encode(MANAGE.value, {flags: 0}))
  }

  /** False where it was not there. */
  remove(cookie: string): boolean {
    return this.#map.delete(keyOf(cookie))
  }
}

function keyOf(cookie: string): Uint8Array {
  return encode(MANAGE.key, {cookie, address: null})
}
