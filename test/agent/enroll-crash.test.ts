// SPDX-License-Identifier: Apache-2.0
// Goal: an agent that is killed after any single write of an enrollment or a release leaves what the next one puts
// right: kernel, annotation and state file, with nothing left over.
// Method: each way in and out is run once to count its writes, then killed after each of them; a fresh agent follows.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import type {Enroller} from '../../src/lib/agent/enroll.ts'
import {ENROLLED_FILE} from '../../src/lib/agent/enroll-state.ts'
import type {Pod} from '../../src/lib/model/kube.ts'
import {Crash} from './crash.ts'
import {createWorld, KMESH, LABEL} from './enroll-world.ts'
import {pod} from './fakes.ts'

const CLASSID = 0x1000
/** Longer than every retry and search, shorter than anything that is collected late. */
const SETTLE_MS = 5000
const CLAIM = 'kmesh.net/redirection'

type World = ReturnType<typeof createWorld>

interface Scenario {
  readonly name: string
  readonly identity?: 'classid'
  readonly labels?: Pod['metadata']['labels']
  /** What happens to the pod, of which the killed agent hears. */
  readonly change: (stage: Stage) => unknown
  /** Cookies at the end; none: released. */
  readonly cookies: readonly string[]
}

/** One pod of the node, as the API server has it, and the agent that follows it. */
class Stage {
  readonly world: World = createWorld()
  readonly crash = new Crash()
  agent: Enroller | undefined
  pod: Pod | undefined

  constructor({identity, labels}: Scenario) {
    const {world} = this
    if (identity !== undefined) world.setIdentity(identity)
    world.namespaces.set('shop', {})
    world.node.run('uid-a', 7n)
    world.node.classes.set('uid-a', 0)
    this.pod = pod('shop/a', ['10.0.0.1'], labels === undefined ? {} : {labels})
    world.kube.onPatch = (_key, _uid, claim) => void setImmediate(() => this.setClaim(claim))
  }

  async start(crash: Crash): Promise<void> {
    const agent = this.world.start('live', true, crash)
    this.agent = agent
    if (this.pod !== undefined) agent.podChanged(this.pod)
    agent.start()
    await this.world.clock.advance(SETTLE_MS)
  }

  /** The API server has the patch, and tells it. */
  setClaim(claim: string | null): void {
    if (this.pod === undefined) return
    const annotations = claim === null ? {} : {[CLAIM]: claim}
    this.pod = {...this.pod, metadata: {...this.pod.metadata, annotations}}
    this.agent?.podChanged(this.pod)
  }

  setLabels(labels: Record<string, string>): void {
    if (this.pod === undefined) return
    this.pod = {...this.pod, metadata: {...this.pod.metadata, labels}}
    this.agent?.podChanged(this.pod)
  }

  delete(): void {
    const gone = this.pod
    this.pod = undefined
    this.world.node.pods.delete('uid-a')
    // Its cgroup outlives it: only so is it seen that nothing is left in one.
    if (gone !== undefined) this.agent?.podDeleted(gone)
  }
}

const SCENARIOS: readonly Scenario[] = [
  {name: 'label on the pod', change: (stage) => stage.setLabels(KMESH.labels), cookies: ['7']},
  {
    name: 'label on the namespace',
    change: ({world, agent}) => {
      world.namespaces.set('shop', {[LABEL]: 'kmesh'})
      agent?.namespaceChanged('shop')
    },
    cookies: ['7'],
  },
  {
    name: 'CNI',
    change: async (stage) => {
      // The watch has not told it yet.
      const {world, agent} = stage
      stage.agent = undefined
      stage.setLabels(KMESH.labels)
      if (stage.pod !== undefined) world.kube.objects.set('pods/shop/a', stage.pod)
      agent?.podDeleted(pod('shop/a', []))
      stage.agent = agent
      const request = {namespace: 'shop', name: 'a', uid: 'uid-a', netnsPath: '/proc/7/ns/net'}
      await agent?.addPod(request).catch(() => undefined)
    },
    cookies: ['7'],
  },
  {
    name: 'class of the cgroup',
    identity: 'classid',
    change: (stage) => stage.setLabels(KMESH.labels),
    cookies: ['class'],
  },
  {name: 'label removed', labels: KMESH.labels, change: (stage) => stage.setLabels({}), cookies: []},
  {name: 'pod deleted', labels: KMESH.labels, change: (stage) => stage.delete(), cookies: []},
  {
    name: 'class taken back',
    identity: 'classid',
    labels: KMESH.labels,
    change: (stage) => stage.setLabels({}),
    cookies: [],
  },
  {
    name: 'a new sandbox',
    labels: KMESH.labels,
    change: async ({world}) => {
      world.node.run('uid-a', 8n)
      await world.clock.advance(35_000)
    },
    cookies: ['8'],
  },
]

/**
 * @param writes - after so many the first agent dies; undefined: it lives
 * @param isGoneThen - the pod is deleted before the next one starts
 * @returns what the first one wrote
 */
async function play(scenario: Scenario, writes?: number, isGoneThen = false): Promise<readonly string[]> {
  const stage = new Stage(scenario)
  await stage.start(stage.crash)
  const before = stage.crash.writes.length
  if (writes !== undefined) stage.crash.dieAfter(writes)
  await scenario.change(stage)
  await stage.world.clock.advance(SETTLE_MS)
  const written = stage.crash.writes.slice(before)
  if (writes !== undefined) {
    assert.equal(stage.crash.isDead, true)
    stage.agent = undefined
    if (isGoneThen) stage.delete()
    await stage.start(new Crash())
  }
  check(
    stage,
    isGoneThen ? {...scenario, cookies: []} : scenario,
    `${scenario.name}, killed after ${written.join(', ') || 'nothing'}`,
  )
  return written
}

function check({world, pod: object}: Stage, {cookies, identity}: Scenario, what: string): void {
  const isEnrolled = cookies.length > 0
  assert.deepEqual(world.cookies(), identity === undefined ? cookies : [], what)
  if (identity === 'classid') assert.equal(world.node.classes.get('uid-a'), isEnrolled ? CLASSID : 0, what)
  if (object !== undefined)
    assert.equal(object.metadata.annotations?.[CLAIM], isEnrolled ? 'enabled' : undefined, what)
  const kept = JSON.parse(world.files.read(ENROLLED_FILE) ?? '{}') as Record<string, {cookie: string}>
  const expected = identity === 'classid' ? ['7'] : cookies
  assert.deepEqual(
    Object.values(kept).map(({cookie}) => cookie),
    isEnrolled ? expected : [],
    what,
  )
}

describe('killed after every write of', () => {
  for (const scenario of SCENARIOS) {
    test(scenario.name, async () => {
      const whole = await play(scenario)
      assert.ok(whole.length >= 2, `it writes ${whole.join(', ')}`)
      for (let writes = 0; writes <= whole.length; writes += 1) {
        const written = await play(scenario, writes)
        assert.deepEqual(written, whole.slice(0, writes))
        await play(scenario, writes, true)
      }
    })
  }
})
