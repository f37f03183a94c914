// SPDX-License-Identifier: Apache-2.0
// Goal: every way into the mesh and out of it holds with real pods and traffic: labels while running, pods that come
// back under their name, that complete, that go with their namespace, and labels that flap.
// Method: a sandbox with both families; getpeername() of a client's sockets; entries of km_manage as bpftool has them.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import {
  addressesOf,
  connectOften,
  daemonsOf,
  eventually,
  look,
  nameOf,
  type PODS,
  pinOf,
  run,
  SANDBOX_ONLY,
  type Sandbox,
  sandboxUp,
  type World,
} from './harness.ts'

const LABEL = 'istio.io/dataplane-mode'
const COUNT = 12
const LIMIT_MS = 20_000

suite('enrollment', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: World
  before(async () => {
    sandbox = await sandboxUp('e2e-enrollment', '--ip-family', 'dual')
    world = await look(sandbox)
  })
  after(async () => {
    await sandbox?.down()
  })

  async function setLabel(path: object, value: string | null): Promise<void> {
    await sandbox.kube.mergePatch(path as typeof PODS, {metadata: {labels: {[LABEL]: value}}})
  }

  const namespacePath = (name: string) => ({...RESOURCES.namespaces, name})
  const podPath = (name: string, namespace = 'shop') => ({...RESOURCES.pods, namespace, name})

  /** Entries of km_manage on all nodes. */
  async function entries(): Promise<number> {
    let count = 0
    for (const {node} of await daemonsOf(sandbox)) {
      const dump = await run('bpftool', ['-j', 'map', 'dump', 'pinned', pinOf(sandbox, node, 'km_manage')])
      count += (JSON.parse(dump.stdout) as unknown[]).length
    }
    return count
  }

  async function settled(count: number): Promise<void> {
    let found = -1
    await eventually(
      `${count} entries in km_manage`,
      async () => {
        found = await entries()
        if (found !== count) throw new Error(`there are ${found}`)
        return true
      },
      LIMIT_MS,
    )
  }

  /** Every connection goes to an endpoint, or every one to the service's address; over both families. */
  async function assertGoes(pod: string, isRedirected: boolean): Promise<void> {
    const endpoints = addressesOf(world.servers).map((address) => `${address} 8080`)
    for (const address of [world.ipv4, world.ipv6]) {
      const sums = await connectOften(sandbox, pod, address, {count: COUNT})
      assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
      for (const peer of Object.keys(sums.peers))
        assert.equal(endpoints.includes(peer), isRedirected, `${pod} to ${address} got ${peer}`)
    }
  }

  /** A pod like the client's, on the client's node. */
  async function create(name: string, spec: object = {}, namespace = 'shop'): Promise<void> {
    const {containers = [], nodeName = ''} = world.client.spec ?? {}
    const [container] = containers
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {namespace, name},
      spec: {
        nodeName,
        terminationGracePeriodSeconds: 0,
        containers: [{name: 'main', image: container?.image ?? 'x', command: container?.command ?? []}],
        ...spec,
      },
    } as unknown as Pod
    await sandbox.kube.create<Pod>({...RESOURCES.pods, namespace}, pod)
  }

  async function untilPhase(name: string, phases: readonly string[]): Promise<void> {
    await eventually(
      `pod ${name} to be ${phases}`,
      async () => {
        const pod = await sandbox.kube.get<Pod>(podPath(name))
        return phases.includes(pod.status?.phase ?? '') ? true : undefined
      },
      LIMIT_MS,
    )
  }

  async function remove(name: string): Promise<void> {
    await sandbox.kube.delete(podPath(name))
    await eventually(
      `pod ${name} to be gone`,
      async () =>
        (await sandbox.kube.get(podPath(name)).catch(() => undefined)) === undefined ? true : undefined,
      LIMIT_MS,
    )
  }

  test('a label on a running pod acts at once, in any case, and so does its removal', async () => {
    const client = nameOf(world.client)
    await assertGoes(client, false)
    await setLabel(podPath(client), 'Kmesh')
    await settled(1)
    await assertGoes(client, true)
    await setLabel(podPath(client), null)
    await settled(0)
    await assertGoes(client, false)
  })

  test('the label of the namespace, and a pod that opts out of it', async () => {
    const client = nameOf(world.client)
    await setLabel(namespacePath('shop'), 'kmesh')
    await settled(4)
    await assertGoes(client, true)
    await setLabel(podPath(client), 'none')
    await settled(3)
    await assertGoes(client, false)
    await setLabel(podPath(client), null)
    await settled(4)
    await setLabel(namespacePath('shop'), null)
    await settled(0)
  })

  test('a pod that comes back under its name is another pod, and is enrolled as such', async () => {
    for (let round = 0; round < 3; round += 1) {
      await create('again')
      await setLabel(podPath('again'), 'kmesh')
      await untilPhase('again', ['Running'])
      await settled(1)
      await assertGoes('again', true)
      await remove('again')
      await settled(0)
    }
  })

  test('a pod that completes is released, though it is still there', async () => {
    await create('job', {
      restartPolicy: 'Never',
      containers: [{name: 'main', image: 'x', command: ['sh', '-c', 'sleep 3']}],
    })
    await setLabel(podPath('job'), 'kmesh')
    await settled(1)
    await untilPhase('job', ['Succeeded', 'Failed'])
    await settled(0)
    await remove('job')
  })

  test('a namespace that is deleted takes the entries of its pods along', async () => {
    const metadata = {name: 'brief', labels: {[LABEL]: 'kmesh'}}
    await sandbox.kube.create(RESOURCES.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata})
    for (const name of ['one', 'two']) await create(name, {}, 'brief')
    await settled(2)
    await sandbox.kube.delete(namespacePath('brief'))
    await settled(0)
  })

  test('a label that flaps: the last word holds, and it is written down only now and then', async () => {
    const logOf = async () => (await daemonsOf(sandbox)).map(({log}) => readFileSync(log, 'utf8')).join('')
    const changes = (text: string) => (text.match(/msg="(enrolled|released) pod shop/g) ?? []).length
    const before = changes(await logOf())
    const end = Date.now() + 3000
    let flips = 0
    for (; Date.now() < end; flips += 1) {
      await setLabel(namespacePath('shop'), flips % 2 === 0 ? 'kmesh' : null)
      await sleep(5)
    }
    await setLabel(namespacePath('shop'), 'kmesh')
    await settled(4)
    await assertGoes(nameOf(world.client), true)
    await setLabel(namespacePath('shop'), null)
    await settled(0)
    await assertGoes(nameOf(world.client), false)
    assert.ok(flips > 50, `${flips} flips`)
    // Four pods: ten times at once, then once a second.
    const made = changes(await logOf()) - before
    assert.ok(made <= 4 * 25, `${flips} flips made ${made} changes`)
  })
})
