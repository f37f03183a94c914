// SPDX-License-Identifier: Apache-2.0
// Goal: whatever a conflist looks like, our entry goes in and out and every other byte stays.
// Method: random JSON in random formatting, seeded; a failing seed is printed. KMESH_SEED runs that one only.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {type PluginEntry, withEntry, withoutEntry} from '../../src/lib/cni/conflist.ts'

const ENTRY: PluginEntry = {type: 'kmesh-cni', socket: '/run/kmesh/cni.sock', failurePolicy: 'fail'}
const OLD_ENTRY = '{"type":"kmesh-cni" , "mode":"dual-engine"}'
const RUNS = 3000

class Random {
  #state: number
  constructor(seed: number) {
    this.#state = seed
  }

  /** From 0 to below `limit`; mulberry32. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T
  }
}

const BLANKS = ['', '', '', ' ', '\n', '\r\n', '\t', '  \n    ', '\n\n\t ', '\r']
const SCALARS = ['0', '-0', '1e3', '1.0', '12345678901234567890', '-1.5E-7', 'true', 'false', 'null']
const TEXTS = ['"type"', '"a\\"b"', '"]},["', '"\\u006b"', '"ä😀"', '""', '"\\\\"', '"kmesh-cni"', '"/x\\/y"']

function value(random: Random, depth: number): string {
  const kind = random.below(depth > 3 ? 2 : 4)
  if (kind === 0) return random.pick(SCALARS)
  if (kind === 1) return random.pick(TEXTS)
  const items = Array.from({length: random.below(4)}, () => value(random, depth + 1))
  return kind === 2
    ? listOf(random, items)
    : objectOf(
        random,
        items.map((item) => [random.pick(TEXTS), item]),
      )
}

function listOf(random: Random, items: readonly string[]): string {
  const blank = () => random.pick(BLANKS)
  return `[${items.map((item) => `${blank()}${item}${blank()}`).join(',') || blank()}]`
}

function objectOf(random: Random, members: readonly (readonly [string, string])[]): string {
  const blank = () => random.pick(BLANKS)
  const texts = members.map(([name, item]) => `${blank()}${name}${blank()}:${blank()}${item}${blank()}`)
  return `{${texts.join(',') || blank()}}`
}

/** A plugin whose last `type` is not ours. */
function plugin(random: Random): string {
  const more = Array.from({length: random.below(3)}, () => [random.pick(TEXTS), value(random, 2)] as const)
  return random.below(8) === 0 ? value(random, 3) : objectOf(random, [...more, ['"type"', '"bridge"']])
}

function conflist(random: Random, plugins: readonly string[]): string {
  const around = Array.from({length: random.below(4)}, () => [random.pick(TEXTS), value(random, 1)] as const)
  const shadowed = random.below(10) === 0 ? [['"plugins"', value(random, 2)] as const] : []
  const name = random.pick(['"plugins"', '"plugins"', '"pl\\u0075gins"'])
  const list = [name, listOf(random, plugins)] as const
  const mark = random.below(20) === 0 ? '\ufeff' : ''
  return `${mark}${random.pick(BLANKS)}${objectOf(random, [...shadowed, ...around, list])}${random.pick(BLANKS)}`
}

function othersOf(text: Uint8Array): unknown[] {
  const {plugins} = JSON.parse(
    Buffer.from(text)
      .toString()
      .replace(/^\ufeff/, ''),
  ) as {plugins: {type?: unknown}[]}
  return plugins.filter((one) => one?.type !== 'kmesh-cni')
}

function checkSeed(seed: number): void {
  const random = new Random(seed)
  const plugins = Array.from({length: random.below(4)}, () => plugin(random)).filter(
    (text) => (JSON.parse(text) as {type?: unknown} | null)?.type !== 'kmesh-cni',
  )
  const original = Buffer.from(conflist(random, plugins))
  const changed = withEntry(original, ENTRY)
  assert.deepEqual(othersOf(changed), othersOf(original))
  assert.equal(changed.length > original.length, true)
  assert.equal(Buffer.compare(withEntry(changed, ENTRY), changed), 0, 'a second time changes nothing')
  assert.equal(Buffer.compare(withoutEntry(changed), original), 0, 'it comes back to the byte')
  assert.equal(withoutEntry(original), original)

  const mixed = [...plugins]
  for (let count = 1 + random.below(3); count > 0; count -= 1)
    mixed.splice(random.below(mixed.length + 1), 0, OLD_ENTRY)
  const withOld = Buffer.from(conflist(random, mixed))
  const updated = Buffer.from(withEntry(withOld, ENTRY))
  assert.deepEqual(othersOf(updated), othersOf(withOld))
  assert.equal(updated.toString().split('/run/kmesh/cni.sock').length, 2, 'exactly one of ours')
  assert.doesNotMatch(updated.toString(), /dual-engine/)
  const cleaned = withoutEntry(withOld)
  assert.deepEqual(othersOf(cleaned), othersOf(withOld))
  assert.doesNotMatch(Buffer.from(cleaned).toString(), /dual-engine/)
}

/** Bytes are changed, cut out and doubled: it is refused as no conflist, or comes back to the byte. */
function checkDamaged(seed: number): void {
  const random = new Random(seed)
  const bytes = [...Buffer.from(conflist(random, [plugin(random), plugin(random)]))]
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    const byte = random.below(2) === 0 ? random.below(256) : '{}[]",:\\'.charCodeAt(random.below(8))
    bytes.splice(random.below(bytes.length), random.below(3), ...Array(random.below(3)).fill(byte))
  }
  const damaged = Buffer.from(bytes)
  try {
    const cleaned = withoutEntry(damaged)
    const changed = withEntry(cleaned, ENTRY)
    assert.equal(Buffer.compare(withoutEntry(changed), cleaned), 0)
  } catch (error) {
    if ((error as {code?: unknown}).code !== 'BadConflist') throw error
  }
}

forSeeds(`${RUNS} random conflists`, checkSeed)
forSeeds(`${RUNS} damaged conflists`, checkDamaged)

function forSeeds(name: string, check: (seed: number) => void): void {
  test(name, () => runSeeds(check))
}

function runSeeds(check: (seed: number) => void): void {
  const only = process.env['KMESH_SEED']
  const base = only === undefined ? Date.now() % 1_000_000_000 : Number(only)
  for (let seed = base; seed < base + (only === undefined ? RUNS : 1); seed += 1) {
    try {
      check(seed)
    } catch (error) {
      throw new Error(`KMESH_SEED=${seed} fails: ${(error as Error).message}`, {cause: error})
    }
  }
}
