// SPDX-License-Identifier: Apache-2.0
// Goal: a pod with a sidecar is in the kernel only while its sidecar is short-circuited; labels come and go, rules
// are repaired, and what fails is told and tried again.
// Method: the enroller on fakes; rules of namespaces are in memory and note every call.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {BYPASSED_FILE} from '../../src/lib/agent/bypass-state.ts'
import {BYPASS, BypassStage, ENROLLED, MODE, SHORT} from './bypass-stage.ts'

const BOTH = 'captured rules annotation=enabled'

describe('order', () => {
  test('in: noted on disk, then the rules, then the kernel', async () => {
    const stage = new BypassStage(ENROLLED)
    const {rules, files, cookies} = stage.world
    const seen: string[] = []
    rules.onCall = (what) => {
      seen.push(
        `${what}: noted ${files.read(BYPASSED_FILE)?.includes('uid-a')}, captured ${cookies().length}`,
      )
    }
    await stage.start(undefined, 1000)
    assert.deepEqual(seen, ['put 7: noted true, captured 0'])
    assert.equal(stage.state(), BOTH)
    assert.deepEqual(stage.world.kube.events, ['shop/a SidecarBypassed'])
  })

  test('out: the kernel, then the rules, then the note', async () => {
    const stage = new BypassStage(ENROLLED)
    const {rules, files, cookies} = stage.world
    await stage.start()
    const seen: string[] = []
    rules.onCall = (what) => {
      seen.push(
        `${what}: noted ${files.read(BYPASSED_FILE)?.includes('uid-a')}, captured ${cookies().length}`,
      )
    }
    await stage.label({}, 1000)
    assert.deepEqual(seen, ['remove 7: noted true, captured 0'])
    assert.equal(stage.state(), '')
    assert.equal(files.read(BYPASSED_FILE)?.trim(), '{}')
    assert.deepEqual(stage.world.kube.events, ['shop/a SidecarBypassed', 'shop/a SidecarRestored'])
  })

  test('the kernel cannot release it: the rules stay until it can', async () => {
    const stage = new BypassStage(ENROLLED)
    await stage.start()
    const {bpf, rules} = stage.world
    bpf.failNext('delete', 1)
    await stage.label({}, 100)
    assert.equal(rules.calls.includes('remove 7'), false)
    await stage.world.clock.advance(5000)
    assert.equal(stage.state(), '')
  })
})

test('labelled again while the rules go out: captured when they are in again, not before', async () => {
  const stage = new BypassStage(ENROLLED)
  const {rules, clock, cookies} = stage.world
  rules.onCall = () => clock.sleep(70)
  await stage.start()
  await stage.label({}, 20)
  await stage.label(ENROLLED, 20)
  assert.deepEqual(cookies(), [])
  await clock.advance(1000)
  assert.equal(stage.state(), BOTH)
})

describe('labels', () => {
  test('bypass alone: rules without the kernel, at any time', async () => {
    const stage = new BypassStage()
    const agent = await stage.start()
    assert.deepEqual([stage.state(), stage.world.rules.calls], ['', []])
    await stage.label(SHORT)
    assert.equal(stage.state(), 'rules annotation=enabled')
    assert.deepEqual(agent.report()[0]?.bypass, {wanted: true, active: true, reason: null})
    assert.equal(agent.report()[0]?.rule, 'NotLabelled')
    await stage.label({})
    assert.equal(stage.state(), '')
  })

  test('bypass of the namespace, and a pod that opts out', async () => {
    const stage = new BypassStage()
    const agent = await stage.start()
    stage.world.namespaces.set('shop', SHORT)
    agent.namespaceChanged('shop')
    await stage.world.clock.advance(1000)
    assert.equal(stage.state(), 'rules annotation=enabled')
    await stage.label({[BYPASS]: 'disabled'})
    assert.equal(stage.state(), '')
  })

  test('enrollment goes, bypass stays: the rules are not touched', async () => {
    const stage = new BypassStage({...ENROLLED, ...SHORT})
    await stage.start()
    const calls = stage.world.rules.calls.filter((call) => !call.startsWith('look')).length
    await stage.label(SHORT)
    assert.equal(stage.state(), 'rules annotation=enabled')
    assert.equal(stage.world.rules.calls.filter((call) => !call.startsWith('look')).length, calls)
  })

  test('back and forth 100 times, faster than commands run: the last word holds', async () => {
    for (const last of [{}, ENROLLED, SHORT]) {
      const stage = new BypassStage()
      const {rules, clock, cookies} = stage.world
      rules.onCall = () => clock.sleep(70)
      await stage.start()
      for (let round = 0; round < 100; round += 1) {
        await stage.label(round % 2 === 0 ? ENROLLED : {}, 30)
        if (cookies().includes('7')) assert.equal(rules.whole.has('7'), true, 'captured beside its sidecar')
      }
      await stage.label(last, 120_000)
      const want = {[MODE]: BOTH, [BYPASS]: 'rules annotation=enabled'}[Object.keys(last)[0] ?? ''] ?? ''
      assert.equal(stage.state(), want)
      assert.equal(stage.world.kube.events.length <= 12, true, 'events are limited')
    }
  })
})

describe('what cannot be short-circuited', () => {
  for (const how of ['tproxy', 'nftables'] as const) {
    test(`${how}, seen before: not enrolled, and told`, async () => {
      const stage = new BypassStage(ENROLLED)
      stage.world.rules.redirections.set('7', how)
      const agent = await stage.start()
      assert.equal(stage.state(), 'annotation=unsupported')
      assert.deepEqual(stage.world.kube.events, ['shop/a BypassUnsupported'])
      assert.match(stage.world.log.lines.join('\n'), /warn pod shop\/a: .*BypassUnsupported/)
      const [entry] = agent.report()
      assert.deepEqual(
        [entry?.rule, entry?.intent, entry?.bypass],
        ['BypassUnsupported', false, {wanted: true, active: false, reason: 'BypassUnsupported'}],
      )
    })
  }

  test('istio-init runs after CNI ADD: released first, then without rules', async () => {
    const stage = new BypassStage(ENROLLED)
    const {rules, cookies} = stage.world
    rules.redirections.set('7', 'none')
    await stage.start(undefined, 1000)
    assert.equal(stage.state(), BOTH)
    const seen: string[] = []
    rules.onCall = (what) => void seen.push(`${what}, captured ${cookies().length}`)
    rules.redirections.set('7', 'tproxy')
    stage.restartContainer('istio-init', 'x1')
    await stage.world.clock.advance(1000)
    assert.deepEqual(seen.slice(0, 2), ['look 7, captured 1', 'remove 7, captured 0'])
    assert.equal(stage.state(), 'annotation=unsupported')
    await stage.label({})
    assert.equal(stage.state(), '')
  })

  test('it is looked at without writing anything', async () => {
    const stage = new BypassStage(ENROLLED)
    stage.world.rules.redirections.set('7', 'tproxy')
    await stage.start()
    const writes = stage.world.files.writes.length
    await stage.world.clock.advance(100_000)
    assert.equal(stage.world.files.writes.length, writes)
    assert.equal(stage.world.rules.calls.at(-1), 'look 7')
  })
})

describe('repair', () => {
  test('rules that somebody spoils: soon after the start, on a new container, and from time to time', async () => {
    const stage = new BypassStage(ENROLLED)
    const {rules, clock} = stage.world
    await stage.start(undefined, 100)
    rules.broken.add('7')
    await clock.advance(2000)
    assert.equal(stage.state(), BOTH, 'soon after')
    await clock.advance(60_000)
    rules.broken.add('7')
    stage.restartContainer('istio-proxy', 'x2')
    await clock.advance(100)
    assert.equal(stage.state(), BOTH, 'a sidecar that starts late')
    rules.broken.add('7')
    await clock.advance(31_000)
    assert.equal(stage.state(), BOTH, 'by itself')
    assert.deepEqual(stage.world.kube.events, ['shop/a SidecarBypassed'])
  })

  test('not to be repaired: the sidecar has the pod until it is', async () => {
    const stage = new BypassStage(ENROLLED)
    const {rules, clock} = stage.world
    const agent = await stage.start(undefined, 100)
    rules.broken.add('7')
    const put = rules.put.bind(rules)
    rules.put = async () => {
      throw new Error('iptables is locked')
    }
    await clock.advance(4000)
    assert.equal(stage.state(), '')
    assert.match(agent.problems().join(), /shop\/a: cannot short-circuit the sidecar: iptables is locked/)
    assert.equal(agent.report()[0]?.bypass?.reason, 'BypassFailed')
    assert.deepEqual(stage.world.kube.events, ['shop/a SidecarBypassed', 'shop/a BypassFailed'])
    rules.put = put
    await clock.advance(40_000)
    assert.equal(stage.state(), BOTH)
    assert.deepEqual(agent.problems(), [])
  })

  test('reading fails: what is not known to be broken stays', async () => {
    const stage = new BypassStage(ENROLLED)
    const agent = await stage.start()
    stage.world.rules.failWith = new Error('no iptables')
    await stage.world.clock.advance(60_000)
    assert.equal(stage.state(), BOTH)
    assert.equal(agent.problems().length, 1)
  })
})

describe('namespaces', () => {
  test('a path that died is looked for again', async () => {
    const stage = new BypassStage(ENROLLED)
    const {node, rules} = stage.world
    rules.onCall = () => {
      rules.onCall = () => undefined
      throw new Error('the process has ended')
    }
    await stage.start()
    assert.equal(stage.state(), BOTH)
    node.run('uid-a', 8n)
    await stage.world.clock.advance(40_000)
    assert.deepEqual([...rules.whole], ['7', '8'], 'a new sandbox, the old one is gone as it is')
    assert.deepEqual(stage.world.cookies(), ['8'])
  })

  test('two pods in one: the rules stay while one wants them', async () => {
    const stage = new BypassStage(ENROLLED)
    const {node, rules} = stage.world
    node.run('uid-b', 7n)
    const agent = await stage.start()
    const other = {...stage.pod, metadata: {...stage.pod.metadata, name: 'b', uid: 'uid-b', labels: SHORT}}
    agent.podChanged(other)
    await stage.label({})
    assert.deepEqual([[...rules.whole], stage.world.cookies()], [['7'], []])
    assert.equal(agent.report()[0]?.bypass?.reason, 'SharedNamespace')
    agent.podChanged({...other, metadata: {...other.metadata, labels: {}}})
    await stage.world.clock.advance(1000)
    assert.deepEqual([...rules.whole], [])
  })

  test('a pod that is deleted leaves nothing in mind', async () => {
    const stage = new BypassStage(ENROLLED)
    const agent = await stage.start()
    stage.world.node.pods.delete('uid-a')
    agent.podDeleted(stage.pod)
    await stage.world.clock.advance(5000)
    assert.deepEqual([agent.report(), agent.problems(), stage.world.cookies()], [[], [], []])
    assert.equal(stage.world.rules.calls.includes('remove 7'), false)
    let looks = 0
    stage.world.node.cookie = () => {
      looks += 1
      return 0n
    }
    await stage.world.clock.advance(100_000)
    assert.equal(looks, 0)
  })
})
