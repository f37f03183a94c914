// SPDX-License-Identifier: Apache-2.0
// Goal: an agent that is killed after any single write, or is away while labels, sandboxes or policy change, leaves
// what the next one puts right: never a captured pod beside its sidecar at the end, never rules left over.
// Method: each way in and out is run once to count its writes, then killed after each of them; a fresh agent follows.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {BYPASSED_FILE} from '../../src/lib/agent/bypass-state.ts'
import {ENROLLED_FILE} from '../../src/lib/agent/enroll-state.ts'
import {BypassStage, ENROLLED, SHORT} from './bypass-stage.ts'
import {Crash} from './crash.ts'

const BOTH = 'captured rules annotation=enabled'
const RULES = 'rules annotation=enabled'

type Labels = Readonly<Record<string, string>>

const WAYS: readonly {readonly from: Labels; readonly to: Labels; readonly end: string}[] = [
  {from: {}, to: ENROLLED, end: BOTH},
  {from: ENROLLED, to: {}, end: ''},
  {from: {}, to: SHORT, end: RULES},
  {from: SHORT, to: {}, end: ''},
  {from: ENROLLED, to: SHORT, end: RULES},
  {from: SHORT, to: ENROLLED, end: BOTH},
]

async function play(
  from: Labels,
  to: Labels,
  writes?: number,
): Promise<{stage: BypassStage; made: string[]}> {
  const stage = new BypassStage(from)
  const crash = new Crash()
  await stage.start(crash)
  const before = crash.writes.length
  if (writes !== undefined) crash.dieAfter(writes)
  await stage.label(to)
  const made = crash.writes.slice(before)
  stage.stop()
  return {stage, made}
}

function noted({world}: BypassStage, file: string): boolean {
  return world.files.read(file)?.includes('uid-a') ?? false
}

describe('killed after each write', () => {
  for (const {from, to, end} of WAYS) {
    const name = `${Object.keys(from).join() || 'nothing'} -> ${Object.keys(to).join() || 'nothing'}`
    test(name, async () => {
      const {made, stage: whole} = await play(from, to)
      assert.equal(whole.state(), end)
      assert.equal(made.length >= 3, true, made.join())
      for (let writes = 0; writes <= made.length; writes += 1) {
        const {stage} = await play(from, to, writes)
        const where = `after ${writes}: ${made[writes - 1]}; ${stage.state()}`
        const isBeside = stage.world.cookies().includes('7') && !stage.world.rules.whole.has('7')
        assert.equal(isBeside, false, where)
        await stage.start()
        assert.equal(stage.state(), end, where)
        assert.equal(noted(stage, BYPASSED_FILE), end.includes('rules'), where)
        assert.equal(noted(stage, ENROLLED_FILE), end.includes('captured'), where)
      }
    })
  }
})

describe('absence', () => {
  for (const {from, to, end} of WAYS) {
    test(`${JSON.stringify(from)} becomes ${JSON.stringify(to)} meanwhile`, async () => {
      const stage = new BypassStage(from)
      await stage.start()
      stage.stop()
      await stage.label(to)
      await stage.start()
      assert.equal(stage.state(), end)
    })
  }

  test('nothing changed: it is looked at, and neither kernel nor cluster is told', async () => {
    const stage = new BypassStage(ENROLLED)
    await stage.start()
    stage.stop()
    const {rules, files, kube, bpf} = stage.world
    const counts = () => [kube.events.length, bpf.writes.length, kube.patches.length]
    const [calls, told, state] = [rules.calls.length, counts(), files.read(BYPASSED_FILE)]
    await stage.start(undefined, 1000)
    assert.equal(stage.state(), BOTH)
    assert.deepEqual(rules.calls.slice(calls), ['look 7'])
    assert.deepEqual([counts(), files.read(BYPASSED_FILE)], [told, state])
  })

  test('the policy became exclude: released, then without rules', async () => {
    const stage = new BypassStage(ENROLLED)
    await stage.start()
    stage.stop()
    const {world} = stage
    world.setSidecarPolicy('exclude')
    const seen: string[] = []
    world.rules.onCall = (what) => void seen.push(`${what}, captured ${world.cookies().length}`)
    const agent = await stage.start()
    assert.deepEqual([stage.state(), agent.report()[0]?.rule], ['', 'SidecarPresent'])
    assert.deepEqual(seen, ['remove 7, captured 0'])
  })

  test('the state file is lost: the annotation tells that there may be rules', async () => {
    const stage = new BypassStage(SHORT)
    await stage.start()
    stage.stop()
    await stage.label({})
    stage.world.files.contents.clear()
    await stage.start()
    assert.equal(stage.state(), '')
  })

  test('rules spoiled meanwhile are repaired, the pod stays captured', async () => {
    const stage = new BypassStage(ENROLLED)
    await stage.start()
    stage.stop()
    const {rules, cookies} = stage.world
    rules.broken.add('7')
    const seen: number[] = []
    rules.onCall = () => void seen.push(cookies().length)
    await stage.start()
    assert.equal(stage.state(), BOTH)
    assert.equal(seen.includes(0), false)
  })

  test('TPROXY meanwhile: released', async () => {
    const stage = new BypassStage(ENROLLED)
    await stage.start()
    stage.stop()
    stage.world.rules.redirections.set('7', 'tproxy')
    await stage.start()
    assert.equal(stage.state(), 'annotation=unsupported')
  })

  test('the pod is gone: so is the note', async () => {
    const stage = new BypassStage(ENROLLED)
    await stage.start()
    stage.stop()
    const agent = stage.world.start()
    agent.start()
    await stage.world.clock.advance(1000)
    await stage.world.clock.advance(40_000)
    assert.deepEqual(agent.problems(), [])
    assert.equal(noted(stage, ENROLLED_FILE), false)
  })
})
