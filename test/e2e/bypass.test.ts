// SPDX-License-Identifier: Apache-2.0
// Goal: pods with sidecars relabelled back and forth end with exactly the rules they should have, in the backend that
// holds the sidecar's, both families, with everybody else's byte for byte as before; so they do when the agent is
// killed or absent meanwhile, the legacy lock is held, or both backends have Istio's chains. Traffic goes accordingly.
// Method: a sandbox with stand-in sidecars; iptables-save in the pods' namespaces, km_manage, annotations and the
// agent's report must agree; getpeername() and the sidecars' logs tell who handled real connections. A seed gives the
// pauses between changes.
import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {seeded} from '../seeded.ts'
import {rulesIn, runIn, standingIn} from './bypass-rules.ts'
import {BYPASS, BypassWorld, DATAPLANE, INJECTION, NODE, OUT, type Wanted} from './bypass-world.ts'
import {agentReady, keepAway} from './cni-fixture.ts'
import {eventually, SANDBOX_ONLY, type Sandbox, sandboxUp} from './harness.ts'
import type {Handler} from './sidecar-world.ts'

const FLIPS = 100
/** On average; 100 flips take 1.5 s and more. */
const PAUSE_MS = 15
const LOCKED_SECONDS = 3

const PODS: Readonly<Record<string, Wanted['rules']>> = {
  first: ['nft'],
  second: ['nft'],
  legacy: ['legacy'],
  both: ['nft', 'legacy'],
  server: ['nft'],
  /** Is deleted while the agent is absent. */
  gone: ['nft'],
}
const inMesh = (name: string): Wanted => ({captured: true, rules: PODS[name] ?? []})
const shorted = (name: string): Wanted => ({captured: false, rules: PODS[name] ?? []})

suite('short-circuit of sidecars, relabelled', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: BypassWorld
  before(async () => {
    sandbox = await sandboxUp('e2e-bypass', '--empty', '--istio', '--nodes', '1', '--ip-family', 'dual')
    world = new BypassWorld(sandbox)
    await world.namespace('plain')
    await world.namespace('flap', INJECTION)
    const client = (name: string, ...flags: string[]) =>
      world.client({namespace: 'flap', name}, true, {}, flags)
    await Promise.all([
      world.server('plain', false),
      world.client({namespace: 'plain', name: 'outsider'}, false),
      world.server('flap', true),
      client('first'),
      client('second'),
      client('legacy', '--iptables', 'legacy'),
      client('both'),
      client('gone'),
    ])
    const [both] = await world.pods('flap', 'both')
    assert.ok(both)
    for (const program of ['iptables', 'ip6tables'])
      await runIn(
        world.pathOf(both),
        `${program}-nft-save -t nat | ${program}-legacy-restore --noflush --wait=30`,
      )
    await Promise.all(Object.keys(PODS).map((name) => world.watch('flap', name)))
    await world.settled()
  })
  after(async () => {
    await sandbox?.down()
  })

  const random = seeded(6)

  /** Patches one after the other, on first; the last one is as asked for. */
  async function flip(change: (isOn: boolean) => Promise<unknown>, endsOn: boolean, midway?: () => void) {
    for (let left = FLIPS; left > 0; left -= 1) {
      if (left === FLIPS / 2) midway?.()
      await change((left % 2 === 1) === endsOn)
      await sleep(random(2 * PAUSE_MS))
    }
  }
  const namespaceTo = (label: string, value: string) => (isOn: boolean) =>
    world.labelNamespace('flap', label, isOn ? value : null)

  async function podName(prefix: string): Promise<{namespace: string; name: string}> {
    const [pod] = await world.pods('flap', prefix)
    return {namespace: 'flap', name: pod?.metadata.name ?? ''}
  }
  async function label(prefix: string, label: string, value: string | null): Promise<void> {
    await world.labelPod(await podName(prefix), label, value)
  }

  function wantAll(wanted: (name: string) => Wanted): void {
    for (const name of Object.keys(PODS)) world.want('flap', name, wanted(name))
  }

  /** Out of each of these clients, and into the server. */
  async function assertTraffic(clients: readonly string[], client: Handler, isServerOut: boolean) {
    await Promise.all([
      ...clients.map((name) => world.assertHandled({namespace: 'flap', name}, 'plain', client, null)),
      world.assertHandled(
        {namespace: 'plain', name: 'outsider'},
        'flap',
        'kube',
        isServerOut ? null : 'none',
      ),
    ])
  }

  async function kill(): Promise<void> {
    process.kill(await agentReady(sandbox, NODE), 'SIGKILL')
  }

  test(`the namespace ${FLIPS} times, ending on`, {timeout: 120_000}, async () => {
    await flip(namespaceTo(DATAPLANE, 'kmesh'), true)
    wantAll(inMesh)
    await world.settled()
    await assertTraffic(['first', 'legacy', 'both'], 'kmesh', true)
  })

  test(`the namespace ${FLIPS} times, ending off`, {timeout: 120_000}, async () => {
    await flip(namespaceTo(DATAPLANE, 'kmesh'), false)
    wantAll(() => OUT)
    await world.settled()
    await assertTraffic(['first', 'legacy', 'both'], 'envoy', false)
  })

  test(`pods ${FLIPS} times, some ending on and some off`, {timeout: 120_000}, async () => {
    const ends: Readonly<Record<string, boolean>> = {first: true, legacy: true, second: false, both: false}
    await Promise.all(
      Object.entries(ends).map(([name, endsOn]) =>
        flip((isOn) => label(name, DATAPLANE, isOn ? 'kmesh' : null), endsOn),
      ),
    )
    for (const [name, isOn] of Object.entries(ends)) if (isOn) world.want('flap', name, inMesh(name))
    await world.settled()
    await assertTraffic(['first', 'legacy'], 'kmesh', false)
    await assertTraffic(['second', 'both'], 'envoy', false)
    for (const name of Object.keys(ends)) await label(name, DATAPLANE, null)
    wantAll(() => OUT)
    await world.settled()
  })

  test(`${FLIPS} times without enrolling, ending on and off`, {timeout: 120_000}, async () => {
    await flip(namespaceTo(BYPASS, 'enabled'), true)
    wantAll(shorted)
    await world.settled()
    await assertTraffic(['first', 'legacy', 'both'], 'kube', true)
    await flip(namespaceTo(BYPASS, 'enabled'), false)
    wantAll(() => OUT)
    await world.settled()
  })

  for (const endsOn of [true, false]) {
    test(`agent killed in the middle, ending ${endsOn ? 'on' : 'off'}`, {timeout: 120_000}, async () => {
      let killed: Promise<void> | undefined
      await flip(namespaceTo(DATAPLANE, 'kmesh'), endsOn, () => {
        killed = kill()
      })
      await killed
      wantAll(endsOn ? inMesh : () => OUT)
      await world.settled()
      await assertTraffic(['first', 'legacy', 'both'], endsOn ? 'kmesh' : 'envoy', endsOn)
    })
  }

  test('agent absent while labels come and go and a pod ends', {timeout: 120_000}, async () => {
    await Promise.all(['first', 'legacy', 'gone'].map((name) => label(name, DATAPLANE, 'kmesh')))
    await label('server', BYPASS, 'enabled')
    for (const name of ['first', 'legacy', 'gone']) world.want('flap', name, inMesh(name))
    world.want('flap', 'server', shorted('server'))
    await world.settled()
    const {cookie} = world.placeOf('flap', 'gone')
    const [gone] = await world.pods('flap', 'gone')
    assert.match(world.noted(), new RegExp(gone?.metadata.uid ?? 'no uid'))

    await using absence = await keepAway(sandbox, NODE)
    await Promise.all(['first', 'legacy'].map((name) => label(name, DATAPLANE, null)))
    await label('server', BYPASS, null)
    await Promise.all(['second', 'both'].map((name) => label(name, DATAPLANE, 'kmesh')))
    await sandbox.kube.delete({...RESOURCES.pods, namespace: 'flap', name: 'gone'})
    await eventually('it is gone', async () =>
      (await world.pods('flap', 'gone')).length === 0 ? true : undefined,
    )
    await absence.end()

    world.unwatch({namespace: 'flap', name: 'gone'})
    wantAll(() => OUT)
    for (const name of ['second', 'both']) world.want('flap', name, inMesh(name))
    await world.settled()
    assert.ok(!(await world.managed()).has(cookie))
    assert.doesNotMatch(world.noted(), new RegExp(gone?.metadata.uid ?? 'no uid'))
    await assertTraffic(['first', 'legacy'], 'envoy', false)
    await assertTraffic(['second', 'both'], 'kmesh', false)
    await Promise.all(['second', 'both'].map((name) => label(name, DATAPLANE, null)))
    wantAll(() => OUT)
    await world.settled()
  })

  for (const isOn of [true, false]) {
    test(`lock of iptables held, label ${isOn ? 'on' : 'off'}: later, never half`, {
      timeout: 120_000,
    }, async () => {
      {
        await using _lock = await locked(LOCKED_SECONDS)
        await namespaceTo(DATAPLANE, 'kmesh')(isOn)
        await assertWaiting(isOn)
      }
      wantAll(isOn ? inMesh : () => OUT)
      await world.settled()
    })
  }

  /** While the lock is held: not in the kernel's map, whichever way it goes; and rules as they were. */
  async function assertWaiting(isOn: boolean): Promise<void> {
    await sleep(1000)
    const managed = await world.managed()
    const before = isOn ? OUT : shorted('legacy')
    for (const name of ['legacy', 'both']) {
      assert.ok(!managed.has(world.placeOf('flap', name).cookie), `${name} is in km_manage`)
      const wanted = before.rules.length === 0 ? [] : (PODS[name] ?? [])
      assert.deepEqual((await rulesIn(world.placeOf('flap', name).path)).ours, standingIn(wanted), name)
    }
  }
})

/** Holds the machine's lock of legacy iptables; disposing waits for its end. */
async function locked(seconds: number): Promise<AsyncDisposable> {
  const child = spawn('flock', ['/run/xtables.lock', 'sh', '-c', `echo held; exec sleep ${seconds}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  await once(child.stdout, 'data')
  return {
    [Symbol.asyncDispose]: async () => {
      await ended
    },
  }
}
