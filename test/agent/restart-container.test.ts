// SPDX-License-Identifier: Apache-2.0
// Goal: an agent whose container is made anew (other mount and pid namespace, other paths of everything) adopts what
// the one before left: same maps, same links, same entries.
// Method: the real daemon under unshare(1), with bind mounts; kernel ids and entries as bpftool sees them.
import assert from 'node:assert/strict'
import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {once} from 'node:events'
import {copyFileSync, mkdirSync, mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {KernelFixture, OBJECT_FILE, skipReason} from '../adapters/kernel-fixture.ts'
import {ask} from './agent-fixture.ts'
import {namespace, pod, service, slice} from './fakes.ts'
import {HttpApi} from './http-api.ts'

const root = join(import.meta.dirname, '../..')
const PORT = 22_000 + (process.pid % 10_000)

/** Where that container has the things of the node. */
interface Places {
  readonly bpffs: string
  readonly cgroup: string
  readonly state: string
  readonly object: string
}

function daemon(places: Places, kubeconfig: string): string[] {
  const options = {
    'bpf-fs-path': places.bpffs,
    'cgroup2-path': places.cgroup,
    'state-dir': places.state,
    'bpf-object': places.object,
    'node-name': 'n1',
    kubeconfig,
    'admin-address': `127.0.0.1:${PORT}`,
    'status-address': 'off',
    cni: 'off',
  }
  const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
  return [join(root, 'bin/with-node'), join(root, 'src/lib/agent/main.ts'), ...flags]
}

/** The directories of the node mounted somewhere else, in namespaces of its own. */
function inContainer(node: Places, folder: string, kubeconfig: string): ChildProcess {
  const inside = {
    bpffs: join(folder, 'b'),
    cgroup: join(folder, 'c'),
    state: join(folder, 's'),
    object: join(folder, 'o', 'programs.o'),
  }
  for (const path of [inside.bpffs, inside.cgroup, inside.state, join(folder, 'o')])
    mkdirSync(path, {recursive: true})
  copyFileSync(node.object, inside.object)
  const script = 'mount --bind "$1" "$2"; mount --bind "$3" "$4"; mount --bind "$5" "$6"; shift 6; exec "$@"'
  const mounts = [node.bpffs, inside.bpffs, node.cgroup, inside.cgroup, node.state, inside.state]
  const args = [
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    '--propagation',
    'private',
    'sh',
    '-ec',
    script,
    'sh',
  ]
  return spawn('unshare', [...args, ...mounts, ...daemon(inside, kubeconfig)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function ready(child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const status = await ask(PORT, 'GET', '/debug/ready').then(
      (reply) => reply.status,
      () => 0,
    )
    if (status === 200) return
    assert.equal(child.exitCode, null, 'it runs')
    await sleep(100)
  }
  assert.fail('not ready within 30 s')
}

test('a container made anew adopts', {skip: skipReason(), timeout: 120_000}, async () => {
  using fixture = new KernelFixture()
  const folder = mkdtempSync(join(tmpdir(), `${fixture.name}-box-`))
  const node = {
    bpffs: fixture.bpffs,
    cgroup: fixture.cgroup,
    state: join(folder, 'state'),
    object: OBJECT_FILE,
  }
  const pins = join(node.bpffs, 'bpf_kmesh_workload')
  const bpftool = (...args: string[]) =>
    JSON.parse(execFileSync('bpftool', ['-j', ...args], {encoding: 'utf8'}))
  const look = () => ({
    links: ['sockconn_prog', 'sockconn6_prog'].map(
      (name) => bpftool('link', 'show', 'pinned', join(pins, 'sockconn', name)).id,
    ),
    maps: ['km_frontend', 'km_service', 'km_endpoint', 'km_backend', 'km_manage', 'km_globals'].map(
      (name) => {
        const pin = ['pinned', join(pins, 'map', name)]
        return [bpftool('map', 'show', ...pin).id, bpftool('map', 'dump', ...pin)]
      },
    ),
  })
  mkdirSync(node.state)
  const api = new HttpApi()
  const kubeconfig = join(folder, 'kubeconfig')
  await api.start(kubeconfig)
  api.put('namespaces', namespace('shop', 'kmesh'))
  api.put('services', service('shop/web', ['10.96.0.1'], [{port: 80, targetPort: 8080}]))
  api.put('pods', pod('shop/web-1', ['10.244.0.7'], {spec: {nodeName: 'n2'}}))
  api.put('endpointslices', slice('shop/web-a', 'web', ['web-1=10.244.0.7']))
  const [program = '', ...args] = daemon(node, kubeconfig)
  const children: ChildProcess[] = []
  try {
    const first = spawn(program, args, {stdio: ['ignore', 'ignore', 'inherit']})
    children.push(first)
    await ready(first)
    const before = look()
    assert.ok(before.maps.slice(0, 4).every(([, entries]) => entries.length > 0))
    const gone = once(first, 'exit')
    first.kill('SIGKILL')
    await gone
    for (const name of ['one', 'two']) {
      const next = inContainer(node, join(folder, name), kubeconfig)
      children.push(next)
      let log = ''
      next.stdout?.on('data', (chunk) => (log += chunk))
      await ready(next)
      assert.match(log, /0 maps made, 9 adopted; 0 programs attached, 2 replaced in place/)
      assert.deepEqual(look(), before)
      const ended = once(next, 'exit')
      // Its pid namespace goes with it: nothing is told, nothing is tidied up.
      next.kill('SIGKILL')
      await ended
    }
    assert.deepEqual(look(), before)
  } finally {
    for (const child of children) child.kill('SIGKILL')
    api.stop()
    await sleep(200)
    rmSync(folder, {recursive: true, force: true})
  }
})
