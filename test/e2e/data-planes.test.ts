// SPDX-License-Identifier: Apache-2.0
// Goal: Kmesh beside sidecars, as the design of several data planes lists it: three kinds of servers, clients with and
// without a sidecar, label on and off, pods that started before and after, existing pods left alone and moved; IPv4 and
// IPv6. The one pair that cannot work fails as `interop check` predicts it, and all others work as it predicts.
// Method: a sandbox with stand-in sidecars; who handled a connection is read from getpeername() and the sidecars' logs.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {connectOften, eventually, type Json, SANDBOX_ONLY, type Sandbox, sandboxUp} from './harness.ts'
import {type Handled, type Handler, type PodName, SidecarWorld} from './sidecar-world.ts'

const KMESH = {'istio.io/dataplane-mode': 'kmesh'}
const INJECTION = {'istio-injection': 'enabled'}
const SERVERS = ['plain', 'kmesh', 'envoy'] as const
const KINDS = ['plain', 'envoy'] as const
type Kind = (typeof KINDS)[number]

/** Who has a pod's own traffic where Kmesh has not. */
const OWN: Readonly<Record<Kind, Handler>> = {plain: 'kube', envoy: 'envoy'}

function wanted(client: Handler, server: (typeof SERVERS)[number]): Handled {
  if (server !== 'envoy') return {client, server: 'application', tls: null}
  return {client, server: 'envoy', tls: client === 'envoy' ? 'mtls' : 'none'}
}

suite('several data planes', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: SidecarWorld
  before(async () => {
    sandbox = await sandboxUp('e2e-planes', '--no-daemon', '--empty', '--istio', '--ip-family', 'dual')
    world = new SidecarWorld(sandbox)
    await world.namespace('plain')
    await world.namespace('kmesh', KMESH)
    await world.namespace('envoy', INJECTION)
    await Promise.all(SERVERS.map((name) => world.server(name, name === 'envoy')))
  })
  after(async () => {
    await sandbox?.down()
  })

  /** Each server over both families: who handled it, and what was predicted. */
  async function assertHandled(client: PodName, kind: Kind, expected: Handler): Promise<void> {
    const verdicts = await predictions(client)
    for (const server of SERVERS) {
      assert.equal(verdicts.get(server), 'works', `${client.name} to ${server} is predicted`)
      for (const address of await world.addresses(server)) {
        const what = `${kind} ${client.name} to ${address} of ${server}`
        assert.deepEqual(await world.handled(client, server, address), wanted(expected, server), what)
      }
    }
  }

  /** Namespace of the server -> verdict of `interop check` for this pod. */
  async function predictions({namespace, name}: PodName): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>()
    const {items} = await sandbox.json(
      'interop',
      'check',
      '-n',
      namespace,
      name,
      '--show',
      'all',
      '--fail-on',
      'never',
    )
    for (const item of items as Json[]) found.set(item.server.namespace, item.verdict)
    return found
  }

  /** The agent's word for the pod. */
  async function captured(client: PodName, isWanted: boolean): Promise<void> {
    await eventually(
      `${client.namespace}/${client.name} ${isWanted ? 'in' : 'out of'} the kernel`,
      async () => {
        const {items} = await sandbox.json('interop', 'status', '-n', client.namespace)
        const pod = (items as Json[]).find((item) => item.kind === 'Pod' && item.name === client.name)
        return (pod?.capture === 'kmesh') === isWanted && pod?.state === 'active' ? true : undefined
      },
      30_000,
    )
  }

  for (const mode of ['untouched', 'live'] as const) {
    const place = (kind: Kind) => `${mode}-${kind}`
    const pod = (kind: Kind, name: string): PodName => ({namespace: place(kind), name})
    const isLive = mode === 'live'

    suite(`existing pods: ${mode}`, () => {
      before(async () => {
        await sandbox.json('install', '--yes', '--existing-pods', mode)
        for (const kind of KINDS) await world.namespace(place(kind), kind === 'envoy' ? INJECTION : {})
        await Promise.all(KINDS.map((kind) => world.client(pod(kind, 'before'), kind === 'envoy')))
      })

      test('label on: pods that were there, and new ones', {timeout: 180_000}, async () => {
        for (const kind of KINDS) {
          await sandbox.json('enroll', 'namespace', place(kind), '--yes')
          await world.client(pod(kind, 'between'), kind === 'envoy')
          await captured(pod(kind, 'before'), isLive)
          await captured(pod(kind, 'between'), true)
          await assertHandled(pod(kind, 'before'), kind, isLive ? 'kmesh' : OWN[kind])
          await assertHandled(pod(kind, 'between'), kind, 'kmesh')
        }
      })

      test('label off: pods that were there, and new ones', {timeout: 180_000}, async () => {
        for (const kind of KINDS) {
          await sandbox.json('unenroll', 'namespace', place(kind), '--yes')
          await world.client(pod(kind, 'after'), kind === 'envoy')
          await captured(pod(kind, 'between'), !isLive)
          await assertHandled(pod(kind, 'between'), kind, isLive ? OWN[kind] : 'kmesh')
          await assertHandled(pod(kind, 'after'), kind, OWN[kind])
        }
      })
    })
  }

  test('a sidecar that calls a server whose sidecar is short-circuited fails, as predicted', {
    timeout: 120_000,
  }, async () => {
    await world.namespace('short', {...INJECTION, ...KMESH})
    await world.server('short', true)
    const envoy = {namespace: 'live-envoy', name: 'after'}
    const plain = {namespace: 'live-plain', name: 'after'}
    await eventually('the server in the kernel', async () =>
      (await sandbox.json('interop', 'status', '-n', 'short')).summary.captures.kmesh === 1
        ? true
        : undefined,
    )
    assert.equal((await predictions(envoy)).get('short'), 'fails')
    assert.equal((await predictions(plain)).get('short'), 'works')
    for (const address of await world.addresses('short')) {
      const sums = await connectOften(sandbox, envoy.name, address, {count: 2, namespace: envoy.namespace})
      assert.equal(sums.errors, 2, JSON.stringify(sums))
      assert.deepEqual(await world.handled(plain, 'short', address), {
        client: 'kube',
        server: 'application',
        tls: null,
      })
    }
  })
})
