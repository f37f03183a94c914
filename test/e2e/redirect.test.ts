// SPDX-License-Identifier: Apache-2.0
// Goal: enrolling changes where real connections go, releasing changes it back, and what we dump is what the kernel has.
// Method: a sandbox with two nodes and both families; getpeername() of a client's sockets; bpftool as the second opinion.
import assert from 'node:assert/strict'
import {after, before, suite, test} from 'node:test'
import {
  addressesOf,
  type Connections,
  connectOften,
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

const COUNT = 30

suite('redirection', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: World
  before(async () => {
    sandbox = await sandboxUp('e2e-redirect', '--ip-family', 'dual')
    world = await look(sandbox)
  })
  after(async () => {
    await sandbox?.down()
  })

  async function connect(address: string): Promise<Connections> {
    const sums = await connectOften(sandbox, nameOf(world.client), address, {count: COUNT})
    assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
    assert.equal(sums.connections, COUNT)
    return sums
  }

  function assertPlain(sums: Connections, address: string): void {
    assert.deepEqual(Object.keys(sums.peers), [`${address} 80`])
    assert.equal(Object.keys(sums.pods).length, 3, 'kernel rules spread over the endpoints too')
  }

  function assertRedirected(sums: Connections): void {
    const expected = addressesOf(world.servers).map((address) => `${address} 8080`)
    const peers = Object.keys(sums.peers)
    assert.equal(peers.length, 3, `spread over all endpoints: ${peers}`)
    for (const peer of peers) assert.ok(expected.includes(peer), `${peer} is no endpoint`)
    assert.equal(Object.keys(sums.pods).length, 3)
  }

  async function assertBoth(check: (sums: Connections, address: string) => void): Promise<void> {
    for (const address of [world.ipv4, world.ipv6]) check(await connect(address), address)
  }

  test('before enrolling, the peer is the service address', () => assertBoth(assertPlain))

  test('an enrolled namespace is redirected, over both families', async () => {
    const result = await sandbox.json('enroll', 'namespace', 'shop', '--yes')
    assert.deepEqual(result.errors, [])
    await assertBoth(assertRedirected)
  })

  test('programs sit on cgroups of the sandbox only', async () => {
    const tree = await run('bpftool', ['-j', 'cgroup', 'tree'])
    const nodes = JSON.parse(tree.stdout) as {cgroup: string; programs: {name: string}[]}[]
    const ours = nodes.filter(({programs}) => programs.some(({name}) => name.startsWith('cgroup_connect')))
    assert.ok(ours.length >= 2, 'one subtree a node')
    for (const {cgroup} of ours) assert.match(cgroup, /\/kmeshctl\/[\w-]+\/[\w-]+/)
    assert.ok(ours.some(({cgroup}) => cgroup.includes(`/kmeshctl/${sandbox.name}/`)))
  })

  test('bpftool reads the same entries as dump maps', async () => {
    const status = await sandbox.json('status')
    for (const {node} of status.items as {node: string}[]) {
      for (const map of [
        'km_frontend',
        'km_service',
        'km_endpoint',
        'km_backend',
        'km_manage',
        'km_globals',
        'kmesh_version',
      ]) {
        const pinned = await run('bpftool', ['-j', 'map', 'dump', 'pinned', pinOf(sandbox, node, map)])
        const kernel = entriesOf(JSON.parse(pinned.stdout))
        const document = await sandbox.json('dump', 'maps', map, '--node', node, '--raw')
        const dumped = (document.items as Json[]).map(({keyHex, valueHex}) => `${keyHex} ${valueHex}`)
        assert.deepEqual(dumped.toSorted(), kernel, `${map} of ${node}`)
        if (map !== 'km_manage') assert.ok(kernel.length > 0, `${map} of ${node} is empty`)
      }
    }
  })

  test('a released namespace is not redirected', async () => {
    await sandbox.json('unenroll', 'namespace', 'shop', '--yes')
    await assertBoth(assertPlain)
  })

  test('a single enrolled pod is redirected, and released again', async () => {
    await sandbox.json('enroll', 'pod', nameOf(world.client), '-n', 'shop')
    await assertBoth(assertRedirected)
    const interop = await sandbox.json('interop', 'status', '-n', 'shop')
    const captured = (interop.items as Json[])
      .filter((item) => item.capture === 'kmesh')
      .map((item) => item.name)
    assert.deepEqual(captured, [nameOf(world.client)])
    await sandbox.json('unenroll', 'pod', nameOf(world.client), '-n', 'shop')
    await assertBoth(assertPlain)
  })
})

/** `keyhex valuehex` of each entry, sorted. */
function entriesOf(dump: readonly {key: readonly string[]; value: readonly string[]}[]): string[] {
  const text = (bytes: readonly string[]) => bytes.map((byte) => byte.replace('0x', '')).join('')
  return dump.map(({key, value}) => `${text(key)} ${text(value)}`).toSorted()
}
