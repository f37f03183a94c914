// SPDX-License-Identifier: Apache-2.0
// Goal: what `path` says happens is what real connections do, and it names map entries that are stale, wrong or missing.
// Method: three nodes, 30 services, captured and other clients; 200 random cases (PATH_SEED repeats a run), of which
// many have an entry damaged by hand in the node's pinned maps; getpeername() and the answering pod against the ways.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {openDialer} from '../../src/lib/cli/wiring.ts'
import {type Pod, RESOURCES, type Service} from '../../src/lib/model/kube.ts'
import type {PathItem} from '../../src/lib/model/path.ts'
import type {PathAddress} from '../../src/lib/model/path-connect.ts'
import {hostPort} from '../../src/lib/model/path-sentence.ts'
import {traceOf} from '../../src/lib/model/path-trace.ts'
import type {AdminDialer} from '../../src/lib/ports.ts'
import {SeededRandom} from '../model/random.ts'
import {eventually, pinOf, SANDBOX_ONLY, type Sandbox, sandboxUp} from './harness.ts'
import {askPath, connectionsFor} from './path-ask.ts'
import {Connector} from './path-clients.ts'
import {
  type Damaged,
  damage,
  type NodeMaps,
  removedFrontend,
  strayBackend,
  strayFrontend,
} from './path-corrupt.ts'
import {CLIENTS, createWorld, NAMESPACES, WORLD_SERVICES} from './path-world.ts'

const CASES = 200
/** A port that no service has. */
const NO_PORT = 4242
const LIMIT_MS = 5000
/** Of connections that are said to fail: some addresses answer nothing. */
const SHORT_LIMIT_MS = 300

type Client = (typeof CLIENTS)[number]

interface Server {
  readonly text: string
  readonly family: 4 | 6 | undefined
}

suite('path', {skip: SANDBOX_ONLY}, () => {
  const seed = Number(process.env['PATH_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const random = new SeededRandom(seed)
  const bpf = createBpf()
  const clock = createClock()
  let sandbox: Sandbox
  let dialer: AdminDialer
  let servers: readonly Pod[] = []
  const connectors = new Map<Client, Connector>()
  /** Of the services, with one of their ports. */
  const addresses: PathAddress[] = []
  const seen: Record<string, number> = {}
  const count = (key: string): void => {
    seen[key] = (seen[key] ?? 0) + 1
  }

  before(async () => {
    sandbox = await sandboxUp('e2e-path', '--nodes', '3', '--ip-family', 'dual', '--empty')
    await createWorld(sandbox.kube)
    await eventually('pods that are ready', worldReady, 90_000)
    await eventually('captured clients', clientsCaptured, 30_000)
    dialer = await openDialer({kube: sandbox.kube, adminPort: 15_200, requestTimeoutMs: 10_000, clock})
    for (const one of CLIENTS) connectors.set(one, new Connector(sandbox, one.namespace, one.name))
  })
  after(async () => {
    for (const connector of connectors.values()) connector.close()
    await dialer?.close()
    await sandbox?.down()
  })

  async function worldReady(): Promise<true | undefined> {
    const lists = await Promise.all(
      NAMESPACES.map((namespace) => sandbox.kube.list<Pod>({...RESOURCES.pods, namespace})),
    )
    const pods = lists.flatMap(({items}) => items)
    servers = pods.filter(({metadata}) => !['client', 'never'].includes(metadata.labels?.['app'] ?? ''))
    const unready = pods.filter(
      ({status}) => !status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True'),
    )
    // Those that are never ready: one a namespace.
    return servers.length === 14 && pods.length === 22 && unready.length === 2 ? true : undefined
  }

  async function clientsCaptured(): Promise<true | undefined> {
    const {items} = await sandbox.json('interop', 'status', '-n', 'meshed')
    const wanted = items.filter((item: {kind: string}) => item.kind === 'Pod')
    return wanted.every((item: {capture: string}) => item.capture === 'kmesh') ? true : undefined
  }

  const mapsOf = (node: string): NodeMaps => ({bpf, pin: (map) => pinOf(sandbox, node, map)})

  const path = (one: Client, server: string, family?: 4 | 6) =>
    askPath({kube: sandbox.kube, dialer, clock}, one, server, family)

  /** What is called: a service by name, its address, or a pod by address; some with a port that is not there. */
  function randomServer(): Server {
    const family = random.pick([4, 6] as const)
    if (random.below(5) === 0) {
      const pod = random.pick(servers)
      const address =
        pod.status?.podIPs?.map(({ip}) => ip).find((ip) => ip.includes(':') === (family === 6)) ?? ''
      return {text: hostPort(address, random.pick([8080, 8080, 8080, 7777])), family: undefined}
    }
    const service = random.pick(WORLD_SERVICES)
    const port = random.below(12) === 0 ? NO_PORT : random.pick(service.ports)
    return {text: `${service.namespace}/${service.name}:${port}`, family}
  }

  /** Damages what the case looks at; undefined where nothing can be damaged there. */
  function randomDamage(one: Client, {destination}: PathItem): Damaged | undefined {
    const maps = mapsOf(one.node)
    const other = addresses.find(
      ({address}) => sameFamily(address, destination.address) && address !== destination.address,
    )
    const unused = destination.address.includes(':') ? unusedIpv6() : unusedIpv4()
    const otherAddress = other?.address ?? ''
    if (destination.pod !== null) return strayBackend(maps, destination.address, unused)
    return damage({maps, address: destination.address, otherAddress, unused}, random)
  }
  const sameFamily = (a: string, b: string) => a.includes(':') === b.includes(':')
  /** Pod numbers go up: these of the first pod's node are not given away. */
  const unusedIpv4 = () => (servers[0]?.status?.podIPs?.[0]?.ip ?? '').replace(/\.\d+$/, '.253')
  const unusedIpv6 = () => (servers[0]?.status?.podIPs?.[1]?.ip ?? '').replace(/:[\da-f]+$/, ':fd')

  /** Everything that happens was predicted, and everything that was predicted happens. */
  async function connects(one: Client, item: PathItem, what: string): Promise<void> {
    const {address, port} = item.destination
    const timeoutMs = item.verdict === 'works' ? LIMIT_MS : SHORT_LIMIT_MS
    const order = {host: address, port, count: connectionsFor(item), timeoutMs}
    const connections = await (connectors.get(one) as Connector).connect(order)
    const trace = traceOf(item.ways, connections)
    const said = `${what}: ${JSON.stringify(trace)}\n${JSON.stringify(item, null, 1)}`
    assert.ok(trace.agrees, said)
    if (item.verdict === 'fails') assert.equal(Object.keys(trace.peers).length, 0, said)
    if (item.verdict !== 'works') return
    for (const way of item.ways)
      assert.ok(trace.peers[hostPort(way.address, way.port)], `never: ${way.address}, ${said}`)
  }

  async function listAddresses(): Promise<void> {
    for (const {namespace, name, ports} of WORLD_SERVICES) {
      const {spec} = await sandbox.kube.get<Service>({...RESOURCES.services, namespace, name})
      for (const address of spec?.clusterIPs ?? []) {
        if (address !== 'None') addresses.push({address, port: ports[0] ?? 0})
      }
    }
  }

  /** Undefined: a headless service of nobody, which no connection can name. */
  async function randomCase(one: Client, what: string, server: Server): Promise<PathItem | undefined> {
    const {text, family} = server
    try {
      const items = await path(one, text, family).catch((error) => {
        if ((error as {parameter?: string}).parameter !== '--family') throw error
        return path(one, text)
      })
      return random.pick(items)
    } catch (error) {
      assert.equal((error as {code?: string}).code, 'NoReadyEndpoints', `${what}: ${error}`)
      return undefined
    }
  }

  async function checkDamage(
    one: Client,
    {destination}: PathItem,
    damaged: Damaged,
    what: string,
  ): Promise<void> {
    const {address, port} = destination
    const [broken] = await path(one, hostPort(address, port))
    assert.ok(broken !== undefined)
    const codes = broken.findings.map(({code}) => code)
    assert.ok(codes.includes(damaged.code), `${what}: named ${codes}\n${JSON.stringify(broken, null, 1)}`)
    await connects(one, broken, what)
    count(`damage: ${damaged.name}, ${broken.verdict}`)
  }

  async function runCase(number: number): Promise<void> {
    const one = random.pick(CLIENTS)
    const server = randomServer()
    const what = `seed ${seed}, case ${number}: ${one.namespace}/${one.name} -> ${server.text}`
    const item = await randomCase(one, what, server)
    if (item === undefined) return count('headless service without endpoints')
    const shown = item.findings.map(({code}) => code)
    assert.ok(item.verdict !== 'works' || shown.length === 0, `${what}: ${shown}`)
    count(`${item.ways[0]?.via} ${item.verdict}`)
    await connects(one, item, what)
    const damaged =
      one.namespace === 'meshed' && item.destination.port !== NO_PORT ? randomDamage(one, item) : undefined
    if (damaged === undefined) return
    try {
      await checkDamage(one, item, damaged, `${what}, ${damaged.name}`)
    } finally {
      damaged.undo()
    }
  }

  test(`${CASES} random cases, seed ${seed}`, async (context) => {
    await listAddresses()
    for (let number = 0; number < CASES; number += 1) await runCase(number)
    context.diagnostic(JSON.stringify(seen))
    const damages = Object.keys(seen).filter((key) => key.startsWith('damage: '))
    assert.ok(damages.length >= 10, `too few kinds of damage: ${damages}`)
  })

  test('--trace connects by the echo program and agrees; exit status 3 for a damaged entry', async () => {
    const one = CLIENTS[0] as Client
    const words = ['path', `${one.namespace}/${one.name}`, 'plain/s3:web', '--trace']
    const {items} = await sandbox.json(...words)
    assert.deepEqual([items[0].trace.agrees, items[0].trace.connections], [true, 6])
    const {address} = items[0].destination
    const damaged = removedFrontend(mapsOf(one.node), address)
    try {
      const {code, stdout} = await sandbox.kmeshctl(...words)
      assert.equal(code, 3)
      assert.match(stdout, /^frontend +- missing /m)
      assert.match(stdout, /found: FrontendMissing\ntrace: 6 connections, to \S+:80 \(6\); .*\+ agrees\n$/)
    } finally {
      damaged.undo()
    }
  })

  test('a frontend of an address that nobody has is named, and followed as connections are', async () => {
    const one = CLIENTS[0] as Client
    const {address: vip, port} = addresses.find(({address}) => !address.includes(':')) as {
      address: string
      port: number
    }
    const address = unusedIpv4()
    const damaged = strayFrontend(mapsOf(one.node), address, vip)
    try {
      const [item] = await path(one, hostPort(address, port))
      assert.ok(item !== undefined)
      assert.deepEqual(
        item.findings.map(({code}) => code),
        [damaged.code],
      )
      assert.equal(item.ways[0]?.via, 'kmesh')
      await connects(one, item, damaged.name)
    } finally {
      damaged.undo()
    }
  })
})
