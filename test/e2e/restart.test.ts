// SPDX-License-Identifier: Apache-2.0
// Goal: a killed daemon costs nothing: connections go on, the next one adopts maps, enrollment, level and leases.
// Method: kill -9 under load; map ids, entries and leases before and after.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {
  connectOften,
  daemonsOf,
  daemonsReplaced,
  type Json,
  look,
  nameOf,
  pinOf,
  run,
  SANDBOX_ONLY,
  type Sandbox,
  sandboxUp,
  type World,
} from './harness.ts'

const MAPS = ['km_frontend', 'km_service', 'km_endpoint', 'km_backend', 'km_manage', 'km_globals']

suite('daemon restart', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: World
  before(async () => {
    sandbox = await sandboxUp('e2e-restart', '--ip-family', 'dual')
    world = await look(sandbox)
    await sandbox.json('enroll', 'namespace', 'shop', '--yes')
  })
  after(async () => {
    await sandbox?.down()
  })

  /** Kernel ids and raw entries of the maps of one node. */
  async function mapsOf(node: string): Promise<Json[]> {
    const found: Json[] = []
    for (const map of MAPS) {
      const pin = pinOf(sandbox, node, map)
      const show = JSON.parse((await run('bpftool', ['-j', 'map', 'show', 'pinned', pin])).stdout)
      const dump = JSON.parse((await run('bpftool', ['-j', 'map', 'dump', 'pinned', pin])).stdout)
      const entries = (dump as Json[]).map(({key, value}) => JSON.stringify([key, value])).toSorted()
      found.push({map, id: show.id, entries})
    }
    return found
  }

  test('kill -9 loses no connection, no entry, no level and no lease', {timeout: 90_000}, async () => {
    await sandbox.json('log', 'set-level', 'bpf=warn', '--all-nodes')
    await sandbox.json('log', 'set-level', 'default=debug', '--for', '10m', '--all-nodes')
    const nodes = (await daemonsOf(sandbox)).map((daemon) => daemon.node)
    const before = await Promise.all(nodes.map(mapsOf))
    const leases = await leasesOf()
    const traffic = connectOften(sandbox, nameOf(world.client), world.ipv4, {count: 400, everyMs: 20})
    const old = await daemonsOf(sandbox)
    for (const daemon of old) process.kill(daemon.pid, 'SIGKILL')
    await daemonsReplaced(sandbox, old)
    const sums = await traffic
    assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
    assert.ok(!Object.keys(sums.peers).includes(`${world.ipv4} 80`), 'every connection was redirected')
    assert.deepEqual(await Promise.all(nodes.map(mapsOf)), before, 'the same maps with the same entries')
    const bpf = await sandbox.json('log', 'get', 'bpf', '--all-nodes')
    assert.deepEqual(
      bpf.items.map((item: Json) => item.level),
      ['warn', 'warn'],
    )
    assert.deepEqual(await leasesOf(), leases, 'the running lease is resumed, with its end')
    const interop = await sandbox.json('interop', 'status', '-n', 'shop')
    const pods = (interop.items as Json[]).filter((item) => item.kind === 'Pod')
    assert.ok(pods.length >= 4)
    for (const pod of pods) assert.equal(pod.capture, 'kmesh', JSON.stringify(pod))
  })

  async function leasesOf(): Promise<Json[]> {
    const document = await sandbox.json('log', 'get', 'default', '--all-nodes')
    return (document.items as Json[]).map((item) => [item.node, item.level, item.lease?.expiresAt])
  }
})
