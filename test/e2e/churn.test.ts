// SPDX-License-Identifier: Apache-2.0
// Goal: maps follow the cluster within a second, and a client that connects all the time never fails.
// Method: an enrolled client connects every 20 ms while the server's Deployment is scaled, a pod deleted, a pod relabelled.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {
  connectOften,
  eventually,
  type Json,
  look,
  nameOf,
  PODS,
  SANDBOX_ONLY,
  type Sandbox,
  SERVER,
  sandboxUp,
  type World,
} from './harness.ts'

const EVERY_MS = 20
const COUNT = 900
const FOLLOW_MS = 1000

suite('changes under load', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: World
  before(async () => {
    sandbox = await sandboxUp('e2e-churn', '--ip-family', 'dual')
    world = await look(sandbox)
    await sandbox.json('enroll', 'namespace', 'shop', '--yes')
  })
  after(async () => {
    await sandbox?.down()
  })

  /** Endpoints of the service in each node's kernel, by node and family. */
  async function counts(): Promise<number[]> {
    const document = await sandbox.json('dump', 'maps', 'km_service', '-n', 'shop')
    return (document.items as Json[]).map((item) => item.value.endpointCount[0] as number)
  }

  /** Ready endpoints as the cluster says, from the slices. */
  async function readyPods(): Promise<number> {
    const slices = await sandbox.kube.list<Json>({
      group: 'discovery.k8s.io',
      version: 'v1',
      resource: 'endpointslices',
      namespace: 'shop',
    })
    const ipv4 = slices.items.filter((slice) => slice.addressType === 'IPv4')
    return ipv4
      .flatMap((slice) => slice.endpoints ?? [])
      .filter((endpoint: Json) => endpoint.conditions.ready).length
  }

  async function follow(ready: number): Promise<void> {
    await eventually(
      `${ready} ready endpoints`,
      async () => ((await readyPods()) === ready ? true : undefined),
      20_000,
    )
    await eventually(
      `${ready} endpoints in every kernel`,
      async () => {
        const found = await counts()
        assert.equal(found.length, 4, 'two nodes, two families')
        return found.every((count) => count === ready) ? true : undefined
      },
      FOLLOW_MS + 1000, // the dump itself takes its time
    )
  }

  async function change(): Promise<void> {
    await sleep(500)
    await sandbox.kube.mergePatch(SERVER, {spec: {replicas: 6}})
    await follow(6)
    await sandbox.kube.mergePatch(SERVER, {spec: {replicas: 2}})
    await follow(2)
    const {servers} = await look(sandbox)
    const alive = servers.filter((pod) => pod.metadata.deletionTimestamp === undefined)
    await sandbox.kube.delete({...PODS, name: nameOf(alive[0] ?? world.client)})
    await sleep(300)
    await follow(2)
    const relabelled = (await look(sandbox)).servers.find(
      (pod) => pod.metadata.deletionTimestamp === undefined,
    )
    await sandbox.kube.mergePatch(
      {...PODS, name: nameOf(relabelled ?? world.client)},
      {metadata: {labels: {app: 'elsewhere'}}},
    )
    await sleep(300)
    await follow(2)
  }

  for (const family of ['ipv4', 'ipv6'] as const) {
    test(`no connection fails while endpoints come and go (${family})`, {timeout: 120_000}, async () => {
      const traffic = connectOften(sandbox, nameOf(world.client), world[family], {
        count: COUNT,
        everyMs: EVERY_MS,
      })
      await Promise.all([change(), traffic])
      const sums = await traffic
      assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
      assert.equal(sums.connections, COUNT)
      assert.ok(!Object.keys(sums.peers).includes(`${world[family]} 80`), 'every connection was redirected')
      await sandbox.kube.mergePatch(SERVER, {spec: {replicas: 3}})
      await follow(3)
    })
  }
})
