// SPDX-License-Identifier: Apache-2.0
// Goal: what the agent does with a pod's sidecar is what connections of that pod see, in the kernel.
// Method: the enroller over a map in memory, but rules, network namespace and connections are the kernel's; Istio's
// chains come in as istio-init writes them, after CNI ADD.
import assert from 'node:assert/strict'
import {afterEach, beforeEach, describe, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {createClock} from '../../src/lib/adapters/clock.ts'
import {systemCommands} from '../../src/lib/adapters/commands.ts'
import {createNetns} from '../../src/lib/adapters/netns.ts'
import {createProc} from '../../src/lib/adapters/proc.ts'
import {createSidecarRules} from '../../src/lib/adapters/sidecar-rules.ts'
import {skipReason} from '../adapters/kernel-fixture.ts'
import {BACKENDS, everywhere, FAMILIES, ISTIO_REDIRECT, RedirectedPod} from '../adapters/redirected-pod.ts'
import {BypassStage, ENROLLED, SHORT} from './bypass-stage.ts'

const DIRECT = {out: '8080', in: '8080'}
const SIDECAR = {out: '15001', in: '15006'}
const LONGEST_MS = 20_000

/** The stage with the kernel in place of the fakes. */
function realStage(pod: RedirectedPod): BypassStage {
  const stage = new BypassStage()
  const {node, rules, clock} = stage.world
  const [netns, proc] = [createNetns(), createProc('/proc')]
  Object.assign(node, {
    cookie: (path: string) => netns.cookie(path),
    identityOf: (path: string) => proc.identityOf(path),
    nodeNamespaces: () => proc.nodeNamespaces(),
    podNamespaces: async () =>
      new Map([['uid-a', {path: pod.path, identity: proc.identityOf(pod.path) ?? ''}]]),
  })
  const real = createSidecarRules(systemCommands(), netns, {lockFile: pod.lockFile})
  Object.assign(rules, {
    look: (path: string) => real.look(path),
    put: (path: string) => real.put(path),
    remove: (path: string) => real.remove(path),
  })
  Object.assign(clock, {
    ...createClock(),
    advance: (milliseconds: number) => sleep(Math.min(milliseconds, 20)),
  })
  return stage
}

describe('sidecars in the kernel', {skip: skipReason()}, () => {
  let pod: RedirectedPod
  let stage: BypassStage

  beforeEach(() => {
    pod = new RedirectedPod(createNetns())
    stage = realStage(pod)
  })
  afterEach(async () => {
    stage.stop()
    await pod[Symbol.asyncDispose]()
  })

  async function becomes(standing: readonly string[]): Promise<void> {
    const endMs = Date.now() + LONGEST_MS
    while (pod.standing().join() !== standing.join() && Date.now() < endMs) await sleep(50)
    assert.deepEqual(pod.standing(), standing, stage.world.log.lines.join('\n'))
  }

  async function isCaptured(want: boolean): Promise<void> {
    const endMs = Date.now() + LONGEST_MS
    while (stage.world.cookies().length > 0 !== want && Date.now() < endMs) await sleep(20)
    assert.equal(stage.world.cookies().length > 0, want, stage.world.log.lines.join('\n'))
  }

  for (const backend of BACKENDS) {
    test(`${backend}: CNI ADD, istio-init, a spoiled rule, the label goes`, async () => {
      await pod.serve()
      const agent = await stage.start()
      await stage.label(ENROLLED)
      const request = {namespace: 'shop', name: 'a', uid: 'uid-a', netnsPath: pod.path}
      assert.equal((await agent.addPod(request)).enrolled, true)
      assert.deepEqual(pod.standing(), everywhere('nft', 'legacy'))
      for (const family of FAMILIES) pod.restore(backend, family, ISTIO_REDIRECT)
      for (const family of FAMILIES) assert.deepEqual(await pod.answers(family), DIRECT)
      stage.restartContainer('istio-init', 'x1')
      await becomes(everywhere(backend))
      pod.run(`iptables-${backend}`, ['-t', 'nat', '-D', 'OUTPUT', '1'])
      stage.restartContainer('istio-proxy', 'x2')
      await becomes(everywhere(backend))
      for (const family of FAMILIES) assert.deepEqual(await pod.answers(family), DIRECT)
      await stage.label({})
      await isCaptured(false)
      await becomes([])
      for (const family of FAMILIES) assert.deepEqual(await pod.answers(family), SIDECAR)
    })
  }

  test('100 changes of the label, faster than commands run; the agent is replaced in between', async () => {
    for (const family of FAMILIES) pod.restore('nft', family, ISTIO_REDIRECT)
    const before = FAMILIES.map((family) => pod.save('nft', family).replace(/\[\d+:\d+\]/g, ''))
    await stage.start()
    for (let round = 0; round < 100; round += 1) {
      await stage.label(round % 2 === 0 ? SHORT : {})
      if (round % 30 !== 29) continue
      stage.stop()
      await stage.label(round % 4 === 0 ? SHORT : {})
      await stage.start()
    }
    await stage.label(SHORT)
    await becomes(everywhere('nft'))
    await stage.label({})
    await becomes([])
    const after = FAMILIES.map((family) => pod.save('nft', family).replace(/\[\d+:\d+\]/g, ''))
    assert.deepEqual(after, before)
  })
})
