// SPDX-License-Identifier: Apache-2.0
// Goal: a label short-circuits a sidecar without enrolling, of a namespace or a pod, and no longer when it is gone, also
// while the agent is absent; beside the label that enrolls, the rules stay while one of the two asks for them.
// Method: as in bypass.test.ts.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {BYPASS, BypassWorld, DATAPLANE, INJECTION, NODE, OUT, type Wanted} from './bypass-world.ts'
import {keepAway} from './cni-fixture.ts'
import {SANDBOX_ONLY, type Sandbox, sandboxUp} from './harness.ts'

suite('short-circuit of sidecars by a label of its own', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: BypassWorld
  before(async () => {
    sandbox = await sandboxUp('e2e-bypass-label', '--empty', '--istio', '--nodes', '1', '--ip-family', 'dual')
    world = new BypassWorld(sandbox)
    await world.namespace('plain')
    await world.namespace('asked', INJECTION)
    await Promise.all([
      world.server('plain', false),
      world.client(outsider, false),
      world.server('asked', true),
      world.client(asked('one'), true),
      world.client(asked('two'), true),
    ])
    await Promise.all(['server', 'one', 'two'].map((name) => world.watch('asked', name)))
  })
  after(async () => {
    await sandbox?.down()
  })

  const outsider = {namespace: 'plain', name: 'outsider'}
  const asked = (name: string) => ({namespace: 'asked', name})
  const shorted: Wanted = {captured: false, rules: ['nft']}

  async function labelServer(value: string | null): Promise<void> {
    const [pod] = await world.pods('asked', 'server')
    await world.labelPod(asked(pod?.metadata.name ?? ''), BYPASS, value)
  }

  test('the label of a namespace short-circuits without enrolling; a pod may opt out', {
    timeout: 60_000,
  }, async () => {
    await world.labelPod(asked('two'), BYPASS, 'disabled')
    await world.labelNamespace('asked', BYPASS, 'enabled')
    for (const name of ['one', 'server']) world.want('asked', name, shorted)
    await world.settled()
    await Promise.all([
      world.assertHandled(asked('one'), 'plain', 'kube', null),
      world.assertHandled(asked('two'), 'plain', 'envoy', null),
      world.assertHandled(outsider, 'asked', 'kube', null),
    ])
    assert.deepEqual(await world.events(asked('one')), ['SidecarBypassed'])
    await world.labelNamespace('asked', BYPASS, null)
    for (const name of ['one', 'server']) world.want('asked', name, OUT)
    await world.settled()
    await Promise.all([
      world.assertHandled(asked('one'), 'plain', 'envoy', null),
      world.assertHandled(outsider, 'asked', 'kube', 'none'),
    ])
    assert.deepEqual(await world.events(asked('one')), ['SidecarBypassed', 'SidecarRestored'])
  })

  test('enrolled and short-circuited by a label: the rules stay while one of the two asks', {
    timeout: 60_000,
  }, async () => {
    const one = asked('one')
    const steps: readonly [string, string | null, Wanted][] = [
      [DATAPLANE, 'kmesh', {captured: true, rules: ['nft']}],
      [BYPASS, 'enabled', {captured: true, rules: ['nft']}],
      [DATAPLANE, null, shorted],
      [DATAPLANE, 'kmesh', {captured: true, rules: ['nft']}],
      [BYPASS, null, {captured: true, rules: ['nft']}],
      [DATAPLANE, null, OUT],
    ]
    for (const [label, value, wanted] of steps) {
      await world.labelPod(one, label, value)
      world.want('asked', 'one', wanted)
      await world.settled()
    }
  })

  test('the label of a pod, on and off while the agent is absent', {timeout: 60_000}, async () => {
    await world.labelPod(asked('two'), BYPASS, null)
    await world.labelPod(asked('one'), BYPASS, 'enabled')
    world.want('asked', 'one', shorted)
    await world.settled()
    await using absence = await keepAway(sandbox, NODE)
    await world.labelPod(asked('one'), BYPASS, null)
    await world.labelNamespace('asked', BYPASS, 'enabled')
    await world.labelPod(asked('two'), BYPASS, 'no')
    await labelServer('enabled')
    await world.labelNamespace('asked', BYPASS, null)
    await absence.end()
    world.want('asked', 'one', OUT)
    world.want('asked', 'server', shorted)
    await world.settled()
    await Promise.all([
      world.assertHandled(asked('one'), 'plain', 'envoy', null),
      world.assertHandled(outsider, 'asked', 'kube', null),
    ])
    await labelServer(null)
    world.want('asked', 'server', OUT)
    await world.settled()
  })
})
