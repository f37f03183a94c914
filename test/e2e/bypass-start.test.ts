// SPDX-License-Identifier: Apache-2.0
// Goal: a pod that starts through CNI is short-circuited from its very first connection on; rules that come later, or are
// damaged by somebody, are followed; sidecars that cannot be short-circuited are left alone as a whole.
// Method: as in bypass.test.ts; a pod's very first connections are those that it makes as its first act.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {type PodRules, rulesIn, runIn} from './bypass-rules.ts'
import {
  assertSameOthers,
  BYPASS,
  BypassWorld,
  DATAPLANE,
  INJECTION,
  OUT,
  type Wanted,
} from './bypass-world.ts'
import {firstPeers} from './cni-fixture.ts'
import {addressesOf, eventually, type Json, SANDBOX_ONLY, type Sandbox, sandboxUp} from './harness.ts'

/** The agent looks at everything that often. */
const CHECK_MS = 30_000
const KMESH = {[DATAPLANE]: 'kmesh'}
const UNSUPPORTED = {annotation: 'unsupported', reason: 'BypassUnsupported'}
const RULE = '-m comment --comment kmesh.net/bypass -j RETURN'

/** One connection a family with a request: a sidecar tells of those that were answered. */
function firstAct(...addresses: string[]): string {
  const connects = addresses.map(
    (address) =>
      `exec 3<>/dev/tcp/${address}/80; ss -Htn; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; read -rt 5 line <&3; echo "$line"`,
  )
  return `${connects.join('; ')}; echo over; exec sleep 600`
}

suite('short-circuit of sidecars that start or change', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: BypassWorld
  before(async () => {
    sandbox = await sandboxUp('e2e-bypass-start', '--empty', '--istio', '--nodes', '1', '--ip-family', 'dual')
    world = new BypassWorld(sandbox)
    await world.namespace('plain')
    await world.namespace('asked', INJECTION)
    await world.namespace('cannot', INJECTION)
    await world.namespace('mesh', {...INJECTION, ...KMESH})
    const client = (namespace: string, name: string, ...flags: string[]) =>
      world.client({namespace, name}, true, {}, flags)
    await Promise.all([
      world.server('plain', false),
      client('asked', 'one'),
      client('cannot', 'tproxy', '--tproxy'),
      client('cannot', 'nftables', '--iptables', 'native'),
      client('mesh', 'damaged'),
      client('mesh', 'native', '--native'),
    ])
    await Promise.all([
      world.watch('asked', 'one'),
      ...['tproxy', 'nftables'].map((name) => world.watch('cannot', name)),
      ...['damaged', 'native'].map((name) => world.watch('mesh', name, {captured: true, rules: ['nft']})),
    ])
  })
  after(async () => {
    await sandbox?.down()
  })

  const asked = (name: string) => ({namespace: 'asked', name})
  const shorted: Wanted = {captured: false, rules: ['nft']}
  const unsupported: Wanted = {captured: false, rules: [], ...UNSUPPORTED}

  /** Nothing of ours is in a pod of `cannot`, at any time. */
  async function assertUntouched(): Promise<void> {
    const managed = await world.managed()
    for (const name of ['tproxy', 'nftables']) {
      const {path, cookie} = world.placeOf('cannot', name)
      assert.deepEqual((await rulesIn(path)).ours, {}, name)
      assert.ok(!managed.has(cookie), `${name} is in km_manage`)
    }
  }

  test('rules that come after the pod was enrolled: ours goes where they are not', {
    timeout: 60_000,
  }, async () => {
    const late = {namespace: 'mesh', name: 'late'}
    // Its namespace injects, yet nothing was: rules are to be expected, and nobody knows in which backend.
    await world.client(late, false)
    await world.watch('mesh', 'late', {captured: true, rules: ['nft', 'legacy']})
    await world.settled()
    const {path} = world.placeOf('mesh', 'late')
    const nft = world.placeOf('asked', 'one').path
    for (const program of ['iptables', 'ip6tables'])
      await runIn(
        path,
        `${program}-legacy-restore --noflush --wait=30`,
        await runIn(nft, `${program}-nft-save -t nat`),
      )
    const before = await rulesIn(path)
    world.want('mesh', 'late', {captured: true, rules: ['legacy']})
    await world.settled(CHECK_MS + 5000)
    assertSameOthers(await rulesIn(path), before, 'late')
    assert.match(before.others['ip6tables-legacy'], /ISTIO_OUTPUT/)
  })

  const CANNOT = ['nftables', 'tproxy'] as const

  for (const [label, value] of [
    [DATAPLANE, 'kmesh'],
    [BYPASS, 'enabled'],
  ] as const) {
    test(`TPROXY and nftables of its own, ${label}: left alone as a whole, at any time`, {
      timeout: 60_000,
    }, async () => {
      for (let round = 0; round < 10; round += 1) {
        await world.labelNamespace('cannot', label, round % 2 === 1 ? value : null)
        await assertUntouched()
      }
      await settledIn('cannot', unsupported)
      const events = await Promise.all(CANNOT.map((name) => world.events({namespace: 'cannot', name})))
      assert.deepEqual([...new Set(events.flat())], ['BypassUnsupported'])
      assert.ok(events.every(({length}) => length > 0))
      if (label === DATAPLANE)
        assert.deepEqual(
          await reasons(),
          CANNOT.map((name) => [name, 'BypassUnsupported']),
        )
      await world.labelNamespace('cannot', label, null)
      await settledIn('cannot', OUT)
    })
  }

  async function settledIn(namespace: string, wanted: Wanted): Promise<void> {
    world.want(namespace, '', wanted)
    await world.settled()
  }

  /** As `interop status` has them, for who is enrolled by a label and is not. */
  async function reasons(): Promise<[string, string][]> {
    const {items} = await sandbox.json('interop', 'status', '-n', 'cannot')
    const pods = (items as Json[]).filter(({kind}) => kind === 'Pod')
    return pods.map(({name, reason}): [string, string] => [name, reason]).toSorted()
  }

  test('such a sidecar in a pod that starts in the mesh: as if Kmesh were not there', {
    timeout: 60_000,
  }, async () => {
    await Promise.all([
      world.client({namespace: 'mesh', name: 'new-tproxy'}, true, {}, ['--tproxy']),
      world.client({namespace: 'mesh', name: 'new-nftables'}, true, {}, ['--iptables', 'native']),
    ])
    await world.watch('mesh', 'new-', unsupported)
    await world.settled()
    for (const name of ['tproxy', 'nftables']) {
      const [now, other] = await Promise.all(
        [world.placeOf('mesh', `new-${name}`), world.placeOf('cannot', name)].map(({path}) => rulesIn(path)),
      )
      assert.ok(now && other)
      const rules = ({others, native}: PodRules) => [
        Object.values(others)
          .join('\n')
          .match(/^-A .*/gm),
        native,
      ]
      assert.deepEqual(rules(now), rules(other), name)
    }
  })

  /** A pod with a sidecar that connects as its first act: peers of all sockets then, and what its sidecar took. */
  async function starts(namespace: string, name: string, ...flags: string[]) {
    const [ipv4 = '', ipv6 = ''] = await world.addresses('plain')
    const main = {name: 'main', image: 'bash', command: ['bash', '-c', firstAct(ipv4, ipv6)]}
    const spec = {terminationGracePeriodSeconds: 0, containers: [main]}
    await world.create([{apiVersion: 'v1', kind: 'Pod', metadata: {namespace, name}, spec}], true, flags)
    const peers = await firstPeers(sandbox, name, namespace)
    await world.findLogs()
    const outbound = world.lines(`${namespace}/${name}`).filter(({direction}) => direction === 'outbound')
    return {peers, outbound: outbound.length, services: [`${ipv4}:80`, `[${ipv6}]:80`]}
  }

  for (const flags of [[], ['--native']]) {
    const name = `first${flags.join('')}`
    test(`the very first connections of a pod that starts in the mesh go through Kmesh ${flags}`, {
      timeout: 60_000,
    }, async () => {
      const {peers, outbound, services} = await starts('mesh', name, ...flags)
      const endpoints = addressesOf(await world.pods('plain', 'server')).map((one) =>
        one.includes(':') ? `[${one}]:8080` : `${one}:8080`,
      )
      assert.equal(endpoints.length, 2)
      for (const endpoint of endpoints) assert.ok(peers.includes(endpoint), `${endpoint} is not in ${peers}`)
      for (const service of services) assert.ok(!peers.includes(service), `${service} is in ${peers}`)
      assert.equal(outbound, 0)
      await world.ready('mesh', name)
      await world.watch('mesh', name, {captured: true, rules: ['nft']})
      await world.settled()
    })
  }

  test('the very first connections past the sidecar without enrolling, and by the sidecar without a label', {
    timeout: 60_000,
  }, async () => {
    await world.labelNamespace('asked', BYPASS, 'enabled')
    await eventually('the agent has seen it', async () =>
      (await world.enrollment()).some(({pod, bypass}) => pod === 'one' && bypass?.wanted) ? true : undefined,
    )
    const past = await starts('asked', 'past', '--native')
    for (const service of past.services) assert.ok(past.peers.includes(service), `${service}: ${past.peers}`)
    assert.equal(past.outbound, 0)
    await world.labelPod(asked('past'), BYPASS, 'enabled')
    await world.labelNamespace('asked', BYPASS, null)
    const own = await starts('asked', 'own', '--native')
    for (const service of own.services) assert.ok(own.peers.includes(service), `${service}: ${own.peers}`)
    await eventually('its sidecar has had both', async () =>
      world.lines('asked/own').filter(({direction}) => direction === 'outbound').length === 2
        ? true
        : undefined,
    )
    await Promise.all([world.ready('asked', 'past'), world.ready('asked', 'own')])
    await world.watch('asked', 'past', shorted)
    await world.watch('asked', 'own')
    await world.settled()
  })

  // Last: by now the looks soon after the rules came in are over.
  test(`damaged rules are put right within ${CHECK_MS / 1000} s`, {timeout: 60_000}, async () => {
    const {path} = world.placeOf('mesh', 'damaged')
    await runIn(
      path,
      `iptables-nft -w -t nat -I PREROUTING 1 -p tcp --dport 4 -j ACCEPT
ip6tables-nft -w -t nat -D OUTPUT ${RULE}
iptables-nft -w -t nat -A OUTPUT ${RULE}
ip6tables-legacy -w 30 -t nat -I PREROUTING 1 ${RULE}`,
    )
    const {others} = await rulesIn(path)
    await world.settled(CHECK_MS + 5000)
    assert.deepEqual((await rulesIn(path)).others, others)
    assert.match(
      others['iptables-nft'],
      /^-A PREROUTING -p tcp -m tcp --dport 4 -j ACCEPT\n-A PREROUTING -p tcp -j ISTIO_INBOUND$/m,
    )
  })
})
