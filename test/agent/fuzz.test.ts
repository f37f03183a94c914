// SPDX-License-Identifier: Apache-2.0
// Goal: no bytes in maps or ring buffer end the agent or block what is right beside them; each case is said, and not
// more often than once a minute.
// Method: seeded random bytes into a whole agent on fakes; then one good service must be served.
import assert from 'node:assert/strict'
import {afterEach, describe, test} from 'node:test'
import {recordText} from '../../src/lib/agent/bpf-log.ts'
import {ENDPOINT, MAPS, type MapRow} from '../../src/lib/model/maps.ts'
import {FakeBpf} from '../fakes/bpf.ts'
import {PIN_FOLDER} from './agent-fixture.ts'
import {assertSaidOnce, assertShopIsServed, entries, open, putShop, start, stopAll} from './fuzz-world.ts'
import {chooseSeed, type Random, withSeed} from './seed.ts'

afterEach(stopAll)

function randomBytes(random: Random, length: number): Uint8Array {
  // Small numbers, all ones and zeros are what layouts stumble over.
  return Uint8Array.from({length}, () => random.pick([0, 0, 1, 255, random.below(256)]))
}

/** New entries, and other values in half of the batches that are there. */
function spoilMaps(random: Random, bpf: FakeBpf): void {
  for (const row of MAPS as readonly unknown[] as MapRow[]) {
    if (row.key === undefined || row.maxEntries === 1) continue
    using map = bpf.openPinned(`${PIN_FOLDER}/map/${row.name}`)
    for (let entry = 0; entry < 30; entry += 1)
      map.update(randomBytes(random, row.keyBytes), randomBytes(random, row.valueBytes))
    for (const {keys} of [...map.read(1)])
      if (random.chance(0.3)) map.update(keys, randomBytes(random, row.valueBytes))
  }
}

describe('bytes in maps', () => {
  test('whatever an adopted map holds, the agent starts, dumps it, and makes it right', async () => {
    await withSeed(chooseSeed(), async (random) => {
      for (let round = 0; round < 20; round += 1) {
        const bpf = new FakeBpf()
        const first = await start(bpf, [])
        putShop(first)
        first.informers.sync()
        await first.settle(1000)
        await first.agent.stop()
        spoilMaps(random, bpf)
        const second = await start(bpf, [`${PIN_FOLDER}/map/km_globals`])
        await Promise.all(['km_service', 'km_endpoint', 'km_manage'].map((map) => entries(second, map)))
        putShop(second)
        second.informers.sync()
        await second.settle(200_000)
        await assertShopIsServed(second)
        const [value] = await entries(second, 'km_service')
        assert.match(String(value?.['valueHex']), /^01000000(00){28}/, 'written anew where it was spoilt')
        open.splice(0)
        await second.agent.stop()
      }
    })
  })

  test('an index of four billion takes no memory', async () => {
    const bpf = new FakeBpf()
    const first = await start(bpf, [])
    using map = bpf.openPinned(`${PIN_FOLDER}/map/${ENDPOINT.name}`)
    map.update(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255), Uint8Array.of(1, 0, 0, 0))
    await first.agent.stop()
    open.splice(0)
    const second = await start(bpf, [`${PIN_FOLDER}/map/km_globals`])
    second.informers.sync()
    await second.settle(1000)
    assert.deepEqual(await entries(second, ENDPOINT.name), [])
    assert.equal(assertSaidOnce(second, /no agent of ours writes/).length, 1)
  })
})

describe('values that read the same and are not', () => {
  test('bytes behind a port, or behind the last service of a backend: written anew', async () => {
    const bpf = new FakeBpf()
    const first = await start(bpf, [])
    putShop(first)
    first.informers.sync()
    await first.settle(1000)
    await first.agent.stop()
    open.splice(0)
    const good: Record<string, Uint8Array | undefined> = {}
    const spoilt = {km_service: 34, km_backend: 28}
    for (const [name, place] of Object.entries(spoilt)) {
      using map = bpf.openPinned(`${PIN_FOLDER}/map/${name}`)
      for (const {keys, values} of [...map.read()]) {
        good[name] = values.slice()
        values[place] = 1
        map.update(keys, values)
      }
    }
    const second = await start(bpf, [`${PIN_FOLDER}/map/km_globals`])
    putShop(second)
    second.informers.sync()
    await second.settle(1000)
    for (const name of Object.keys(spoilt)) {
      using map = bpf.openPinned(`${PIN_FOLDER}/map/${name}`)
      for (const {values} of map.read()) assert.deepEqual(values, good[name], name)
    }
  })
})

describe('records of the ring buffer', () => {
  test('of any length and content', async () => {
    await withSeed(chooseSeed(), async (random) => {
      const fixture = await start(new FakeBpf(), [])
      putShop(fixture)
      fixture.informers.sync()
      const ring = `${PIN_FOLDER}/map/km_log_event`
      for (let record = 0; record < 2000; record += 1) {
        const bytes = randomBytes(random, random.pick([0, 1, 3, 4, 5, 259, 260, 261, random.below(600)]))
        assert.ok(recordText(bytes).length <= 255)
        fixture.bpf.emit(ring, bytes)
      }
      await fixture.settle(2000)
      assert.equal(assertSaidOnce(fixture, /a log record of the BPF programs has/).length, 1)
      const printed = fixture.output.join('')
      assert.doesNotMatch(printed, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
      await assertShopIsServed(fixture)
    })
  })
})
