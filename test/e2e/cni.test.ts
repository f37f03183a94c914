// SPDX-License-Identifier: Apache-2.0
// Goal: a pod that is to be enrolled makes its very first connection through Kmesh; without an agent it waits or starts
// outside, as the policy says, and others are not touched; agent, conflist and pods may go and come in any order.
// Method: a sandbox whose nodes start pods through their conflist folder, so the installed kmesh-cni is executed. Pods
// connect as their first act; the peer of the socket is the service without Kmesh and an endpoint with it.
import assert from 'node:assert/strict'
import {readdirSync, readFileSync, renameSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {agentReady, createClient, firstPeers, keepAway, LABEL, podNamed, waitingOf} from './cni-fixture.ts'
import {
  addressesOf,
  connectOften,
  eventually,
  type Json,
  look,
  PODS,
  run,
  SANDBOX_ONLY,
  type Sandbox,
  sandboxStatus,
  sandboxUp,
  type World,
} from './harness.ts'

const NODE = 'node-1'
const REFUSED = /ContainerCreating: FailedCreatePodSandBox: plugin kmesh-cni failed \(add\): .*agent/

suite('pods start through kmesh-cni', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: World
  let conflist: string

  before(async () => {
    sandbox = await sandboxUp('e2e-cni', '--ip-family', 'dual', '--nodes', '1')
    world = await look(sandbox)
    const {stateDir} = JSON.parse(readFileSync(`/run/kmeshctl/${sandbox.name}/state.json`, 'utf8')) as Json
    conflist = join(stateDir, 'nodes', NODE, 'cni', 'net.d', '10-sandbox.conflist')
  })
  after(async () => {
    await sandbox?.down()
  })

  const types = (): string[] =>
    (JSON.parse(readFileSync(conflist, 'utf8')).plugins as {type: string}[]).map(({type}) => type)

  /** One connection a family. */
  function assertRedirected(peers: readonly string[]): void {
    const endpoints = addressesOf(world.servers).map((address) =>
      address.includes(':') ? `[${address}]:8080` : `${address}:8080`,
    )
    assert.equal(peers.length, 2, `${peers}`)
    for (const peer of peers) assert.ok(endpoints.includes(peer), `${peer} is none of ${endpoints}`)
    assert.equal(peers.filter((peer) => peer.startsWith('[')).length, 1)
  }
  function assertPlain(peers: readonly string[]): void {
    assert.deepEqual(peers, [`${world.ipv4}:80`, `[${world.ipv6}]:80`])
  }

  async function remove(...names: string[]): Promise<void> {
    for (const name of names) await sandbox.kube.delete({...PODS, name})
    await eventually('they are gone', async () => {
      const {items} = await sandbox.kube.list(PODS)
      return items.some(({metadata}) => names.includes(metadata.name ?? '')) ? undefined : true
    })
  }

  /** Cookies that the kernel has as enrolled. */
  async function managed(): Promise<number> {
    return ((await sandbox.json('dump', 'maps', 'km_manage', '--node', NODE)).items as Json[]).length
  }

  test('the agent put its plugin after the network of the node', () => {
    assert.deepEqual(types(), ['sandbox-network', 'kmesh-cni'])
  })

  test('a pod labelled before its start connects through Kmesh from the first connection on', async () => {
    await createClient(sandbox, world, 'labelled', LABEL)
    assertRedirected(await firstPeers(sandbox, 'labelled'))
    const enrolled = await managed()
    await remove('labelled')
    await eventually('the kernel forgets it', async () =>
      (await managed()) === enrolled - 1 ? true : undefined,
    )
  })

  test('a pod without a label connects to the service itself', async () => {
    await createClient(sandbox, world, 'plain', {})
    assertPlain(await firstPeers(sandbox, 'plain'))
    await remove('plain')
  })

  test('the label of the namespace counts, the pod label none wins over it', async () => {
    const metadata = {name: 'meshed', labels: LABEL}
    await sandbox.kube.create(RESOURCES.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata})
    await createClient(sandbox, world, 'inside', {}, 'meshed')
    await createClient(sandbox, world, 'outside', {'istio.io/dataplane-mode': 'none'}, 'meshed')
    assertRedirected(await firstPeers(sandbox, 'inside', 'meshed'))
    assertPlain(await firstPeers(sandbox, 'outside', 'meshed'))
    await sandbox.kube.delete({...RESOURCES.namespaces, name: 'meshed'})
  })

  test('agent away, policy fail: an enrolled pod waits and says why, another starts; it starts by itself later', async () => {
    await using absence = await keepAway(sandbox, NODE)
    await createClient(sandbox, world, 'waits', LABEL)
    await createClient(sandbox, world, 'starts', {})
    const why = await eventually('it says why', () => waitingOf(sandbox, 'waits'))
    assert.match(why, REFUSED)
    assertPlain(await firstPeers(sandbox, 'starts'))
    const pod = await podNamed(sandbox, 'waits')
    assert.equal(pod.status?.phase, 'Pending')
    assert.equal(pod.status?.podIP, undefined)
    const events = await run('kubectl', ['get', 'events', '-n', 'shop', '-o', 'json'], {
      env: sandbox.env,
    }).catch(() => undefined)
    if (events?.code === 0) {
      const found = (JSON.parse(events.stdout).items as Json[]).filter(
        ({involvedObject}) => involvedObject.name === 'waits',
      )
      assert.deepEqual(
        found.map(({reason, type}) => `${type} ${reason}`),
        ['Warning FailedCreatePodSandBox'],
      )
    }
    const shown = ((await sandboxStatus(sandbox)).pods as Json[]).find(({name}) => name === 'waits')
    assert.match(shown.message, REFUSED)
    await absence.end()
    assertRedirected(await firstPeers(sandbox, 'waits'))
    await remove('waits', 'starts')
  })

  test('agent killed while it is asked: the pod starts when the next one answers', async () => {
    const pid = await agentReady(sandbox, NODE)
    process.kill(pid, 'SIGSTOP')
    await createClient(sandbox, world, 'asked', LABEL)
    await sleep(1500)
    assert.equal((await podNamed(sandbox, 'asked')).status?.phase, 'Pending', 'it waits for the answer')
    process.kill(pid, 'SIGKILL')
    assertRedirected(await firstPeers(sandbox, 'asked'))
    await remove('asked')
  })

  test('agent that does not answer: as one that is away, until it goes on', async () => {
    const pid = await agentReady(sandbox, NODE)
    process.kill(pid, 'SIGSTOP')
    try {
      await createClient(sandbox, world, 'patient', LABEL)
      await createClient(sandbox, world, 'bystander', {})
      const why = await eventually('it says why', () => waitingOf(sandbox, 'patient'), 20_000)
      assert.match(why, REFUSED)
      assertPlain(await firstPeers(sandbox, 'bystander'))
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    assertRedirected(await firstPeers(sandbox, 'patient'))
    await remove('patient', 'bystander')
  })

  test('agent away: a pod ends all the same, and the next agent cleans up after it', async () => {
    await agentReady(sandbox, NODE)
    const before = await managed()
    await createClient(sandbox, world, 'ends', LABEL)
    assertRedirected(await firstPeers(sandbox, 'ends'))
    assert.equal(await managed(), before + 1)
    await using absence = await keepAway(sandbox, NODE)
    const startedMs = Date.now()
    await remove('ends')
    assert.ok(Date.now() - startedMs < 10_000, `it took ${Date.now() - startedMs} ms`)
    await absence.end()
    await eventually('the kernel forgets it', async () => ((await managed()) === before ? true : undefined))
  })

  test('agent away, policy ignore: the pod starts outside, and is captured later', async () => {
    await using absence = await keepAway(sandbox, NODE)
    const text = readFileSync(conflist, 'utf8')
    assert.match(text, /"failurePolicy": ?"fail"/)
    writeFileSync(conflist, text.replace(/("failurePolicy": ?)"fail"/, '$1"ignore"'))
    await createClient(sandbox, world, 'ignored', LABEL)
    assertPlain(await firstPeers(sandbox, 'ignored'))
    await absence.end()
    const sums = await eventually('it is captured', async () => {
      const found = await connectOften(sandbox, 'ignored', world.ipv4, {count: 1})
      return Object.keys(found.peers).some((peer) => peer.endsWith(' 8080')) ? found : undefined
    })
    assert.equal(sums.errors, 0)
    await eventually('the agent has its own settings back', async () =>
      /"failurePolicy": ?"fail"/.test(readFileSync(conflist, 'utf8')) ? true : undefined,
    )
    await remove('ignored')
  })

  test('a CNI that rewrites its conflist loses the entry for a moment only', async () => {
    const fresh =
      '{"cniVersion":"1.0.0","name":"sandbox","plugins":[{"type":"sandbox-network"}], "kept": 1.0}\n'
    writeFileSync(`${conflist}.tmp`, fresh)
    renameSync(`${conflist}.tmp`, conflist)
    await eventually('the entry is back', async () => (types().includes('kmesh-cni') ? true : undefined))
    assert.deepEqual(types(), ['sandbox-network', 'kmesh-cni'])
    assert.match(readFileSync(conflist, 'utf8'), /"kept": 1\.0/)
    await createClient(sandbox, world, 'rewritten', LABEL)
    assertRedirected(await firstPeers(sandbox, 'rewritten'))
    await remove('rewritten')
  })

  test('down leaves nothing', async () => {
    const result = await sandbox.down()
    assert.equal(result.code, 0, result.stderr)
    assert.deepEqual(
      readdirSync('/run').includes('kmeshctl')
        ? readdirSync('/run/kmeshctl').filter((name) => name === sandbox.name)
        : [],
      [],
    )
    const names = (await run('ip', ['netns', 'list'])).stdout
    assert.doesNotMatch(names, new RegExp(`kmx-${sandbox.name}\\.`))
    const processes = (await run('ps', ['-eo', 'args'])).stdout
    assert.doesNotMatch(processes, new RegExp(`kmeshctl-${sandbox.name}|CNI_`))
  })
})
