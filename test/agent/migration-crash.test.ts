// SPDX-License-Identifier: Apache-2.0
// Goal: an agent that is killed at any step of a migration costs no connection, and the next start, of the new or of
// the old version, ends in the right state.
// Method: ports that die after n calls, so that nothing can be taken back; real kernel, real pins; every n in turn.
import assert from 'node:assert/strict'
import {after, before, describe, test} from 'node:test'
import type {DataPlane, LoadParts} from '../../src/lib/agent/loader.ts'
import {mapFolder, mapPin} from '../../src/lib/agent/pin-names.ts'
import {decode, encode} from '../../src/lib/model/codec.ts'
import {GLOBALS, MANAGE, MAPS} from '../../src/lib/model/maps.ts'
import type {Bpf, BpfMap, PinTree} from '../../src/lib/ports.ts'
import {OBJECT_FILE, skipReason} from '../adapters/kernel-fixture.ts'
import {noCompiler, preallocated, Variant} from '../bpf/variants.ts'
import {closePlane, MigrationWorld, NEW_PEERS, OLD_PEERS} from './migration-world.ts'

/** The process ends: from then on nothing that it wants to do reaches the kernel. */
class Killed extends Error {}

/** Ports whose `limit`-th call that changes something is the last one; it is done, and then the process is gone. */
function mortal(
  world: MigrationWorld,
  limit: number,
): Pick<LoadParts, 'bpf' | 'pins'> & {calls: () => number} {
  let calls = 0
  const step = <T>(run: () => T): T => {
    if (calls >= limit) throw new Killed()
    calls += 1
    const result = run()
    if (calls >= limit) throw new Killed()
    return result
  }
  const mortalMap = (map: BpfMap): BpfMap => ({
    info: map.info,
    lookup: (key) => map.lookup(key),
    read: (chunk) => map.read(chunk),
    update: (key, value) => step(() => map.update(key, value)),
    delete: (key) => step(() => map.delete(key)),
    updateBatch: (batch) => step(() => map.updateBatch(batch)),
    [Symbol.dispose]: () => map[Symbol.dispose](),
  })
  const bpf: Bpf = {
    layouts: (file) => world.bpf.layouts(file),
    load: (request) => step(() => world.bpf.load(request)),
    openPinned: (pin) => mortalMap(world.bpf.openPinned(pin)),
    openRing: (pin) => world.bpf.openRing(pin),
    unpin: (pin) => step(() => world.bpf.unpin(pin)),
  }
  const pins: PinTree = {
    list: (directory) => world.pins.list(directory),
    lock: (directory) => world.pins.lock(directory),
    remove: (directory) => step(() => world.pins.remove(directory)),
    rename: (from, to) => step(() => world.pins.rename(from, to)),
  }
  return {bpf, pins, calls: () => calls}
}

const EVERY_MAP = ['km_frontend', 'km_service', 'km_endpoint', 'km_backend', 'km_manage']

describe('a migration that is killed', {skip: skipReason() || noCompiler()}, () => {
  let variant: Variant
  before(() => {
    variant = new Variant(EVERY_MAP.map(preallocated))
  })
  after(() => variant[Symbol.dispose]())

  /** @returns calls that were made, and whether it came to its end */
  async function startAndDie(
    world: MigrationWorld,
    limit: number,
  ): Promise<{calls: number; isDone: boolean}> {
    const ports = mortal(world, limit)
    try {
      const plane = world.start(OBJECT_FILE, ports)
      await world.follow(plane)
      const isDone = plane.migration?.isDone === true && ports.calls() < limit
      closePlane(plane)
      return {calls: ports.calls(), isDone}
    } catch (thrown) {
      assert.ok(thrown instanceof Killed, String(thrown))
      return {calls: ports.calls(), isDone: false}
    }
  }

  async function checkNextStart(
    world: MigrationWorld,
    objectFile: string,
    links: readonly number[],
  ): Promise<void> {
    const plane = world.start(objectFile)
    try {
      assert.ok([...OLD_PEERS, ...NEW_PEERS].includes(world.connectOnce()), 'before the first lists')
      await world.follow(plane)
      assert.ok(NEW_PEERS.includes(world.connectOnce()), 'after them')
      assert.deepEqual(world.folders(), ['map', 'sockconn'])
      assert.deepEqual(world.linkIds(), links)
      assert.equal(world.pins.list(mapFolder(world.fixture.bpffs, 'map')).length, MAPS.length)
      const layouts = new Map(world.bpf.layouts(objectFile).map((layout) => [layout.name, layout]))
      for (const name of EVERY_MAP) {
        using map = world.open(name)
        assert.equal(map.info.flags, layouts.get(name)?.flags, name)
      }
      using manage = world.open(MANAGE.name)
      const key = encode(MANAGE.key, {cookie: world.cookie.toString(), address: null})
      assert.notEqual(manage.lookup(key), undefined)
      using globals = world.open(GLOBALS.name)
      const level = globals.lookup(encode(GLOBALS.key, {index: 0})) as Uint8Array
      assert.deepEqual(decode(GLOBALS.value, level), {bpfLogLevel: 'warn'})
    } finally {
      closePlane(plane)
    }
  }

  for (const next of ['new', 'old'] as const) {
    test(`at every step; the ${next} version starts next`, {timeout: 300_000}, async () => {
      let points = 0
      for (let limit = 1; ; limit += 1) {
        using world = new MigrationWorld()
        world.loadOld(variant.objectFile)
        const links = world.linkIds()
        const {isDone} = await startAndDie(world, limit)
        assert.ok([...OLD_PEERS, ...NEW_PEERS].includes(world.connectOnce()), `killed after step ${limit}`)
        await checkNextStart(world, next === 'new' ? OBJECT_FILE : variant.objectFile, links)
        if (isDone) break
        points = limit
      }
      assert.ok(points >= 15, `only ${points} points`)
    })
  }

  test('between the two links', async () => {
    using world = new MigrationWorld()
    world.loadOld(variant.objectFile)
    const links = world.linkIds()
    const {bpffs} = world.fixture
    // Dies in the load that swaps, after the first link: the way back is gone, too.
    const half: Bpf = {
      layouts: (file) => world.bpf.layouts(file),
      openPinned: (pin) => world.bpf.openPinned(pin),
      openRing: (pin) => world.bpf.openRing(pin),
      unpin: (pin) => world.bpf.unpin(pin),
      load: (request) => {
        world.bpf.load({...request, attachments: request.attachments.slice(0, 1)})
        if (request.attachments.length > 0) throw new Killed()
        return {adoptedMaps: [], createdMaps: [], replacedLinks: [], createdLinks: []}
      },
    }
    const dead: PinTree = {
      ...world.pins,
      rename: (from, to) => {
        if (from === mapFolder(bpffs, 'map_ready')) throw new Killed()
        world.pins.rename(from, to)
      },
    }
    const plane: DataPlane = world.start(OBJECT_FILE, {bpf: half, pins: dead})
    await world.follow(plane)
    assert.equal(plane.migration?.isDone, false)
    assert.deepEqual(world.folders(), ['map', 'map_ready', 'sockconn'])
    closePlane(plane)
    // The program of before still runs for IPv6, the new one for IPv4; each is told of a pod, as a Go plugin does it.
    const told = ['map', 'map_ready'] as const
    const keys = told.map((_, index) => encode(MANAGE.key, {cookie: String(4713 + index), address: null}))
    for (const [index, folder] of told.entries()) {
      using map = world.bpf.openPinned(mapPin(bpffs, MANAGE.name, folder))
      map.update(keys[index] as Uint8Array, new Uint8Array(4))
    }
    await checkNextStart(world, OBJECT_FILE, links)
    using manage = world.open(MANAGE.name)
    for (const key of keys) assert.notEqual(manage.lookup(key), undefined)
  })
})
