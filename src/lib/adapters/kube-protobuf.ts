// SPDX-License-Identifier: Apache-2.0
/**
 * Lists in the protobuf of Kubernetes, read into the objects that their JSON would give: what nobody asks for is passed
 * over by its length. The envelope is `k8s\0` and a message `Unknown` (1: type, 2: the bytes of the object).
 */
import type {KubeObject} from '../model/kube.ts'
import type {FieldTree} from '../ports.ts'
import {jsonCutter} from './json-cut.ts'
import {parseJson} from './kube-bodies.ts'
import table from './kube-protobuf-fields.json' with {type: 'json'}
import {BYTES, ProtobufBytes, ProtobufError, VARINT} from './protobuf-bytes.ts'

type Table = Readonly<Record<string, Readonly<Record<string, string>> | undefined>>
type Fields = Record<string, unknown>

const MESSAGES: Table = table.messages
/** In front of every object. */
const MAGIC = Buffer.from('k8s\0')
const TAG_BITS = 3
const WIRE_BITS = 7
/** Tag of the object in `Unknown`. */
const RAW = (2 << TAG_BITS) | BYTES
const ENTRY_KEY = (1 << TAG_BITS) | BYTES
const ENTRY_VALUE = (2 << TAG_BITS) | BYTES
/** Times that are kept as text. */
const MOST_TIMES = 10_000

/** By resource: the message of an item. */
const ITEMS: Readonly<Record<string, string>> = {
  '/pods': 'core.Pod',
  '/services': 'core.Service',
  'discovery.k8s.io/endpointslices': 'discovery.EndpointSlice',
}

/** Reads one value; the position of `walk` is behind its tag, and behind the value when it is done. */
type Read = (walk: ProtobufBytes, end: number) => unknown

/** What is made of a field. */
interface Plan {
  readonly name: string
  readonly wire: number
  readonly read: Read
  readonly form: 'single' | 'list' | 'map'
  /** A zero is a value; elsewhere Go writes every field, and its zeros say nothing. */
  readonly isKept: boolean
}

/** By field number. */
type Message = readonly (Plan | undefined)[]

/** Reads the answers of one kind of list. */
export interface ListReader {
  /** Where the list goes on; undefined at its end. */
  continues(bytes: Buffer): string | undefined
  /** @throws ProtobufError, SyntaxError */
  list(bytes: Buffer): unknown
}

/** Undefined for a resource, and for members, that are read as JSON only. */
export function listReader(
  group: string,
  resource: string,
  fields: FieldTree,
  project: (item: KubeObject) => KubeObject,
): ListReader | undefined {
  const key = ITEMS[`${group}/${resource}`]
  const item = key === undefined ? undefined : compile(key, fields)
  if (item === undefined) return undefined
  const metadata = single('metadata', BYTES, messageReader(LIST_METADATA))
  // Each on its own, so that never more than one item is there as a whole.
  const readItem: Read = (walk, end) => project(messageOf(walk, end, item) as unknown as KubeObject)
  const items = {...single('items', BYTES, readItem), form: 'list'} as const
  return {
    continues: (bytes) => (object(bytes, [undefined, metadata]) as {metadata?: ListHead}).metadata?.continue,
    list: (bytes) => object(bytes, [undefined, metadata, items]),
  }
}

interface ListHead {
  readonly continue?: string
}

/** Message and reason of a failure. @throws ProtobufError */
export function readStatus(bytes: Buffer): unknown {
  return object(bytes, STATUS)
}

/** Undefined when a member has no form here. */
function compile(key: string, fields: FieldTree): Message | undefined {
  const message: Plan[] = []
  const byName = new Map<string, readonly [number: string, type: string]>()
  for (const [number, field] of Object.entries(MESSAGES[key] ?? {})) {
    const [name = '', type = ''] = field.split(' ')
    byName.set(name, [number, type])
  }
  for (const [name, below] of Object.entries(fields)) {
    const [number, type] = byName.get(name) ?? []
    const plan = type === undefined ? undefined : planOf(name, type, below)
    if (plan === undefined) return undefined
    message[Number(number)] = plan
  }
  return Array.from(message)
}

const WRITTEN_TYPE = /^(\*?)(.+?)(\[\]|\{\})?$/

function planOf(name: string, written: string, below: true | FieldTree): Plan | undefined {
  const [, kept, type = '', ending] = WRITTEN_TYPE.exec(written) ?? []
  if (ending === '{}') {
    if (type !== 'string') return undefined
    return {...single(name, BYTES, entryReader(below)), form: 'map'}
  }
  const read = readerOf(type, below)
  if (read === undefined) return undefined
  const plan = single(name, type === 'integer' || type === 'boolean' ? VARINT : BYTES, read)
  return ending === '[]'
    ? {...plan, form: 'list'}
    : {...plan, isKept: kept !== '' || PLAIN[type] === undefined}
}

function single(name: string, wire: number, read: Read): Plan {
  return {name, wire, read, form: 'single', isKept: true}
}

const PLAIN: Readonly<Record<string, Read | undefined>> = {
  string: (walk, end) => walk.text(end),
  integer: (walk) => walk.integer(),
  boolean: (walk) => walk.integer() !== 0,
  time: (walk, end) => timeText((messageOf(walk, end, TIME) as {seconds?: number}).seconds ?? 0),
}

function readerOf(type: string, below: true | FieldTree): Read | undefined {
  const plain = PLAIN[type]
  if (plain !== undefined) return plain
  if (type === 'json') return jsonReader(below)
  const message = below === true ? undefined : compile(type, below)
  return message && messageReader(message)
}

function messageReader(message: Message): Read {
  return (walk, end) => messageOf(walk, end, message)
}

function messageOf(walk: ProtobufBytes, outerEnd: number, message: Message): Fields {
  const length = walk.length(outerEnd)
  const end = walk.at + length
  const result: Fields = {}
  while (walk.at < end) {
    const tag = walk.small()
    const plan = message[tag >>> TAG_BITS]
    if (plan === undefined) walk.pass(tag & WIRE_BITS, end)
    else if (plan.wire === (tag & WIRE_BITS)) add(result, plan, plan.read(walk, end))
    else throw new ProtobufError(`${plan.name} has the wire type ${tag & WIRE_BITS}`)
  }
  if (walk.at > end) throw new ProtobufError('a message is longer than its length')
  return result
}

function add(result: Fields, {name, form, isKept}: Plan, value: unknown): void {
  const known = result[name]
  if (form === 'single') {
    if (value !== undefined && (isKept || isSaid(value))) result[name] = value
  } else if (form === 'list') {
    if (known === undefined) result[name] = [value]
    else (known as unknown[]).push(value)
  } else {
    if (known === undefined) result[name] = {}
    if (value !== undefined) put(result[name] as Fields, value as Entry)
  }
}

function isSaid(value: unknown): boolean {
  return value !== '' && value !== 0 && value !== false
}

type Entry = readonly [key: string, value: string]

/** A map is a list of messages: 1 the key, 2 the value. Undefined for a key that nobody asked for. */
function entryReader(only: true | FieldTree): (walk: ProtobufBytes, end: number) => Entry | undefined {
  return (walk, outerEnd) => {
    const length = walk.length(outerEnd)
    const end = walk.at + length
    let [key, value] = ['', '']
    while (walk.at < end) {
      const tag = walk.small()
      if (tag === ENTRY_KEY) key = walk.text(end)
      else if (tag === ENTRY_VALUE && isAsked(key, only)) value = walk.text(end)
      else walk.pass(tag & WIRE_BITS, end)
    }
    return isAsked(key, only) ? [key, value] : undefined
  }
}

function isAsked(key: string, only: true | FieldTree): boolean {
  return only === true || Object.hasOwn(only, key)
}

/** As JSON.parse does it: no name reaches the prototype. */
function put(map: Fields, [key, value]: Entry): void {
  if (key === '__proto__')
    Object.defineProperty(map, key, {value, enumerable: true, writable: true, configurable: true})
  else map[key] = value
}

/** JSON as bytes in a message: 1. */
function jsonReader(below: true | FieldTree): Read {
  const cut = below === true ? (bytes: Buffer) => bytes : jsonCutter(below)
  const leaves = (below === true ? [''] : leavesOf(below)).map((name) => Buffer.from(name))
  return (walk, outerEnd) => {
    const length = walk.length(outerEnd)
    const end = walk.at + length
    let found: unknown = {}
    while (walk.at < end) {
      const tag = walk.small()
      if (tag !== ENTRY_KEY) {
        walk.pass(tag & WIRE_BITS, end)
        continue
      }
      const bytes = walk.take(end)
      // To look for the names is much less work than to walk over all members.
      found = leaves.some((name) => bytes.includes(name)) ? parseJson(cut(bytes)) : {}
    }
    return found
  }
}

/** Names of the members that are asked for whole. */
function leavesOf(fields: FieldTree): string[] {
  return Object.entries(fields).flatMap(([name, below]) => (below === true ? [name] : leavesOf(below)))
}

const times = new Map<number, string>()

/** RFC 3339, to the second as Kubernetes writes it; undefined for the time that is none. */
function timeText(seconds: number): string | undefined {
  const known = times.get(seconds)
  if (known !== undefined) return known
  const date = new Date(seconds * 1000)
  if (seconds === 0 || Number.isNaN(date.getTime())) return undefined
  const text = date.toISOString().replace(/\.\d+Z$/, 'Z')
  if (times.size >= MOST_TIMES) times.clear()
  times.set(seconds, text)
  return text
}

/** What the envelope holds. */
function object(bytes: Buffer, message: Message): Fields {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new ProtobufError('it does not begin with k8s')
  const walk = new ProtobufBytes(bytes, MAGIC.length)
  while (walk.at < bytes.length) {
    const tag = walk.small()
    if (tag === RAW) return messageOf(walk, bytes.length, message)
    walk.pass(tag & WIRE_BITS, bytes.length)
  }
  throw new ProtobufError('it has no object')
}

const TIME: Message = [undefined, single('seconds', VARINT, (walk) => walk.integer())]
const LIST_METADATA = known('meta.ListMeta', {
  resourceVersion: true,
  continue: true,
  remainingItemCount: true,
})
const STATUS = known('meta.Status', {message: true, reason: true})

function known(key: string, fields: FieldTree): Message {
  const message = compile(key, fields)
  if (message === undefined) throw new Error(`the table lacks ${key}`)
  return message
}
