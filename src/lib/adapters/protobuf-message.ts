// SPDX-License-Identifier: Apache-2.0
/** Messages of protobuf, read into the objects that JSON of Kubernetes would give; fields that nobody asks for are passed over. */

import {
  BYTES,
  type ProtobufBytes,
  ProtobufError,
  TAG_BITS,
  VARINT,
  WIRE_BITS,
} from '../model/protobuf-bytes.ts'
import type {FieldTree} from '../ports.ts'
import {jsonCutter} from './json-cut.ts'
import {parseJson} from './kube-bodies.ts'

export type Fields = Record<string, unknown>

const KEY = (1 << TAG_BITS) | BYTES
const VALUE = (2 << TAG_BITS) | BYTES
/** Times that are kept as text. */
const MOST_TIMES = 10_000

/** Reads one value; the position of `walk` is behind its tag, and behind the value when it is done. */
export type Read = (walk: ProtobufBytes, end: number) => unknown

/** What is made of a field. */
export interface Plan {
  readonly name: string
  readonly wire: number
  readonly read: Read
  readonly form: 'single' | 'list' | 'map'
  /** A zero is a value; elsewhere Go writes every field, and its zeros say nothing. */
  readonly isKept: boolean
}

/** By field number. */
export type Message = readonly (Plan | undefined)[]

/** A field that is there once. */
export function single(name: string, wire: number, read: Read): Plan {
  return {name, wire, read, form: 'single', isKept: true}
}

/** Types whose values need no more than their bytes. */
export const PLAIN: Readonly<Record<string, Read | undefined>> = {
  string: (walk, end) => walk.text(end),
  integer: (walk) => walk.integer(),
  boolean: (walk) => walk.integer() !== 0,
  time: (walk, end) => timeText((messageOf(walk, end, TIME) as {seconds?: number}).seconds ?? 0),
}

export function messageReader(message: Message): Read {
  return (walk, end) => messageOf(walk, end, message)
}

/** A message with its length in front. @throws ProtobufError */
export function messageOf(walk: ProtobufBytes, outerEnd: number, message: Message): Fields {
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
export function entryReader(only: true | FieldTree): (walk: ProtobufBytes, end: number) => Entry | undefined {
  return (walk, outerEnd) => {
    const length = walk.length(outerEnd)
    const end = walk.at + length
    let [key, value] = ['', '']
    while (walk.at < end) {
      const tag = walk.small()
      if (tag === KEY) key = walk.text(end)
      else if (tag === VALUE && (key === '' || isAsked(key, only))) value = walk.text(end)
      else walk.pass(tag & WIRE_BITS, end)
    }
    if (walk.at > end) throw new ProtobufError('an entry is longer than its length')
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
export function jsonReader(below: true | FieldTree): Read {
  const cut = below === true ? (bytes: Buffer) => bytes : jsonCutter(below)
  const leaves = (below === true ? [''] : leavesOf(below)).map((name) => Buffer.from(name))
  const raw = single('json', BYTES, (walk, end) => {
    const bytes = walk.take(end)
    // To look for the names is much less work than to walk over all members.
    return leaves.some((name) => bytes.includes(name)) ? parseJson(cut(bytes)) : {}
  })
  return (walk, end) => (messageOf(walk, end, [undefined, raw]) as {json?: unknown}).json ?? {}
}

/** Names of the members that are asked for whole. */
function leavesOf(fields: FieldTree): string[] {
  return Object.entries(fields).flatMap(([name, below]) => (below === true ? [name] : leavesOf(below)))
}

const TIME: Message = [undefined, single('seconds', VARINT, (walk) => walk.integer())]

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
