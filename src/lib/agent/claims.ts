// SPDX-License-Identifier: Apache-2.0
/** Who wants an address in km_frontend. Services go before pods, later claims before earlier ones. */

interface Claim {
  readonly id: number
  readonly isService: boolean
}

export class AddressClaims {
  readonly #claims = new Map<string, Map<string, Claim>>()

  /** @param owner - name of the service family or backend, unique among all */
  claim(address: string, owner: string, claim: Claim): void {
    const claims = this.#claims.get(address) ?? new Map<string, Claim>()
    if (claims.get(owner)?.id !== claim.id) {
      claims.delete(owner)
      claims.set(owner, claim)
    }
    this.#claims.set(address, claims)
  }

  release(address: string, owner: string): void {
    const claims = this.#claims.get(address)
    claims?.delete(owner)
    if (claims?.size === 0) this.#claims.delete(address)
  }

  /** The id that the address should lead to; undefined when nobody wants it. */
  winner(address: string): number | undefined {
    const claims = this.#claims.get(address)
    if (claims === undefined) return undefined
    const ordered = [...claims.values()]
    return (ordered.findLast((claim) => claim.isService) ?? ordered.at(-1))?.id
  }
}
