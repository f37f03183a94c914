// SPDX-License-Identifier: Apache-2.0
/** All of iptables' rules of a network namespace that a short-circuit depends on. */
import {
  emptyPlace,
  type NamespaceRules,
  nameOfPlace,
  type Place,
  type PlaceRules,
  parseSaved,
} from '../model/iptables-rules.ts'
import type {Netns} from '../ports.ts'
import {type IptablesRun, type IptablesRunner, requireGood} from './iptables-runs.ts'
import {loadNetlinkCalls, type NetlinkCalls} from './nft-chains.ts'
import {type FilterTables, readFilterTables, requireRawSocket} from './packet-filter.ts'

/** Legacy first: it alone may wait for a lock, and then nothing needs to be undone. */
const PLACES: readonly Place[] = [
  {backend: 'legacy', family: 'IPv4'},
  {backend: 'legacy', family: 'IPv6'},
  {backend: 'nft', family: 'IPv4'},
  {backend: 'nft', family: 'IPv6'},
]

export class IptablesReader {
  readonly #runner: IptablesRunner
  readonly #netns: Netns
  readonly #netlink: NetlinkCalls
  /** Names of places where this kernel made no table when asked to. */
  readonly #missing = new Set<string>()

  constructor(runner: IptablesRunner, netns: Netns) {
    this.#runner = runner
    this.#netns = netns
    this.#netlink = loadNetlinkCalls()
  }

  /** @throws CommandError; KmeshError `MissingTool`, `BadRules`, `TooLarge`; KernelError */
  async read(namespacePath: string): Promise<NamespaceRules> {
    const filter = readFilterTables(this.#netns, this.#netlink, namespacePath)
    const places = PLACES.filter((place) => this.#exists(place, filter))
    const saves = places.flatMap((place) => saveOf(place, filter))
    const results = await this.#runner.run(namespacePath, saves)
    requireGood(namespacePath, saves, results)
    const read = new Map<string, PlaceRules>()
    for (const [index, run] of saves.entries()) {
      const {backend, family} = run
      read.set(nameOfPlace(run), parseSaved({backend, family}, results[index]?.text ?? ''))
    }
    return {
      places: places.map((place) => read.get(nameOfPlace(place)) ?? emptyPlace(place)),
      hasNativeIstio: filter.hasNativeIstio,
    }
  }

  /**
   * From now on these places are left out of what is read, until a table of theirs shows up.
   *
   * @throws KernelError where they may exist, but we may not see them
   */
  leaveOut(namespacePath: string, places: readonly Place[]): void {
    if (places.some(({backend}) => backend === 'legacy'))
      requireRawSocket(this.#netns, this.#netlink, namespacePath)
    for (const place of places) this.#missing.add(nameOfPlace(place))
  }

  #exists(place: Place, filter: FilterTables): boolean {
    if (place.family === 'IPv6' && !filter.hasIpv6) return false
    return !this.#missing.has(nameOfPlace(place)) || filter.tables(place.backend, place.family).length > 0
  }
}

/** Only what is there: to ask the legacy backend for a table makes it. */
function saveOf({backend, family}: Place, filter: FilterTables): IptablesRun[] {
  const tables = filter.tables(backend, family).filter((table) => table === 'nat' || table === 'mangle')
  if (tables.length === 0) return []
  return [{backend, family, program: 'save', args: tables.length === 1 ? ['-t', ...tables] : []}]
}
