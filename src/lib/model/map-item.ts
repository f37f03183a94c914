// SPDX-License-Identifier: Apache-2.0
/** One entry of a BPF map as commands show it, and the filters on it. */
import ipaddr from 'ipaddr.js'

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

/**
 * Text that compares as keys of one map are sorted: field by field, numbers as numbers, addresses by their bytes,
 * IPv4 first. Entries without keys are all the same.
 */
export function sortKey(key: Fields | null): string {
  if (key === null) return ''
  return Object.values(key).map(sortText).join(FIELD_END)
}

/** Less than every character of a field, so that `a` comes before `ab`. */
const FIELD_END = '\0'
const NUMBER_DIGITS = 14

/** No layout has numbers that are no integers of 53 bits: should some come, their order is that of their text. */
function sortText(value: unknown): string {
  if (typeof value === 'number') {
    const isPlain = Number.isSafeInteger(value) && value >= 0
    return isPlain ? value.toString(16).padStart(NUMBER_DIGITS, '0') : String(value)
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const quad = quadNumber(text)
  if (quad !== undefined) return `4${quad.toString(16).padStart(8, '0')}`
  if (!/^[\da-fA-F:.]+$/.test(text) || !/[.:]/.test(text) || !ipaddr.isValid(text)) return text
  const bytes = ipaddr.parse(text).toByteArray()
  return `${bytes.length === 4 ? '4' : '6'}${Buffer.from(bytes).toString('hex')}`
}

/** The four bytes of `10.0.0.1` as one number. A loop, because a large map has many keys. */
function quadNumber(text: string): number | undefined {
  let quad = 0
  let byte = 0
  let digits = 0
  let dots = 0
  for (let at = 0; at <= text.length; at += 1) {
    const code = at < text.length ? text.charCodeAt(at) : DOT
    if (code >= ZERO && code <= ZERO + 9 && digits < 3) {
      byte = byte * 10 + code - ZERO
      digits += 1
    } else if (code === DOT && digits > 0 && byte < 256 && dots < 4) {
      quad = quad * 256 + byte
      byte = 0
      digits = 0
      dots += 1
    } else return undefined
  }
  return dots === 4 ? quad : undefined
}

const DOT = 46
const ZERO = 48
