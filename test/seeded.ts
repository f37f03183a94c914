// SPDX-License-Identifier: Apache-2.0

/** Numbers below a limit, by xorshift: the same seed gives the same run. */
export function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}
