// SPDX-License-Identifier: Apache-2.0
/** Who wants an address in km_frontend. Services go before pods, later claims before earlier ones. */

interface Claim {
  /** Name of the service family or backend, unique among all. */
  readonly owner: string
  readonly id: number
  readonly isService: boolean
}

export class AddressClaims {
  /** Oldest first. Nearly always one, so a list is smaller than a map. */
  readonly #claims = new Map<string, readonly Claim[]>()

  claim(address: string, claim: Claim): void {
    const claims = this.#claims.get(address) ?? []
    if (claims.some(({owner, id}) => owner === claim.owner && id === claim.id)) return
    this.#claims.set(address, [...claims.filter(({owner}) => owner !== claim.owner), claim])
  }

  release(address: string, owner: string): void {
    const left = (this.#claims.get(address) ?? []).filter((claim) => claim.owner !== owner)
    if (left.length === 0) this.#claims.delete(address)
    else this.#claims.set(address, left)
  }

  /** The id that the address should lead to; undefined when nobody wants it. */
  winner(address: string): number | undefined {
    const claims = this.#claims.get(address)
    return (claims?.findLast((claim) => claim.isService) ?? claims?.at(-1))?.id
  }
}
