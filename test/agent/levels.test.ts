// SPDX-License-Identifier: Apache-2.0
// Goal: a level set for a time goes back by itself, whatever happens to the agent in between.
// Method: levels over a fake map, fake clock and files in memory; a crash is a second instance over the same map
// and files, started at every point between two writes.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {LEASE_FILE, Levels, normalLevel} from '../../src/lib/agent/levels.ts'
import {Loggers} from '../../src/lib/agent/loggers.ts'
import {GLOBALS} from '../../src/lib/model/maps.ts'
import type {BpfMap} from '../../src/lib/ports.ts'
import {FakeBpf} from '../fakes/bpf.ts'
import {fakeClock} from '../fakes/clock.ts'
import {MemoryFiles, memoryLog} from './fakes.ts'

const SECOND = 1000

function createGlobals(): BpfMap {
  const bpf = new FakeBpf()
  const mapPins = {[GLOBALS.name]: '/pins/km_globals'}
  bpf.load({objectFile: 'x', mapPins, mapSizes: {}, attachments: []})
  return bpf.openPinned('/pins/km_globals')
}

/** `start` makes an agent over what stays when one dies. */
function createNode() {
  const globals = createGlobals()
  const files = new MemoryFiles()
  const clock = fakeClock()
  const start = (persist = false) => {
    const loggers = new Loggers('info', clock, () => {})
    return new Levels({loggers, globals, files, clock, log: memoryLog(), persist})
  }
  return {globals, files, clock, start}
}

test('a lease of the BPF level ends by itself', async () => {
  const {clock, start} = createNode()
  const levels = start()
  levels.set('bpf', 'debug', 30 * SECOND)
  assert.deepEqual(levels.get('bpf'), {
    name: 'bpf',
    level: 'debug',
    default: 'info',
    expiresAt: '2026-01-01T00:00:30.000Z',
  })
  await clock.advance(29 * SECOND)
  assert.equal(levels.get('bpf').level, 'debug')
  await clock.advance(SECOND)
  assert.deepEqual(levels.get('bpf'), {name: 'bpf', level: 'info', default: 'info', expiresAt: null})
})

test('a part that followed follows again', async () => {
  const {clock, start} = createNode()
  const levels = start()
  levels.set('watch', 'trace', SECOND)
  assert.equal(levels.get('watch').level, 'trace')
  await clock.advance(SECOND)
  levels.set('default', 'error', undefined)
  assert.equal(levels.get('watch').level, 'error')
})

test('a second lease keeps the level from before the first', async () => {
  const {clock, start} = createNode()
  const levels = start()
  levels.set('bpf', 'error', undefined)
  levels.set('bpf', 'debug', 10 * SECOND)
  levels.set('bpf', 'warn', 20 * SECOND)
  await clock.advance(11 * SECOND)
  assert.equal(levels.get('bpf').level, 'warn')
  await clock.advance(9 * SECOND)
  assert.equal(levels.get('bpf').level, 'error')
})

test('a level set for good ends the lease', async () => {
  const {clock, files, start} = createNode()
  const levels = start()
  levels.set('bpf', 'debug', 10 * SECOND)
  levels.set('bpf', 'warn', undefined)
  assert.equal(levels.get('bpf').expiresAt, null)
  assert.deepEqual(JSON.parse(files.read(LEASE_FILE) ?? ''), [])
  await clock.advance(60 * SECOND)
  assert.equal(levels.get('bpf').level, 'warn')
})

test('without room for the lease the level stays', () => {
  const {files, start} = createNode()
  const levels = start()
  files.failWrites = true
  assert.throws(() => levels.set('bpf', 'debug', SECOND), /ENOSPC/)
  assert.deepEqual(levels.get('bpf'), {name: 'bpf', level: 'info', default: 'info', expiresAt: null})
})

test('a level of the part outlives a restart only with --persist-settings', () => {
  const {start} = createNode()
  start(true).set('enroll', 'debug', undefined)
  assert.equal(start(false).get('enroll').level, 'info')
  assert.equal(start(true).get('enroll').level, 'debug')
})

describe('a crash', () => {
  test('in a lease: the next agent goes on with it, also for its own loggers', async () => {
    const {clock, start} = createNode()
    const first = start()
    first.set('bpf', 'debug', 30 * SECOND)
    first.set('admin', 'trace', 30 * SECOND)
    await clock.advance(10 * SECOND)
    const second = start()
    assert.equal(second.get('bpf').level, 'debug')
    assert.equal(second.get('admin').level, 'trace')
    await clock.advance(20 * SECOND)
    assert.equal(second.get('bpf').level, 'info')
    assert.equal(second.get('admin').level, 'info')
  })

  test('and a restart after the end: reverted at once', () => {
    const {clock, globals, files, start} = createNode()
    start().set('bpf', 'debug', SECOND)
    const later = {...clock, nowMs: () => clock.nowMs() + 5 * SECOND}
    const loggers = new Loggers('info', later, () => {})
    const next = new Levels({loggers, globals, files, clock: later, log: memoryLog(), persist: false})
    assert.deepEqual(next.get('bpf'), {name: 'bpf', level: 'info', default: 'info', expiresAt: null})
  })

  test('between the lease and the level: the next agent ends with the old level', async () => {
    const {clock, globals, files, start} = createNode()
    const broken: BpfMap = Object.assign(Object.create(globals) as BpfMap, {
      lookup: (key: Uint8Array) => globals.lookup(key),
      update: () => {
        throw new Error('killed here')
      },
    })
    const loggers = new Loggers('info', clock, () => {})
    const dying = new Levels({loggers, globals: broken, files, clock, log: memoryLog(), persist: false})
    assert.throws(() => dying.set('bpf', 'debug', 10 * SECOND), /killed here/)
    assert.match(files.read(LEASE_FILE) ?? '', /debug/, 'the lease was written first')
    const next = start()
    await clock.advance(10 * SECOND)
    assert.equal(next.get('bpf').level, 'info')
  })

  test('between going back and forgetting the lease: going back twice changes nothing', async () => {
    const {clock, files, start} = createNode()
    const first = start()
    first.set('bpf', 'debug', SECOND)
    files.failWrites = true
    await clock.advance(SECOND)
    files.failWrites = false
    assert.match(files.read(LEASE_FILE) ?? '', /debug/)
    assert.deepEqual(start().get('bpf'), {name: 'bpf', level: 'info', default: 'info', expiresAt: null})
    assert.deepEqual(JSON.parse(files.read(LEASE_FILE) ?? ''), [])
  })

  test('a lease file of garbage stops nothing', () => {
    const {files, start} = createNode()
    for (const text of ['', '{', '[{"logger":"bpf"}]', '[null]', '{"a":1}']) {
      files.contents.set(LEASE_FILE, text)
      assert.equal(start().get('bpf').level, 'info')
    }
  })
})

test('names of levels', () => {
  assert.equal(normalLevel('default', 'WARN'), 'warning')
  assert.equal(normalLevel('default', 'Panic'), 'panic')
  assert.equal(normalLevel('default', 'loud'), undefined)
  assert.deepEqual(
    ['0', '1', '2', '3', '4', '-1', 'warn', 'WARN', 'warning', ''].map((text) => normalLevel('bpf', text)),
    ['error', 'warn', 'info', 'debug', undefined, undefined, 'warn', undefined, undefined, undefined],
  )
})

test('a lease never becomes a setting that lasts', async () => {
  const {clock, start} = createNode()
  const levels = start(true)
  levels.set('enroll', 'trace', SECOND)
  levels.set('watch', 'debug', undefined)
  await clock.advance(SECOND)
  assert.equal(start(true).get('enroll').level, 'info')
  assert.equal(start(true).get('watch').level, 'debug')
})

for (const [what, text] of [
  ['cut off', '[{"logger": "bp'],
  ['of another shape', '{}'],
] as const) {
  test(`a lease file that is ${what} is kept aside and said, with the level that stays`, () => {
    const {files, globals, clock, start} = createNode()
    start().set('bpf', 'debug', undefined)
    files.write(LEASE_FILE, text)
    const log = memoryLog()
    const levels = new Levels({
      loggers: new Loggers('info', clock, () => {}),
      globals,
      files,
      clock,
      log,
      persist: false,
    })
    assert.equal(levels.get('bpf').level, 'debug')
    assert.equal(files.read(`${LEASE_FILE}.unreadable`), text)
    assert.match(log.lines.join('\n'), /log-leases\.json\.unreadable.*bpf is debug/)
  })
}

for (const [what, jumpMs] of [
  ['back', -86_400 * SECOND],
  ['forward', 86_400 * SECOND],
] as const) {
  test(`the wall clock is put ${what} by a day: a lease lasts as long as it was given`, async () => {
    const {clock, start} = createNode()
    const levels = start()
    levels.set('bpf', 'debug', 30 * SECOND)
    await clock.advance(10 * SECOND)
    clock.jump(jumpMs)
    await clock.advance(19 * SECOND)
    assert.equal(levels.get('bpf').level, 'debug')
    await clock.advance(SECOND)
    assert.equal(levels.get('bpf').level, 'info')
  })
}

test('the wall clock is put back while no agent runs: the next one gives no more than was given', async () => {
  const {clock, start} = createNode()
  start().set('bpf', 'debug', 30 * SECOND)
  clock.jump(-86_400 * SECOND)
  const next = start()
  await clock.advance(29 * SECOND)
  assert.equal(next.get('bpf').level, 'debug')
  await clock.advance(SECOND)
  assert.equal(next.get('bpf').level, 'info')
})
