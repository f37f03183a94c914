// SPDX-License-Identifier: Apache-2.0
// Goal: what `interop check` predicts under random policies of Istio is what real connections do.
// Method: clients and servers of every kind of capture in one sandbox; 20 rounds of random PeerAuthentications and
// DestinationRules (KMESH_SEED repeats a run), five random pairs each, over cluster addresses and headless services, IPv4
// and IPv6. The stand-in sidecars have rules of their own, which share no code with the prediction.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import type {CheckCell, CheckItem} from '../../src/lib/model/interop-check.ts'
import {chooseSeed} from '../agent/seed.ts'
import {SeededRandom} from '../model/random.ts'
import {SANDBOX_ONLY, type Sandbox, sandboxUp} from './harness.ts'
import {Connector} from './path-clients.ts'
import {PolicyWriter} from './policies-apply.ts'
import {CLIENTS, expectedUnknown, type Pair, type Policy, SERVERS, textOf} from './policies-pairs.ts'
import {Generator} from './policies-random.ts'
import {PolicyWorld} from './policies-world.ts'

const ROUNDS = 20
const PAIRS = 5
const CONNECTIONS = 2
/** Of all pairs; every second round may have one. */
const MOST_UNKNOWN = ROUNDS / 2
/** Rounds without automatic mTLS: of eight one. */
const isAutomatic = (round: number): boolean => round % 8 !== 4
/** Connections that fail end at once: this is for a machine that is busy. */
const LIMIT_MS = 10_000
/** Of 100 at least so many of each, so that the comparison says something; seeds give about 70 and 30. */
const LEAST = 5

type Happened = 'works' | 'fails' | 'both'

suite('policies', {skip: SANDBOX_ONLY}, () => {
  const seed = chooseSeed()
  const generator = new Generator(new SeededRandom(seed), CLIENTS, SERVERS)
  const connectors = new Map<string, Connector>()
  const verdicts: Record<string, number> = {works: 0, fails: 0, unknown: 0}
  let sandbox: Sandbox
  let writer: PolicyWriter
  let addresses: ReadonlyMap<string, readonly string[]>
  let policies: readonly Policy[] = []

  before(async () => {
    sandbox = await sandboxUp('e2e-policies', '--empty', '--istio', '--nodes', '1', '--ip-family', 'dual')
    const world = new PolicyWorld(sandbox)
    await world.create()
    addresses = await world.addresses()
    writer = new PolicyWriter(sandbox, world.proxied)
    for (const {namespace, name} of CLIENTS) {
      connectors.set(`${namespace}/${name}`, new Connector(sandbox, namespace, name))
    }
  })
  after(async () => {
    for (const connector of connectors.values()) connector.close()
    await sandbox?.down()
  })

  async function predictions(): Promise<readonly CheckItem[]> {
    const words = ['interop', 'check', '-A', '--show', 'all', '--fail-on', 'never']
    return (await sandbox.json(...words)).items
  }

  /** Every sidecar answers once: it has read its file then. */
  async function barrier(): Promise<void> {
    const plain = connectors.get('both/from-plain')
    assert.ok(plain)
    const asked = writer
      .healthPlaces()
      .map((place) => plain.connect({...place, count: 1, timeoutMs: LIMIT_MS}))
    for (const [connection] of await Promise.all(asked)) {
      assert.equal(
        connection?.error,
        'closed before the answer was complete',
        'a sidecar answers no health probe',
      )
    }
  }

  async function connect({client, target, family}: Pair): Promise<Happened> {
    const found = addresses.get(`${target.server.namespace}/${target.service}`) ?? []
    const host = found.find((address) => address.includes(':') === (family === 6))
    const connector = connectors.get(`${client.namespace}/${client.name}`)
    assert.ok(host !== undefined && connector !== undefined)
    const order = {host, port: target.port, count: CONNECTIONS, timeoutMs: LIMIT_MS}
    const connections = await connector.connect(order)
    const answered = connections.filter(({pod}) => pod === target.server.name).length
    return answered === CONNECTIONS ? 'works' : answered === 0 ? 'fails' : 'both'
  }

  /** What is wrong with the prediction of this pair; undefined: nothing. */
  async function compare(pair: Pair, items: readonly CheckItem[]): Promise<string | undefined> {
    const item = itemOf(pair, items)
    const cell = item?.cells[0]
    if (item === undefined || cell === undefined) return `${textOf(pair)}: no prediction`
    const happened = await connect(pair)
    verdicts[item.verdict] = (verdicts[item.verdict] ?? 0) + 1
    const isUnknown = item.verdict === 'unknown' && expectedUnknown(pair, policies).includes(cell.reason)
    const isInPlace = cell.row === pair.client.row && cell.column === pair.target.server.column
    if (isInPlace && (isUnknown || item.verdict === happened)) return undefined
    return `${textOf(pair)} ${happened}, predicted ${item.verdict}: ${saidOf(cell)}`
  }

  for (let round = 0; round < ROUNDS; round += 1) {
    test(`seed ${seed}, round ${round}: ${PAIRS} pairs`, {timeout: 120_000}, async () => {
      policies = generator.policies(policies, round)
      await writer.replace(policies, round, isAutomatic(round))
      await barrier()
      const items = await predictions()
      const pairs = generator.pairs(PAIRS, policies, round % 2)
      const wrong = await Promise.all(pairs.map((pair) => compare(pair, items)))
      const found = wrong.filter((one) => one !== undefined)
      const auto = `automatic mTLS ${isAutomatic(round) ? 'on' : 'off'}`
      const why = [...found, `KMESH_SEED=${seed}, ${auto}, policies:`, ...policies.map(lineOf)].join('\n')
      assert.equal(found.length, 0, why)
    })
  }

  test(`seed ${seed}: all of them`, (context) => {
    context.diagnostic(`KMESH_SEED=${seed} ${JSON.stringify(verdicts)}`)
    const {works = 0, fails = 0, unknown = 0} = verdicts
    assert.equal(works + fails + unknown, ROUNDS * PAIRS)
    assert.ok(works >= LEAST && fails >= LEAST, JSON.stringify(verdicts))
    assert.ok(unknown <= MOST_UNKNOWN, JSON.stringify(verdicts))
  })
})

function itemOf({client, target}: Pair, items: readonly CheckItem[]): CheckItem | undefined {
  return items.find(
    (item) =>
      item.client.namespace === client.namespace &&
      item.client.workloads.includes(`pod/${client.name}`) &&
      item.server.namespace === target.server.namespace &&
      item.server.name === target.service &&
      item.server.port === target.port,
  )
}

function saidOf({row, column, sent, reason, rule, mtls}: CheckCell): string {
  return JSON.stringify({row, column, sent, reason, rule, mtls})
}

function lineOf({kind, namespace, name, spec}: Policy): string {
  return `${kind} ${namespace}/${name} ${JSON.stringify(spec)}`
}
