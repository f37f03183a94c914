// SPDX-License-Identifier: Apache-2.0
// Goal: nothing that comes from maps, ring buffer or cluster ends the agent or blocks what is right beside it; each
// case is said, and not more often than once a minute.
// Method: seeded random bytes and objects into a whole agent on fakes; then one good service must be served.
import assert from 'node:assert/strict'
import {afterEach, describe, test} from 'node:test'
import {recordText} from '../../src/lib/agent/bpf-log.ts'
import type {KubeObject} from '../../src/lib/model/kube.ts'
import {ENDPOINT, MAPS, type MapRow} from '../../src/lib/model/maps.ts'
import {FakeBpf} from '../fakes/bpf.ts'
import {type AgentFixture, PIN_FOLDER, startFixture} from './agent-fixture.ts'
import {namespace, pod, service, slice} from './fakes.ts'
import {chooseSeed, type Random, withSeed} from './seed.ts'

const open: AgentFixture[] = []
afterEach(async () => {
  for (const fixture of open.splice(0)) await fixture.agent.stop()
})

async function start(bpf: FakeBpf, pins: string[]): Promise<AgentFixture> {
  const fixture = await startFixture([], {bpf, pins})
  open.push(fixture)
  return fixture
}

function putShop({informers, node}: AgentFixture): void {
  node.run('uid-web', 4711n)
  informers.put('namespaces', namespace('shop', 'kmesh'))
  informers.put('pods', pod('shop/web', ['10.0.0.1']))
  informers.put('services', service('shop/web', ['10.96.0.1'], [{port: 80, targetPort: 8080}]))
  informers.put('endpointslices', slice('shop/web-a', 'web', ['web=10.0.0.1']))
}

async function entries(fixture: AgentFixture, map: string): Promise<Record<string, never>[]> {
  const lines = (await fixture.ask('GET', `/debug/bpf/maps/${map}`)).body.trimEnd().split('\n')
  const parsed = lines.map((line) => JSON.parse(line))
  assert.deepEqual(parsed.pop(), {end: true, entries: parsed.length})
  return parsed
}

async function assertShopIsServed(fixture: AgentFixture, others = 0): Promise<void> {
  const counts: Record<string, number> = {}
  for (const map of ['km_frontend', 'km_service', 'km_endpoint', 'km_backend', 'km_manage'])
    counts[map] = (await entries(fixture, map)).length
  const served = {km_frontend: 2, km_service: 1, km_endpoint: 1, km_backend: 1, km_manage: 1}
  if (others === 0) assert.deepEqual(counts, served, fixture.output.slice(-20).join(''))
  else for (const [map, count] of Object.entries(served)) assert.ok((counts[map] ?? 0) >= count, map)
  const ready = await fixture.ask('GET', '/debug/ready')
  assert.equal(ready.status, 200, ready.body)
}

/** Each line about wrong input only once. */
function assertSaidOnce(fixture: AgentFixture, pattern: RegExp): string[] {
  const said = fixture.output.filter((line) => pattern.test(line))
  assert.equal(
    new Set(said.map((line) => line.replace(/^time="[^"]*"/, ''))).size,
    said.length,
    said.join(''),
  )
  return said
}

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

const KINDS = ['namespaces', 'nodes', 'services', 'endpointslices', 'pods'] as const

const ABSURD: readonly unknown[] = [
  null,
  0,
  -1,
  1.5,
  70_000,
  Number.MAX_SAFE_INTEGER,
  true,
  '',
  'x'.repeat(400_000),
  'a\nb\u001b[31m"c',
  '300.1.2.3',
  'fe80::1%eth0',
  [],
  [null],
  [[]],
  {},
  {__proto__: null},
  [{name: 5, port: 'http', ip: {}}],
]

/** One to three places of the object are replaced or taken away. */
function spoil(random: Random, object: KubeObject): KubeObject {
  const copy = structuredClone(object)
  for (let times = 1 + random.below(3); times > 0; times -= 1) {
    const place = randomPlace(random, copy as unknown as Record<string, unknown>)
    const keys = Object.keys(place)
    if (keys.length === 0) continue
    if (random.chance(0.3)) delete place[random.pick(keys)]
    else place[random.pick(keys)] = random.pick(ABSURD)
  }
  return copy
}

function randomPlace(random: Random, from: Record<string, unknown>): Record<string, unknown> {
  const inner = Object.values(from).filter((value) => typeof value === 'object' && value !== null)
  return inner.length > 0 && random.chance(0.8)
    ? randomPlace(random, random.pick(inner) as typeof from)
    : from
}

/** Nothing without a name comes through an informer. */
function comesThrough({metadata}: KubeObject): boolean {
  const {name, namespace: of} = (metadata ?? {}) as Record<string, unknown>
  return typeof name === 'string' && name !== '' && (of === undefined || typeof of === 'string')
}

function putSpoilt(random: Random, {informers}: AgentFixture, good: Record<string, () => KubeObject>): void {
  const kind = random.pick(KINDS)
  const object = spoil(random, good[kind]?.() ?? {metadata: {}})
  if (!comesThrough(object)) return
  informers.put(kind, object)
  if (random.chance(0.2)) informers.remove(kind, `${object.metadata.namespace}/${object.metadata.name}`)
}

describe('objects of the cluster', () => {
  test('with fields missing or absurd: each kind of wrong said once, everything else is served', async () => {
    await withSeed(chooseSeed(), async (random) => {
      const fixture = await start(new FakeBpf(), [])
      const {informers} = fixture
      const good: Record<(typeof KINDS)[number], () => KubeObject> = {
        namespaces: () => namespace(`n${random.below(9)}`, 'kmesh'),
        nodes: () =>
          ({
            metadata: {name: 'n2'},
            spec: {podCIDRs: ['10.1.0.0/24']},
            status: {addresses: []},
          }) as KubeObject,
        services: () =>
          service(
            `other/s${random.below(9)}`,
            [`10.97.0.${random.below(250)}`],
            [{port: 80, targetPort: 'http'}],
          ),
        endpointslices: () =>
          slice(`other/e${random.below(9)}`, `s${random.below(9)}`, ['p1=10.2.0.1', '!p2=10.2.0.2']),
        pods: () =>
          pod(`other/p${random.below(9)}`, ['10.2.0.1', 'fd00::2'], {
            labels: {'istio.io/dataplane-mode': 'kmesh'},
          }),
      }
      putShop(fixture)
      informers.sync()
      for (let change = 0; change < 5000; change += 1) {
        putSpoilt(random, fixture, good)
        if (change % 500 === 0) await fixture.settle(1000)
      }
      await fixture.settle(5000)
      for (const path of [
        '/debug/config_dump/dual-engine',
        '/debug/enrollment',
        '/debug/config_dump/bpf/dual-engine',
      ])
        assert.equal((await fixture.ask('GET', path)).status, 200, path)
      await assertShopIsServed(fixture, 1)
      const said = assertSaidOnce(fixture, /not what Kubernetes gives/)
      assert.ok(said.length > 10 && said.length < 200, String(said.length))
      assert.doesNotMatch(fixture.output.join(''), /level=error/)
    })
  })
})
