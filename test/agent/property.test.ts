// SPDX-License-Identifier: Apache-2.0
// Goal: after any sequence of cluster changes, restarts and kills of the agent, the maps are exactly what the cluster
// says, and so are annotations and the file of ids; with the maps in memory and in the kernel.
// Method: seeded random changes against a model that is as plain as possible; compared every 100 changes.
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {describe, test} from 'node:test'
import {createBpf} from '../../src/lib/adapters/bpf.ts'
import {memoryPinTree} from '../../src/lib/adapters/memory-bpf.ts'
import {memorySidecarRules} from '../../src/lib/adapters/memory-node.ts'
import {createPinTree} from '../../src/lib/adapters/pin-tree.ts'
import {type RunningAgent, startAgent} from '../../src/lib/agent/agent.ts'
import {Loggers} from '../../src/lib/agent/loggers.ts'
import {parseOptions} from '../../src/lib/agent/options.ts'
import {mapLines} from '../../src/lib/agent/read-map.ts'
import {BACKEND, ENDPOINT, FRONTEND, MANAGE, type MapRow, SERVICE} from '../../src/lib/model/maps.ts'
import type {Bpf, BpfMap, PinTree} from '../../src/lib/ports.ts'
import {KernelFixture, OBJECT_FILE, skipReason} from '../adapters/kernel-fixture.ts'
import {FakeBpf} from '../fakes/bpf.ts'
import {type FakeClock, fakeClock} from '../fakes/clock.ts'
import {VERSION} from './agent-fixture.ts'
import {Crash} from './crash.ts'
import {FakeInformers, FakeKube, FakeNode, MemoryFiles} from './fakes.ts'
import {Cluster} from './property-cluster.ts'
import {actual, expected, isEnrolled} from './property-expect.ts'
import {NODE} from './property-objects.ts'
import {chooseSeed, type Random, withSeed} from './seed.ts'

const CHANGES = 10_000
const COMPARE_EACH = 100
const RESTART_EACH = 1000
/** Changes that no agent sees as they happen. */
const AWAY = 30
const SETTLE_MS = 4000

interface Backend {
  readonly bpf: Bpf
  readonly pins: PinTree
  readonly bpfFsPath: string
  readonly cgroup: string
}

/** One agent after the other over the same maps, files and cluster. */
class Life {
  readonly cluster: Cluster
  readonly machine: FakeNode
  readonly files = new MemoryFiles()
  readonly backend: Backend
  #agent: RunningAgent | undefined
  #clock: FakeClock = fakeClock()
  #crash = new Crash()
  readonly #output: string[] = []
  readonly #dead: RunningAgent[] = []

  constructor(cluster: Cluster, machine: FakeNode, backend: Backend) {
    this.cluster = cluster
    this.machine = machine
    this.backend = backend
  }

  async start(): Promise<void> {
    const {bpf, pins, bpfFsPath, cgroup} = this.backend
    const env = {NODE_NAME: NODE, KMESH_BPF_FS_PATH: bpfFsPath, KMESH_CGROUP2_PATH: cgroup}
    const flags = ['--admin-address', '127.0.0.1:0', '--cni', 'off', '--status-address', 'off']
    const options = parseOptions(flags, env)
    const informers = new FakeInformers()
    const kube = new FakeKube()
    this.#clock = fakeClock()
    const crash = new Crash()
    this.#crash = crash
    const say = (line: string) => crash.isDead || this.#output.push(line)
    kube.onPatch = (key, uid, annotation) => this.#patched(key, uid, annotation)
    this.#agent = await startAgent(
      {
        bpf: crash.bpf(bpf),
        pins,
        netns: this.machine,
        proc: this.machine,
        classes: this.machine.classes,
        rules: memorySidecarRules(),
        files: crash.files(this.files),
        kube: crash.kube(kube.asKube()),
        informers,
        clock: this.#clock,
        loggers: new Loggers(options.logLevel, this.#clock, say),
      },
      options,
      OBJECT_FILE,
      VERSION,
    )
    this.cluster.informers = informers
    this.cluster.listAll()
    informers.sync()
  }

  async stop(): Promise<void> {
    this.cluster.informers = undefined
    await this.#agent?.stop()
  }

  /** As kill -9: nothing that is under way reaches the outside. Its listener is closed at the end. */
  kill(): void {
    this.cluster.informers = undefined
    this.#crash.isDead = true
    if (this.#agent !== undefined) this.#dead.push(this.#agent)
  }

  async end(): Promise<void> {
    await this.stop()
    for (const agent of this.#dead) await agent.stop().catch(() => undefined)
  }

  async settle(): Promise<void> {
    await this.#clock.advance(SETTLE_MS)
  }

  check(): void {
    const {bpf, bpfFsPath} = this.backend
    const want = expected(this.cluster, this.machine)
    const open = (name: string) => bpf.openPinned(`${bpfFsPath}/bpf_kmesh_workload/map/${name}`)
    const log = this.#output.slice(-10).join('')
    assert.deepEqual(actual(open, want), want.lines, log)
    const ids = (this.files.read('hash_name.yaml') ?? '')
      .split('\n')
      .map((line) => line.replace(/:\s+\d+$/, ''))
    const named = ids.filter((line) => line !== '' && line !== '{}').map((name) => name.replaceAll('"', ''))
    assert.deepEqual(named.sort(), want.names)
    for (const pod of this.cluster.pods.values()) {
      const claim = isEnrolled(this.cluster, pod) ? 'enabled' : undefined
      if (pod.node === NODE)
        assert.equal(pod.annotation, claim, `annotation of ${pod.key}, ${pod.phase}: ${log}`)
    }
    const bad = this.#output.filter((line) => /level=(error|warning)/.test(line))
    assert.deepEqual(bad, [])
  }

  #patched(key: string, uid: string, annotation: string | null): void {
    const pod = this.cluster.pods.get(key)
    if (pod?.uid !== uid) return
    pod.annotation = annotation ?? undefined
    this.cluster.tellPod(pod)
  }
}

async function live(backend: Backend, alsoCheck: () => Promise<void> = async () => undefined): Promise<void> {
  await withSeed(chooseSeed(), async (random) => {
    const machine = new FakeNode()
    const life = new Life(new Cluster(random, machine), machine, backend)
    await life.start()
    try {
      for (let change = 1; change <= CHANGES; change += 1) {
        life.cluster.change()
        if (random.chance(0.05)) await new Promise((resolve) => setImmediate(resolve))
        if (change % COMPARE_EACH === 0) {
          await life.settle()
          life.check()
        }
        if (change % RESTART_EACH !== 0) continue
        await alsoCheck()
        await restart(life, random)
      }
    } finally {
      await life.end()
    }
  })
}

/** In the middle of changes, in order or not, and back some changes later. */
async function restart(life: Life, random: Random): Promise<void> {
  for (let before = random.below(AWAY); before > 0; before -= 1) life.cluster.change()
  if (random.chance(0.5)) await life.stop()
  else life.kill()
  for (let away = random.below(AWAY); away > 0; away -= 1) life.cluster.change()
  await life.start()
}

test('10,000 changes, maps in memory', {timeout: 300_000}, async () => {
  const bpf = new FakeBpf()
  await live({bpf, pins: memoryPinTree(bpf), bpfFsPath: '/bpf', cgroup: '/cgroup'})
})

describe('in the kernel', {skip: skipReason()}, () => {
  test('10,000 changes, and bpftool reads what dumps read', {timeout: 300_000}, async () => {
    using fixture = new KernelFixture()
    const bpf = createBpf()
    const pins = createPinTree()
    await live({bpf, pins, bpfFsPath: fixture.bpffs, cgroup: fixture.cgroup}, async () => {
      for (const row of [FRONTEND, SERVICE, ENDPOINT, BACKEND, MANAGE] as readonly unknown[] as MapRow[]) {
        const pin = `${fixture.bpffs}/bpf_kmesh_workload/map/${row.name}`
        using map = bpf.openPinned(pin)
        assert.deepEqual(await dumped(row, map), bpftool(pin), row.name)
      }
    })
  })
})

/** `keyhex valuehex` of each entry, as `/debug/bpf/maps` gives them. */
async function dumped(row: MapRow, map: BpfMap): Promise<string[]> {
  let text = ''
  for await (const piece of mapLines(row, map, {ofId: () => undefined, ofCookies: () => new Map()}))
    text += piece
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(lines.pop(), {end: true, entries: lines.length})
  return lines.map(({keyHex, valueHex}) => `${keyHex} ${valueHex}`).sort()
}

function bpftool(pin: string): string[] {
  const output = execFileSync('bpftool', ['-j', 'map', 'dump', 'pinned', pin], {encoding: 'utf8'})
  const hexOf = (bytes: readonly string[]) => bytes.map((byte) => byte.replace('0x', '')).join('')
  const entries = JSON.parse(output) as {key: string[]; value: string[]}[]
  return entries.map(({key, value}) => `${hexOf(key)} ${hexOf(value)}`).sort()
}
