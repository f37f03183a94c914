// SPDX-License-Identifier: Apache-2.0
// Goal: `install` brings Kmesh into a cluster that has none, changes it under traffic, and `uninstall` leaves nothing of it.
// Method: a sandbox without Kmesh; traffic, pins, conflists and objects before, between and after, also after cuts and failures.
import assert from 'node:assert/strict'
import {existsSync, readdirSync, readFileSync, renameSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import {
  connectOften,
  eventually,
  type Json,
  look,
  nameOf,
  pinOf,
  SANDBOX_ONLY,
  type Sandbox,
  sandboxUp,
  type World,
} from './harness.ts'

const NODES = ['node-1', 'node-2']

suite('install and uninstall', {skip: SANDBOX_ONLY}, () => {
  let sandbox: Sandbox
  let world: World
  let conflists: readonly string[]
  before(async () => {
    sandbox = await sandboxUp('e2e-install', '--no-daemon', '--ip-family', 'dual')
    world = await look(sandbox)
    conflists = NODES.map(conflistOf)
  })
  after(async () => {
    await sandbox?.down()
  })

  const folderOf = (node: string) => join(dirname(sandbox.kubeconfig), 'nodes', node)

  /** Names and bytes of the folder that CNI reads. */
  function conflistOf(node: string): string {
    const folder = join(folderOf(node), 'cni/net.d')
    return readdirSync(folder)
      .map((name) => `${name}\n${readFileSync(join(folder, name), 'utf8')}`)
      .join()
  }

  async function isRedirected(): Promise<boolean[]> {
    const found: boolean[] = []
    for (const address of [world.ipv4, world.ipv6]) {
      const sums = await connectOften(sandbox, nameOf(world.client), address, {count: 5})
      assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
      found.push(!Object.keys(sums.peers).includes(`${address} 80`))
    }
    return found
  }

  const statesOf = (document: Json): string[] =>
    document.items.map(({kind, name, state}: Json) => `${kind}/${name} ${state}`)

  test('into a cluster that has none: objects, then an agent on each node; pods are enrolled', {
    timeout: 120_000,
  }, async () => {
    assert.deepEqual(await isRedirected(), [false, false])
    const installed = await sandbox.json('install', '--yes')
    assert.deepEqual(statesOf(installed), [
      'Namespace/kmesh-system created',
      'ServiceAccount/kmesh created',
      'ClusterRole/kmesh-daemon created',
      'ClusterRoleBinding/kmesh-daemon created',
      'Role/kmeshctl-daemons created',
      'ClusterRole/kmeshctl-view created',
      'ClusterRole/kmeshctl-check created',
      'ClusterRole/kmeshctl-enroll created',
      'DaemonSet/kmesh created',
      'Node/node-1 ready',
      'Node/node-2 ready',
    ])
    for (const node of NODES) assert.match(conflistOf(node), /"kmesh-cni"/)
    await sandbox.json('enroll', 'namespace', 'shop', '--yes')
    assert.deepEqual(await isRedirected(), [true, true])
  })

  test('again: nothing is written; other settings: only they change, and traffic goes on', {
    timeout: 120_000,
  }, async () => {
    const again = await sandbox.json('install', '--yes')
    assert.ok(again.items.every(({state}: Json) => state === 'unchanged' || state === 'ready'))
    const traffic = connectOften(sandbox, nameOf(world.client), world.ipv4, {count: 500, everyMs: 10})
    const changed = await sandbox.json('install', '--yes', '--existing-pods', 'untouched')
    const [set] = changed.items.filter(({state}: Json) => state === 'changed')
    assert.equal(changed.items.filter(({state}: Json) => state === 'changed').length, 1)
    assert.equal(set.changes.length, 2, JSON.stringify(set.changes))
    assert.match(set.changes[1], /--existing-pods=live -> --existing-pods=untouched$/)
    const sums = await traffic
    assert.equal(sums.errors, 0, JSON.stringify(sums.messages))
    assert.ok(!Object.keys(sums.peers).includes(`${world.ipv4} 80`), 'every connection was redirected')
    const {items} = await sandbox.json('version')
    assert.equal(items.length, 3)
  })

  test('agents that cannot start: exit 5 names node and reason, the other node serves on', {
    timeout: 120_000,
  }, async () => {
    const failed = await sandbox.kmeshctl(
      'install',
      '--yes',
      '--set',
      'no-such=1',
      '--timeout',
      '6s',
      '-o',
      'json',
    )
    assert.equal(failed.code, 5, failed.stderr)
    const nodes = JSON.parse(failed.stdout).items.filter(({kind}: Json) => kind === 'Node')
    assert.deepEqual(nodes.map(({state}: Json) => state).sort(), ['failed', 'pending'])
    const {errors} = JSON.parse(failed.stdout)
    const failure = errors.find(({code}: Json) => code === 'AgentFailed')
    assert.match(failure.message, /^node node-[12]: the agent is not ready: CrashLoopBackOff: exit status 2/)
    assert.deepEqual(await isRedirected(), [true, true])
    assert.equal((await sandbox.kmeshctl('install', '--yes')).code, 0)
  })

  test('a node that cannot be cleaned: exit 4 names it and keeps the rest; a cut run too; the next one ends it', {
    timeout: 180_000,
  }, async () => {
    // Without this pin the others look like those of another data plane, which only that may remove.
    const [pin, hidden] = [pinOf(sandbox, 'node-2', 'km_globals'), pinOf(sandbox, 'node-2', 'hidden')]
    renameSync(pin, hidden)
    const partial = await sandbox.kmeshctl('uninstall', '--yes', '--timeout', '8s', '-o', 'json')
    renameSync(hidden, pin)
    assert.equal(partial.code, 4, partial.stdout + partial.stderr)
    const document = JSON.parse(partial.stdout)
    assert.deepEqual(statesOf(document).slice(0, 3), [
      'Node/node-1 cleaned',
      'Node/node-2 failed',
      'DaemonSet/kmesh skipped',
    ])
    assert.equal(document.errors[0].node, 'node-2')
    assert.equal(document.errors[0].code, 'CleanUpFailed')

    const cut = sandbox.spawn('uninstall', '--yes')
    const path = {...RESOURCES.daemonsets, namespace: 'kmesh-system', name: 'kmesh'}
    const isGone = async () =>
      sandbox.kube.get(path).then(
        () => undefined,
        () => true,
      )
    await eventually('the DaemonSet goes', isGone, 60_000)
    cut.kill('SIGKILL')

    const rest = await sandbox.kmeshctl('uninstall', '--yes', '-o', 'json')
    assert.equal(rest.code, 0, rest.stderr)
    assert.equal((await sandbox.kmeshctl('uninstall', '--yes')).code, 0)
  })

  test('nothing of it is left: objects, pins, state, CNI, annotations; pods run on, not redirected', async () => {
    const [namespaces, roles, bindings, pods] = await Promise.all([
      sandbox.kube.list(RESOURCES.namespaces),
      sandbox.kube.list(RESOURCES.clusterroles),
      sandbox.kube.list(RESOURCES.clusterrolebindings),
      sandbox.kube.list({...RESOURCES.pods, namespace: 'shop'}),
    ])
    const names = [namespaces, roles, bindings].flatMap(({items}) => items.map(nameOf))
    assert.deepEqual(
      names.filter((name) => name.includes('kmesh')),
      [],
    )
    assert.equal(pods.items.length, 4)
    assert.ok(pods.items.every(({metadata}) => metadata.annotations?.['kmesh.net/redirection'] === undefined))
    for (const node of NODES) {
      assert.ok(!existsSync(dirname(dirname(pinOf(sandbox, node, 'km_globals')))), `${node} has pins`)
      assert.deepEqual(readdirSync(join(folderOf(node), 'kmesh')), [])
      assert.deepEqual(readdirSync(join(folderOf(node), 'cni/bin')), [])
    }
    assert.deepEqual(NODES.map(conflistOf), conflists)
    assert.deepEqual(await isRedirected(), [false, false])
  })
})
