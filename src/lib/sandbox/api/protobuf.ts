// SPDX-License-Identifier: Apache-2.0
/**
 * Bodies in protobuf, which kubectl sends from 1.32 on: read into the JSON that they stand for. The envelope is the four
 * bytes `k8s\0` and a message `Unknown` (type, bytes of the object).
 */
import {
  BYTES,
  MAGIC,
  ProtobufBytes,
  ProtobufError,
  TAG_BITS,
  VARINT,
  WIRE_BITS,
} from '../../model/protobuf-bytes.ts'
import type {Fields} from './object.ts'
import table from './protobuf-fields.json' with {type: 'json'}
import {badRequest, unsupportedMediaType} from './status.ts'

const KINDS = table.kinds as Readonly<Record<string, string>>
export const MESSAGES = table.messages as Readonly<Record<string, Readonly<Record<string, string>>>>
const DEPTH_MAX = 100

/** A field as it lies in the bytes: a number, or bytes. */
interface Item {
  readonly number: number
  readonly value: number | Buffer
}

/** @throws StatusError 400 for broken bytes, 415 for a kind without a table */
export function decodeProtobuf(body: Buffer): Fields {
  if (!body.subarray(0, 4).equals(MAGIC))
    throw badRequest('the body of the request is not protobuf of Kubernetes')
  const envelope = itemsOf(body.subarray(4))
  const type = itemsOf(bytesAt(envelope, 1))
  const [apiVersion, kind] = [bytesAt(type, 1).toString(), bytesAt(type, 2).toString()]
  const key = messageOfKind(kind)
  if (key === undefined) {
    throw unsupportedMediaType(
      `a ${kind} as protobuf is not read here; use a manifest: kubectl create -f FILE`,
    )
  }
  return {kind, apiVersion, ...message(key, bytesAt(envelope, 2), 0)}
}

/** Key of the message of a kind; undefined for one without a table. */
export function messageOfKind(kind: string): string | undefined {
  return Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined
}

function bytesAt(items: readonly Item[], number: number): Buffer {
  const value = items.findLast((item) => item.number === number)?.value
  return Buffer.isBuffer(value) ? value : Buffer.alloc(0)
}

function itemsOf(bytes: Buffer): Item[] {
  try {
    return walkItems(new ProtobufBytes(bytes), bytes.length)
  } catch (error) {
    if (error instanceof ProtobufError) throw badRequest(`the protobuf of the request: ${error.message}`)
    throw error
  }
}

function walkItems(walk: ProtobufBytes, end: number): Item[] {
  const items: Item[] = []
  while (walk.at < end) {
    const tag = walk.small()
    const [number, wire] = [tag >>> TAG_BITS, tag & WIRE_BITS]
    if (wire === VARINT) items.push({number, value: walk.integer()})
    else if (wire === BYTES) items.push({number, value: walk.take(end)})
    else walk.pass(wire, end)
  }
  return items
}

function message(key: string, bytes: Buffer, depth: number): Fields {
  if (depth > DEPTH_MAX)
    throw badRequest(`the protobuf of the request is nested more than ${DEPTH_MAX} levels deep`)
  const fields = MESSAGES[key] ?? {}
  const result = new Map<string, unknown>()
  for (const {number, value} of itemsOf(bytes)) {
    // Fields of newer versions of Kubernetes are left out, as any server does.
    const [name, type] = (fields[number] ?? '').split(' ')
    if (name === undefined || type === undefined) continue
    if (type.startsWith('~')) {
      for (const entry of Object.entries(message(type.slice(1), bytesOf(value), depth + 1)))
        result.set(...entry)
    } else add(result, name, type, value, depth)
  }
  return Object.fromEntries(result)
}

function add(
  result: Map<string, unknown>,
  name: string,
  type: string,
  value: Item['value'],
  depth: number,
): void {
  if (type.endsWith('{}')) {
    const entry = itemsOf(bytesOf(value))
    const inner = type.slice(0, -2)
    const plain = entry.find((item) => item.number === 2)?.value ?? Buffer.alloc(0)
    const map = (result.get(name) ?? {}) as Fields
    result.set(name, {...map, [bytesAt(entry, 1).toString()]: mapValue(inner, plain, depth)})
  } else if (type.endsWith('[]')) {
    const list = (result.get(name) ?? []) as unknown[]
    result.set(name, [...list, single(type.slice(0, -2), value, depth)])
  } else {
    const isKept = type.startsWith('*')
    const one = single(isKept ? type.slice(1) : type, value, depth)
    // Go writes every plain field; its zeros say nothing.
    if (one !== undefined && (isKept || (one !== '' && one !== 0 && one !== false))) result.set(name, one)
  }
}

/** A list inside of a map is a message with the list as its first field. */
function mapValue(type: string, value: Item['value'], depth: number): unknown {
  if (!type.endsWith('[]')) return single(type, value, depth)
  return itemsOf(bytesOf(value)).map((item) => single(type.slice(0, -2), item.value, depth))
}

function bytesOf(value: Item['value']): Buffer {
  if (Buffer.isBuffer(value)) return value
  throw badRequest('the protobuf of the request has a number where a message is expected')
}

function single(type: string, value: Item['value'], depth: number): unknown {
  if (type === 'integer' || type === 'boolean') {
    if (Buffer.isBuffer(value))
      throw badRequest(`the protobuf of the request has bytes where a ${type} is expected`)
    return type === 'boolean' ? value !== 0 : value
  }
  const bytes = bytesOf(value)
  if (type === 'string') return bytes.toString('utf8')
  if (type === 'bytes') return bytes.toString('base64')
  if (type === 'quantity') return bytesAt(itemsOf(bytes), 1).toString()
  if (type === 'time') return timeOf(itemsOf(bytes))
  if (type === 'json') return jsonOf(bytesAt(itemsOf(bytes), 1))
  if (type === 'intOrString') return intOrStringOf(itemsOf(bytes))
  return message(type, bytes, depth + 1)
}

function numberAt(items: readonly Item[], number: number): number {
  const value = items.findLast((item) => item.number === number)?.value
  return typeof value === 'number' ? value : 0
}

/** RFC 3339; undefined for the time that is none. */
function timeOf(items: readonly Item[]): string | undefined {
  const date = new Date(numberAt(items, 1) * 1000)
  if (numberAt(items, 1) === 0 || Number.isNaN(date.getTime())) return undefined
  return date.toISOString().replace(/\.\d+Z$/, 'Z')
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return bytes.length === 0 ? undefined : (JSON.parse(bytes.toString('utf8')) as unknown)
  } catch {
    throw badRequest('the protobuf of the request has JSON in it that is none')
  }
}

function intOrStringOf(items: readonly Item[]): string | number {
  return numberAt(items, 1) === 0 ? numberAt(items, 2) : bytesAt(items, 3).toString()
}
