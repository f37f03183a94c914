// SPDX-License-Identifier: Apache-2.0
// Goal: a client that connects every 10 ms sees no error that it would not see without Kmesh, through 50 restarts of
// the node's daemon (stop, kill -9, upgrade by swap of program and object) and 200 rolling pod replacements.
// Method: node-2 gets its daemon from this test; clients there, enrolled and not, connect all the time while one loop
// restarts the daemon and another rolls the servers. KMESH_SOAK_SECONDS >= 600 (npm run soak) is all of it, else a minute.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import type {Pod} from '../../src/lib/model/kube.ts'
import {noCompiler} from '../bpf/variants.ts'
import {
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
} from '../e2e/harness.ts'
import {clientPods, connect, describe, ownErrors, resultOf} from './clients.ts'
import {type DaemonVersion, DaemonVersions} from './daemon-versions.ts'
import {isReadyPod, NodeDaemon} from './node-daemon.ts'

const IS_WHOLE = Number(process.env['KMESH_SOAK_SECONDS'] ?? 0) >= 600
const RESTARTS = IS_WHOLE ? 50 : 12
const REPLACEMENTS = IS_WHOLE ? 200 : 60
const LIMIT_MS = IS_WHOLE ? 1_800_000 : 180_000
const REPLICAS = 3
const NODE = 'node-2'
/**
 * Longer than a daemon is away: nobody takes an endpoint out of the kernel meanwhile. A pod of a real cluster has a
 * preStop sleep for it, as it needs one for kube-proxy.
 */
const SERVE_ON_MS = 8000
/** Of a client every 20 ms: 300 ms more than a pod outside the mesh sees. */
const GAP_ERRORS = 15

suite(`${RESTARTS} restarts, ${REPLACEMENTS} replaced pods`, {skip: SANDBOX_ONLY || noCompiler()}, () => {
  let sandbox: Sandbox
  let world: World
  let daemon: NodeDaemon
  let versions: DaemonVersions
  before(async () => {
    versions = new DaemonVersions()
    sandbox = await sandboxUp('soak-restarts', '--ip-family', 'dual', '--without-daemon', NODE)
    daemon = await NodeDaemon.of(sandbox, NODE)
    await daemon.start(versions.all[0] as DaemonVersion)
    await prepareServers('first')
    await sandbox.json('enroll', 'namespace', 'shop', '--yes')
    for (const pod of clientPods(NODE)) await sandbox.kube.create(PODS, pod)
    await rolledOut('first')
    world = await look(sandbox)
    await eventually('one client is captured', async () =>
      (await captureOf('enrolled')) === 'kmesh' && (await captureOf('outside')) === 'none' ? true : undefined,
    )
  })
  after(async () => {
    await sandbox?.down()
    versions?.[Symbol.dispose]()
  })

  async function prepareServers(round: string): Promise<void> {
    const deployment = await sandbox.kube.get<Json>(SERVER)
    const [echo] = deployment.spec.template.spec.containers as Json[]
    const containers = [{...echo, env: [{name: 'SERVE_ON_MS', value: String(SERVE_ON_MS)}]}]
    const spec = {terminationGracePeriodSeconds: 20, containers}
    const template = {metadata: {annotations: {round}}, spec}
    await sandbox.kube.mergePatch(SERVER, {spec: {replicas: REPLICAS, template}})
  }

  async function captureOf(pod: string): Promise<string> {
    const {items} = await sandbox.json('interop', 'status', '-n', 'shop')
    return (items as Json[]).find((item) => item.kind === 'Pod' && item.name === pod)?.capture
  }

  async function restartAll(): Promise<void> {
    for (let round = 0, version = 0; round < RESTARTS; round += 1) {
      const kind = ['stop', 'kill', 'upgrade'][round % 3]
      if (kind === 'upgrade') version += 1
      await daemon.end(kind === 'kill')
      await daemon.start(versions.all[version % versions.all.length] as DaemonVersion)
      await sleep(1500)
    }
  }

  async function replaceAll(): Promise<void> {
    for (let replaced = 0; replaced < REPLACEMENTS; replaced += REPLICAS) {
      const round = `round-${replaced}`
      await sandbox.kube.mergePatch(SERVER, {spec: {template: {metadata: {annotations: {round}}}}})
      await rolledOut(round)
    }
  }

  /** Every server is Ready and, where a round is named, of the template of that round. */
  async function rolledOut(round?: string): Promise<void> {
    const isDone = (pod: Pod): boolean =>
      isReadyPod(pod) && (round === undefined || pod.metadata.annotations?.['round'] === round)
    await eventually(
      `the servers of ${round ?? 'any round'}`,
      async () => {
        const {servers} = await look(sandbox)
        const pods = servers.filter(({metadata}) => metadata.deletionTimestamp === undefined)
        return pods.length === REPLICAS && pods.every(isDone) ? true : undefined
      },
      60_000,
    )
  }

  test('no client sees an error', {timeout: LIMIT_MS}, async (t) => {
    const clients = [
      connect(sandbox, 'enrolled', world.ipv4, 10),
      connect(sandbox, 'enrolled', world.ipv6, 50),
      connect(sandbox, 'outside', world.ipv4, 50),
      connect(sandbox, 'outside', world.ipv6, 50),
    ]
    const links = daemon.linkIds()
    await Promise.all([restartAll(), replaceAll()])
    const results = await Promise.all(clients.map(resultOf))
    for (const result of results) t.diagnostic(describe(result))
    for (const result of results) {
      const {connections, peers} = result.sums
      assert.ok(connections > 200, describe(result))
      const isRedirected = Object.keys(peers).every((peer) => peer.endsWith(' 8080'))
      assert.equal(isRedirected, result.isEnrolled, `${result.what} went to ${Object.keys(peers).join()}`)
    }
    assert.deepEqual(ownErrors(results), [])
    assert.deepEqual(daemon.linkIds(), links, 'the links of the first daemon')
  })

  test('every server deleted at once: enrolled pods see what others see', {timeout: LIMIT_MS}, async (t) => {
    const clients = [
      connect(sandbox, 'enrolled', world.ipv4, 20),
      connect(sandbox, 'outside', world.ipv4, 20),
    ]
    await sleep(500)
    const {servers} = await look(sandbox)
    const isGone = () => undefined // another one of the last round was ending already
    await Promise.all(servers.map((pod) => sandbox.kube.delete({...PODS, name: nameOf(pod)}).catch(isGone)))
    await rolledOut()
    // The old ones serve to their end.
    await sleep(SERVE_ON_MS)
    const results = await Promise.all(clients.map(resultOf))
    for (const result of results) t.diagnostic(describe(result))
    const [enrolled, outside] = results.map(({sums}) => sums.errors)
    // Between the last old server and the first new one the rules of the cluster have a gap, for both; a kernel that
    // kept dead endpoints would add seconds.
    assert.ok((enrolled ?? 0) <= (outside ?? 0) + GAP_ERRORS, results.map(describe).join('; '))
  })
})
