// SPDX-License-Identifier: Apache-2.0
/** Rules of iptables as its save programs print them, which of them are ours, and what has to change. Pure. */
import {KmeshError} from '../errors.ts'
import type {SidecarRulesState} from './bypass.ts'

export type Backend = 'nft' | 'legacy'
export type Family = 'IPv4' | 'IPv6'

/** Rules of one backend and one family: four of them can be in a namespace, beside each other. */
export interface Place {
  readonly backend: Backend
  readonly family: Family
}

/** Base chains of table nat that carry our rule. */
const CHAINS = ['PREROUTING', 'OUTPUT'] as const
type BaseChain = (typeof CHAINS)[number]

/** Position 1 is the first rule of the chain; ascending. */
type Positions = Readonly<Record<BaseChain, readonly number[]>>

/** What one place holds. */
export interface PlaceRules extends Place {
  /** Table nat has chains of Istio's. */
  readonly hasIstio: boolean
  /** Table mangle hands packets to a proxy as they are. */
  readonly hasTproxy: boolean
  /** Where our own rule stands. */
  readonly ours: Positions
}

/** Input for the restore program of one place. */
export interface PlaceChange extends Place {
  readonly input: string
}

/** Everything read in a namespace. */
export interface NamespaceRules {
  /** The places that exist in this kernel. */
  readonly places: readonly PlaceRules[]
  /** Istio has a table of nftables' own. */
  readonly hasNativeIstio: boolean
}

// The comment makes it ours: a bare `-j RETURN` may be anybody's.
const RULE = '-m comment --comment kmesh.net/bypass -j RETURN'
const RULE_PRINTED = [RULE, '-m comment --comment "kmesh.net/bypass" -j RETURN']
const TPROXY_CHAIN = /^ISTIO_(INBOUND|TPROXY|DIVERT)$/
const COUNTERS = /^\[\d+:\d+\] /

/** Tells the four places apart. */
export function nameOfPlace({backend, family}: Place): string {
  return `${backend} ${family}`
}

export function emptyPlace(place: Place): PlaceRules {
  return {...place, hasIstio: false, hasTproxy: false, ours: {PREROUTING: [], OUTPUT: []}}
}

/**
 * @param text - of `iptables-save` or `ip6tables-save`, one table or all, with counters or without
 * @throws KmeshError `BadRules` where a table has no end
 */
export function parseSaved(place: Place, text: string): PlaceRules {
  const reader = new SavedReader()
  for (const line of logicalLines(text)) reader.add(line)
  return {...place, ...reader.end()}
}

class SavedReader {
  #table: string | undefined
  #hasIstio = false
  #hasTproxy = false
  readonly #counts = new Map<string, number>()
  readonly #ours: Record<BaseChain, number[]> = {PREROUTING: [], OUTPUT: []}

  add(line: string): void {
    if (line.startsWith('*')) this.#table = line.slice(1)
    else if (line === 'COMMIT') this.#table = undefined
    else if (line.startsWith(':')) this.#addChain(line.slice(1).split(' ')[0] ?? '')
    else if (!line.startsWith('#') && line !== '') this.#addRule(line.replace(COUNTERS, '').trimEnd())
  }

  end(): Omit<PlaceRules, keyof Place> {
    if (this.#table !== undefined)
      throw new KmeshError(`table ${this.#table} of iptables was not printed to its end`, {code: 'BadRules'})
    return {hasIstio: this.#hasIstio, hasTproxy: this.#hasTproxy, ours: this.#ours}
  }

  #addChain(name: string): void {
    if (this.#table === 'nat' && name.startsWith('ISTIO_')) this.#hasIstio = true
    if (this.#table === 'mangle' && TPROXY_CHAIN.test(name)) this.#hasTproxy = true
  }

  #addRule(line: string): void {
    const [command, chain = ''] = line.split(' ', 2)
    if (command !== '-A') return
    if (this.#table === 'mangle' && chain.startsWith('ISTIO_') && line.includes(' -j TPROXY '))
      this.#hasTproxy = true
    if (this.#table !== 'nat' || (chain !== 'PREROUTING' && chain !== 'OUTPUT')) return
    const position = (this.#counts.get(chain) ?? 0) + 1
    this.#counts.set(chain, position)
    if (RULE_PRINTED.includes(line.slice(`-A ${chain} `.length))) this.#ours[chain].push(position)
  }
}

/** A quoted comment may hold line ends, so that a line within one looks like a rule. */
function* logicalLines(text: string): Generator<string> {
  let start = 0
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    if (quoted && character === '\\') at += 1
    else if (character === '"' && isRule(text, start)) quoted = !quoted
    else if (character === '\n' && !quoted) {
      yield text.slice(start, at)
      start = at + 1
    }
  }
  if (quoted) throw new KmeshError('a quote in the rules of iptables has no end', {code: 'BadRules'})
  if (start < text.length) yield text.slice(start)
}

function isRule(text: string, start: number): boolean {
  return text[start] === '-' || text[start] === '['
}

export function stateOf(rules: NamespaceRules): SidecarRulesState {
  return {
    redirection: redirectionOf(rules),
    complete: canBypass(rules) && planPut(rules).length === 0,
    present: rules.places.some(({ours}) => CHAINS.some((chain) => ours[chain].length > 0)),
  }
}

/** False where RETURN in table nat would leave the sidecar a part of the traffic. */
export function canBypass(rules: NamespaceRules): boolean {
  const redirection = redirectionOf(rules)
  return redirection === 'none' || redirection === 'redirect'
}

/** What cannot be short-circuited counts first. */
function redirectionOf({places, hasNativeIstio}: NamespaceRules): SidecarRulesState['redirection'] {
  if (places.some((place) => place.hasTproxy)) return 'tproxy'
  if (hasNativeIstio) return 'nftables'
  return places.some((place) => place.hasIstio) ? 'redirect' : 'none'
}

/**
 * Our rule at position 1, once, in every family of each backend where Istio has chains; in both backends while it has
 * none; nowhere else. Places that are right are left out.
 */
export function planPut({places}: NamespaceRules): PlaceChange[] {
  const holders = new Set(places.filter((place) => place.hasIstio).map((place) => place.backend))
  return places.flatMap((place) => {
    const wanted = holders.size === 0 || holders.has(place.backend) ? [1] : []
    return changeOf(place, () => wanted)
  })
}

/** Takes out all that is ours. */
export function planRemove({places}: NamespaceRules): PlaceChange[] {
  return places.flatMap((place) => changeOf(place, () => []))
}

/** Ours back to where it stood in `before`. */
export function planUndo(now: NamespaceRules, before: NamespaceRules): PlaceChange[] {
  return now.places.flatMap((place) => {
    const old = before.places.find((other) => nameOfPlace(other) === nameOfPlace(place))
    return changeOf(place, (chain) => old?.ours[chain] ?? [])
  })
}

function changeOf(place: PlaceRules, wantedIn: (chain: BaseChain) => readonly number[]): PlaceChange[] {
  const lines = CHAINS.flatMap((chain) => moves(chain, place.ours[chain], wantedIn(chain)))
  if (lines.length === 0) return []
  const {backend, family} = place
  return [{backend, family, input: ['*nat', ...lines, 'COMMIT'].join('\n')}]
}

/** Deleted by what it says, never by position: rules may have moved since they were read. */
function moves(chain: BaseChain, existing: readonly number[], wanted: readonly number[]): string[] {
  if (existing.join() === wanted.join()) return []
  const deleted = existing.map(() => `-D ${chain} ${RULE}`)
  return [...deleted, ...wanted.map((position) => `-I ${chain} ${position} ${RULE}`)]
}
