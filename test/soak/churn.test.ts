// SPDX-License-Identifier: Apache-2.0
// Goal: hours of change cost no connection, no memory and no descriptors.
// Method: an enrolled client connects every 20 ms while scaling, deletions, relabelling, log levels and killed daemons
// come at random (seeded); KMESH_SOAK_SECONDS says how long (npm run soak: 600; the test run: 40).
import assert from 'node:assert/strict'
import {readdirSync, readFileSync} from 'node:fs'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {
  connectOften,
  type Daemon,
  daemonsOf,
  daemonsReplaced,
  eventually,
  type Json,
  look,
  nameOf,
  PODS,
  type Sandbox,
  SERVER,
  sandboxUp,
  type World,
} from '../e2e/harness.ts'
import {seeded} from '../seeded.ts'

const SECONDS = Number(process.env['KMESH_SOAK_SECONDS'] ?? 40)
const EVERY_MS = 20
/** A service routes 3 servers at the end: one frontend and service entry a family, three endpoints each. */
const REPLICAS = 3

interface Usage {
  readonly residentMb: number
  readonly descriptors: number
}

function usageOf({pid}: Daemon): Usage {
  const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  return {residentMb: Number(resident) / 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length}
}

suite(`soak of ${SECONDS} s`, () => {
  let sandbox: Sandbox
  let world: World
  before(async () => {
    sandbox = await sandboxUp('soak-churn', '--ip-family', 'dual')
    world = await look(sandbox)
    await sandbox.json('enroll', 'namespace', 'shop', '--yes')
  })
  after(async () => {
    await sandbox?.down()
  })

  /** Empty where another one would leave the service without a server: then everybody is refused, with Kmesh or without. */
  async function anyServer(choose: (below: number) => number): Promise<string> {
    const {servers} = await look(sandbox)
    const alive = servers.filter(
      ({metadata, status}) =>
        metadata.deletionTimestamp === undefined &&
        metadata.labels?.['app'] === 'server' &&
        status?.conditions?.some(({type, status: value}) => type === 'Ready' && value === 'True'),
    )
    const pod = alive[choose(alive.length || 1)]
    return pod === undefined || alive.length < 3 ? '' : nameOf(pod)
  }

  function actions(choose: (below: number) => number): (() => Promise<unknown>)[] {
    return [
      () => sandbox.kube.mergePatch(SERVER, {spec: {replicas: 2 + choose(5)}}),
      async () => {
        const name = await anyServer(choose)
        if (name !== '') await sandbox.kube.delete({...PODS, name})
      },
      async () => {
        const name = await anyServer(choose)
        if (name === '') return
        await sandbox.kube.mergePatch({...PODS, name}, {metadata: {labels: {app: 'elsewhere'}}})
        await sandbox.kube.delete({...PODS, name})
      },
      () =>
        sandbox.json(
          'log',
          'set-level',
          `bpf=${['warn', 'info', 'debug'][choose(3)]}`,
          '--for',
          '5s',
          '--all-nodes',
        ),
      async () => {
        const old = await daemonsOf(sandbox)
        const victim = old[choose(old.length)]
        if (victim === undefined) return
        process.kill(victim.pid, 'SIGKILL')
        await daemonsReplaced(sandbox, [victim], old.length)
      },
    ]
  }

  test('nothing fails and nothing grows', {timeout: (SECONDS + 120) * 1000}, async () => {
    const choose = seeded(20261122)
    const traffic = (['ipv4', 'ipv6'] as const).map((family) =>
      connectOften(sandbox, nameOf(world.client), world[family], {
        count: Math.floor((SECONDS * 1000) / EVERY_MS),
        everyMs: EVERY_MS,
      }),
    )
    const end = Date.now() + (SECONDS - 5) * 1000
    const choices = actions(choose)
    while (Date.now() < end) {
      await choices[choose(choices.length)]?.()
      await sleep(300 + choose(700))
    }
    for (const sums of await Promise.all(traffic)) {
      assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
      assert.ok(
        Object.keys(sums.peers).every((peer) => peer.endsWith(' 8080')),
        'every connection was redirected',
      )
    }
    await settled()
    for (const daemon of await daemonsOf(sandbox)) {
      const {residentMb, descriptors} = usageOf(daemon)
      assert.ok(residentMb < 250, `daemon of ${daemon.node} holds ${residentMb.toFixed(0)} MB`)
      assert.ok(descriptors < 100, `daemon of ${daemon.node} has ${descriptors} descriptors`)
    }
  })

  /** The kernel holds exactly what three servers, one client and the daemons need. */
  async function settled(): Promise<void> {
    await sandbox.kube.mergePatch(SERVER, {spec: {replicas: REPLICAS}})
    await eventually(
      'maps without leftovers',
      async () => {
        const document = await sandbox.json('dump', 'maps', 'km_endpoint', 'km_backend', '-n', 'shop')
        const entries = document.items as Json[]
        const count = (map: string) => entries.filter((entry) => entry.map === map).length
        assert.deepEqual(
          [count('km_endpoint'), count('km_backend')],
          [2 * 2 * REPLICAS, 2 * 2 * (REPLICAS + 1)],
          'two nodes, two families',
        )
        return true
      },
      20_000,
    )
  }
})
