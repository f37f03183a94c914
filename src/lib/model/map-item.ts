// SPDX-License-Identifier: Apache-2.0
/** One entry of a BPF map as commands show it, and the filters on it. */
import ipaddr from 'ipaddr.js'
import {compareText} from './report.ts'

export type Fields = Readonly<Record<string, unknown>>

export interface MapItem {
  readonly node: string
  readonly pod: string | null
  readonly map: string
  /** Null where the daemon does not tell keys (Go daemons). */
  readonly key: Fields | null
  readonly value: Fields
  /** Ids of this entry in decimal -> service or workload name. */
  readonly names: Readonly<Record<string, string>>
  /** Only when raw bytes were asked for. */
  readonly keyHex?: string | null
  readonly valueHex?: string | null
}

export interface MapFilter {
  readonly namespace: string | undefined
  /** `cart`, `shop/cart`, or a whole host name. */
  readonly service: string | undefined
  /** In the spelling of {@link normalText}. */
  readonly address: string | undefined
}

/** True where all filters that are given hold. An entry without names is in no namespace and of no service. */
export function matchesFilter(item: MapItem, {namespace, service, address}: MapFilter): boolean {
  if (namespace === undefined && service === undefined && address === undefined) return true
  const texts = [...Object.values(item.names), ...textsOf(item.key), ...textsOf(item.value)]
  if (namespace !== undefined && !texts.some((text) => namespaceOf(text) === namespace)) return false
  if (service !== undefined && !texts.some((text) => isService(text, service))) return false
  return address === undefined || texts.some((text) => normalText(text) === address)
}

/** `shop/cart.shop.svc.cluster.local` and `cluster//Pod/shop/cart-1` -> `shop`; anything else has none. */
function namespaceOf(name: string): string | undefined {
  const parts = name.split('/')
  if (parts.length === 2) return parts[0]
  return parts.length >= 5 ? parts[3] : parts.length === 4 ? parts[2] : undefined
}

function isService(name: string, wanted: string): boolean {
  const [namespace, host, ...rest] = name.replace(/#ipv[46]$/, '').split('/')
  if (namespace === undefined || host === undefined || rest.length > 0) return false
  const short = host.split('.')[0]
  return [short, host, `${namespace}/${short}`, `${namespace}/${host}`].includes(wanted)
}

/** Every text inside, also in lists and objects. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(textsOf)
}

/** An address in its one spelling; other text as it is. */
export function normalText(text: string): string {
  return ipaddr.isValid(text) && /[.:]/.test(text) ? ipaddr.process(text).toString() : text
}

/** By node, map, then key: numbers as numbers, field by field. Entries without keys keep their order. */
export function sortItems(items: readonly MapItem[]): MapItem[] {
  // What a key sorts by is made once an entry, not once a comparison.
  const keyed = items.map((item) => ({item, parts: partsOf(item.key)}))
  keyed.sort(
    (a, b) =>
      compareText(a.item.node, b.item.node) ||
      compareText(a.item.map, b.item.map) ||
      compareParts(a.parts, b.parts),
  )
  return keyed.map(({item}) => item)
}

type Part = number | string

function partsOf(key: Fields | null): readonly Part[] {
  if (key === null) return []
  return Object.values(key).map((value) => (typeof value === 'number' ? value : sortText(value)))
}

function compareParts(a: readonly Part[], b: readonly Part[]): number {
  for (const [index, one] of a.entries()) {
    const other = b[index]
    if (other === undefined) return 0
    const order =
      typeof one === 'number' && typeof other === 'number'
        ? one - other
        : compareText(String(one), String(other))
    if (order !== 0) return order
  }
  return 0
}

/** Addresses sort by their bytes, IPv4 first. */
function sortText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const quad = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number)
  if (quad?.every((byte) => byte < 256)) return `4${Buffer.from(quad).toString('hex')}`
  if (!/^[\da-fA-F:.]+$/.test(text) || !ipaddr.isValid(text) || !/[.:]/.test(text)) return text
  const bytes = ipaddr.parse(text).toByteArray()
  return `${bytes.length === 4 ? '4' : '6'}${Buffer.from(bytes).toString('hex')}`
}
