// SPDX-License-Identifier: Apache-2.0
// Goal: no object of the cluster ends the agent or blocks others; each kind of wrong is said once.
// Method: seeded objects with fields missing or absurd through the informers of a whole agent on fakes.
import assert from 'node:assert/strict'
import {afterEach, describe, test} from 'node:test'
import type {KubeObject} from '../../src/lib/model/kube.ts'
import {FakeBpf} from '../fakes/bpf.ts'
import type {AgentFixture} from './agent-fixture.ts'
import {namespace, pod, service, slice} from './fakes.ts'
import {assertSaidOnce, assertShopIsServed, putShop, start, stopAll} from './fuzz-world.ts'
import {chooseSeed, type Random, withSeed} from './seed.ts'

afterEach(stopAll)

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
