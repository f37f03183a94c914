// SPDX-License-Identifier: Apache-2.0
// Goal: a version with other maps takes over without one failed connect; what it cannot carry it refuses to touch.
// Method: objects built from changed sources make the old data plane; a thread connects all the time; the real
// loader and reconciler follow. Pods have no route to the service: a connect that is not redirected fails.
import assert from 'node:assert/strict'
import {once} from 'node:events'
import {afterEach, beforeEach, describe, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {Worker} from 'node:worker_threads'
import type {DataPlane} from '../../src/lib/agent/loader.ts'
import {KernelError, LayoutError} from '../../src/lib/errors.ts'
import {decode, encode} from '../../src/lib/model/codec.ts'
import {GLOBALS, MANAGE} from '../../src/lib/model/maps.ts'
import type {Bpf, BpfMap} from '../../src/lib/ports.ts'
import type {ChurnData, ChurnResult} from '../adapters/churn-client.ts'
import {OBJECT_FILE, skipReason} from '../adapters/kernel-fixture.ts'
import {
  type Edit,
  leastRecentlyUsed,
  longerEndpointKey,
  longerManageKey,
  longerManageValue,
  longerService,
  longerSocketValue,
  mapSize,
  moreGlobals,
  moreInstructions,
  noCompiler,
  preallocated,
  Variant,
} from '../bpf/variants.ts'
import {closePlane, MigrationWorld, NEW_PEERS, OLD_PEERS, VIP} from './migration-world.ts'

/** What the earlier version has otherwise, and does the next one need the cluster to replace it. */
const CASES: readonly [string, readonly Edit[], boolean][] = [
  ['a longer value', longerService, true],
  ['a longer key', longerEndpointKey, true],
  ['a smaller map', [mapSize('km_service', 5000, 100)], true],
  ['another type', [leastRecentlyUsed('km_frontend')], true],
  ['other flags', [preallocated('km_backend')], true],
  ['everything', [...longerService, ...longerManageValue, ...moreGlobals, ...longerSocketValue], true],
  ['km_manage and settings alone', [...longerManageValue, ...moreGlobals], false],
  ['socket storage alone', longerSocketValue, false],
  ['nothing but instructions', moreInstructions, false],
]

function keyOf(cookie: string | bigint): Uint8Array {
  return encode(MANAGE.key, {cookie: cookie.toString(), address: null})
}

function flagsOf(map: BpfMap): Uint8Array {
  return new Uint8Array(map.info.valueBytes)
}

describe('migration of maps', {skip: skipReason() || noCompiler()}, () => {
  let world: MigrationWorld
  let plane: DataPlane | undefined

  beforeEach(() => {
    world = new MigrationWorld()
    plane = undefined
  })
  afterEach(() => {
    if (plane !== undefined) closePlane(plane)
    world[Symbol.dispose]()
  })

  async function underTraffic(run: () => Promise<void>): Promise<ChurnResult> {
    const stop = new SharedArrayBuffer(4)
    const workerData: ChurnData = {namespace: world.namespace, address: VIP, port: 80, stop}
    const file = new URL('../adapters/churn-client.ts', import.meta.url)
    const worker = new Worker(file, {workerData, trackUnmanagedFds: false})
    const answered = once(worker, 'message') as Promise<[ChurnResult]>
    const ended = once(worker, 'exit')
    let isOver = false
    const accepting = (async () => {
      for (; !isOver; await sleep(5)) world.acceptAll()
    })()
    try {
      await sleep(300)
      await run()
      await sleep(100)
    } finally {
      Atomics.store(new Int32Array(stop), 0, 1)
      await ended
      isOver = true
      await accepting
    }
    return (await answered)[0]
  }

  for (const [what, edits, needsCluster] of CASES) {
    test(`${what}: taken over under traffic`, async () => {
      using variant = new Variant(edits)
      world.loadOld(variant.objectFile)
      const [links, ids] = [world.links(), world.mapIds()]
      const {connects, peers, errors} = await underTraffic(async () => {
        plane = world.start()
        assert.equal(plane.migration !== undefined, needsCluster)
        if (needsCluster) await whileOldServe(plane, ids, links)
        await world.follow(plane)
        assert.deepEqual(plane.migration?.problems() ?? [], [])
      })
      assert.deepEqual(errors, [])
      assert.ok(connects > 50, `${connects} connects`)
      assert.deepEqual(peers, [...OLD_PEERS, ...NEW_PEERS].sort())
      assert.deepEqual(
        world.linkIds(),
        links.map(({link}) => link),
        'links are updated, never made anew',
      )
      const programs = new Set([...links, ...world.links()].map(({program}) => program))
      assert.equal(programs.size, 4, 'both programs are new')
      assert.deepEqual(world.folders(), ['map', 'sockconn'])
      assert.equal(plane?.adopted, true)
      checkCarried()
      if (what === 'nothing but instructions') assert.deepEqual(world.mapIds(), ids)
      else assert.notDeepEqual(world.mapIds(), ids)
      const after = world.mapIds()
      closePlane(plane as DataPlane)
      plane = world.start()
      assert.equal(plane.migration, undefined, 'the next start finds what it needs')
      assert.deepEqual(world.mapIds(), after)
    })
  }

  /** Between the start and the first lists: nothing has changed for pods, and the agent's words reach both maps. */
  async function whileOldServe(next: DataPlane, ids: object, links: object): Promise<void> {
    assert.deepEqual(world.mapIds(), ids)
    assert.deepEqual(world.links(), links)
    assert.deepEqual(world.folders(), ['map', 'map_next', 'sockconn'])
    assert.ok(OLD_PEERS.includes(world.connectOnce()))
    next.manage.update(keyOf(4711n), flagsOf(next.manage))
    using old = world.open(MANAGE.name)
    assert.notEqual(old.lookup(keyOf(4711n)), undefined, 'a pod is captured by the programs of before, too')
    // As a control connect does it in the programs of before.
    old.update(keyOf(4712n), flagsOf(old))
    await sleep(50)
  }

  function checkCarried(): void {
    using manage = world.open(MANAGE.name)
    assert.notEqual(manage.lookup(keyOf(world.cookie)), undefined)
    if (plane?.migration !== undefined) {
      for (const cookie of [4711n, 4712n])
        assert.notEqual(manage.lookup(keyOf(cookie)), undefined, `${cookie}`)
    }
    using globals = world.open(GLOBALS.name)
    const bytes = globals.lookup(encode(GLOBALS.key, {index: 0})) as Uint8Array
    assert.deepEqual(decode(GLOBALS.value, bytes), {bpfLogLevel: 'warn'})
  }

  function refuses(pattern: RegExp, start: () => DataPlane): void {
    const before = [world.mapIds(), world.links(), world.folders()]
    assert.throws(start, (thrown) => {
      assert.ok(thrown instanceof LayoutError, String(thrown))
      assert.match(thrown.message, pattern)
      assert.ok(thrown.hints.length > 0, 'says what to do')
      return true
    })
    assert.deepEqual([world.mapIds(), world.links(), world.folders()], before)
    assert.ok(OLD_PEERS.includes(world.connectOnce()), 'the data plane works on')
  }

  test('km_manage of an unknown layout: refused, nothing is touched', () => {
    using variant = new Variant(longerManageKey)
    world.loadOld(variant.objectFile)
    refuses(/km_manage cannot be carried over: its layout .*keys of 24 bytes/, () => world.start())
  })

  test('entries that this version cannot read: refused', () => {
    using variant = new Variant([...longerManageValue, ...moreGlobals])
    world.loadOld(variant.objectFile)
    {
      using manage = world.open(MANAGE.name)
      manage.update(keyOf(1n), Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0))
    }
    refuses(/km_manage cannot be carried over: an entry has more than the 4 bytes/, () => world.start())
    {
      using manage = world.open(MANAGE.name)
      manage.delete(keyOf(1n))
      using globals = world.open(GLOBALS.name)
      globals.update(new Uint8Array(4), Uint8Array.of(77, 0, 0, 0, 0, 0, 0, 0))
    }
    refuses(/km_globals cannot be carried over: its first word, 77/, () => world.start())
  })

  test('an object that this agent does not write for: refused by name', () => {
    using variant = new Variant(longerService)
    world.loadOld(OBJECT_FILE)
    refuses(/km_service has keys and values of 4 and 140 bytes, this kmesh-daemon writes 4 and 132/, () =>
      world.start(variant.objectFile),
    )
  })

  test('a size without room for what is there: refused; with room the map is made anew', async () => {
    world.loadOld(OBJECT_FILE)
    refuses(/km_endpoint holds 2 entries, more than the 1 that are asked for/, () =>
      world.start(OBJECT_FILE, {}, {km_endpoint: 1}),
    )
    plane = world.start(OBJECT_FILE, {}, {km_endpoint: 2})
    await world.follow(plane)
    assert.ok(NEW_PEERS.includes(world.connectOnce()))
    using map = world.open('km_endpoint')
    assert.equal(map.info.maxEntries, 2)
  })

  test('links that cannot be updated: the old programs serve, it is said, and tried again', async () => {
    using variant = new Variant(longerService)
    world.loadOld(variant.objectFile)
    const links = world.links()
    let isRefusing = true
    const load: Bpf['load'] = (request) => {
      if (isRefusing && request.attachments.length > 0)
        throw new KernelError('BPF_LINK_UPDATE', 1, 'the link')
      return world.bpf.load(request)
    }
    const {bpf} = world
    const layouts: Bpf['layouts'] = (file) => bpf.layouts(file)
    const openPinned: Bpf['openPinned'] = (pin) => bpf.openPinned(pin)
    const openRing: Bpf['openRing'] = (pin) => bpf.openRing(pin)
    plane = world.start(OBJECT_FILE, {
      bpf: {layouts, load, openPinned, openRing, unpin: (pin) => bpf.unpin(pin)},
    })
    assert.match(plane.migration?.problems().join() ?? '', /earlier version serve until/)
    await world.follow(plane)
    assert.match(
      plane.migration?.problems().join() ?? '',
      /still use the maps of an earlier version: BPF_LINK_UPDATE/,
    )
    assert.deepEqual(world.links(), links)
    assert.ok(OLD_PEERS.includes(world.connectOnce()))
    isRefusing = false
    await world.clock.advance(10_000)
    assert.deepEqual(plane.migration?.problems(), [])
    assert.ok(NEW_PEERS.includes(world.connectOnce()))
  })

  test('a program that the verifier refuses: the old ones serve on', () => {
    using variant = new Variant([
      ...longerSocketValue,
      {file: 'connect4.c', from: '\tif (!km_is_managed(ctx))', to: '\tif (*(__u32 *)(long)port)'},
    ])
    world.loadOld(OBJECT_FILE)
    const before = [world.mapIds(), world.links(), world.folders()]
    assert.throws(() => world.start(variant.objectFile), /bpf_object__load/)
    assert.deepEqual([world.mapIds(), world.links(), world.folders()], before)
    assert.ok(OLD_PEERS.includes(world.connectOnce()))
  })
})
