// SPDX-License-Identifier: Apache-2.0
/**
 * Lists in the protobuf of Kubernetes, read into the objects that their JSON would give: what nobody asks for is passed
 * over by its length. The envelope is `k8s\0` and a message `Unknown` (1: type, 2: the bytes of the object).
 */
import type {KubeObject} from '../model/kube.ts'
import {
  BYTES,
  MAGIC,
  ProtobufBytes,
  ProtobufError,
  TAG_BITS,
  VARINT,
  WIRE_BITS,
} from '../model/protobuf-bytes.ts'
import type {FieldTree} from '../ports.ts'
import table from './kube-protobuf-fields.json' with {type: 'json'}
import {
  entryReader,
  type Fields,
  jsonReader,
  type Message,
  messageOf,
  messageReader,
  PLAIN,
  type Plan,
  type Read,
  single,
} from './protobuf-message.ts'

type Table = Readonly<Record<string, Readonly<Record<string, string>> | undefined>>

const MESSAGES: Table = table.messages
/** Tag of the object in `Unknown`. */
const RAW = (2 << TAG_BITS) | BYTES

/** By resource: the message of an item. */
const ITEMS: Readonly<Record<string, string>> = {
  '/pods': 'core.Pod',
  '/services': 'core.Service',
  'discovery.k8s.io/endpointslices': 'discovery.EndpointSlice',
}

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

function readerOf(type: string, below: true | FieldTree): Read | undefined {
  const plain = PLAIN[type]
  if (plain !== undefined) return plain
  if (type === 'json') return jsonReader(below)
  const message = below === true ? undefined : compile(type, below)
  return message && messageReader(message)
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
