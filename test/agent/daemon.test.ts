// SPDX-License-Identifier: Apache-2.0
// Goal: the real kmesh-daemon on the real kernel: a crash or a stop changes nothing for pods, the next one adopts,
// uninstall takes all out.
// Method: spawned processes, a BPF file system, a cgroup and a pod namespace of their own, a small API over HTTP.
import assert from 'node:assert/strict'
import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {KernelFixture, skipReason} from '../adapters/kernel-fixture.ts'
import {ask} from './agent-fixture.ts'
import {namespace, pod, service, slice} from './fakes.ts'
import {HttpApi} from './http-api.ts'

const root = join(import.meta.dirname, '../..')
const skip = skipReason()
const UID = `${process.pid.toString(16).padStart(8, '0')}-2222-3333-4444-555555555555`

let fixture: KernelFixture
let folder: string
let api: HttpApi
let podProcess: ChildProcess
let inside: string
let port: number
const children: ChildProcess[] = []

before(async () => {
  if (skip !== false) return
  fixture = new KernelFixture()
  folder = mkdtempSync(join(tmpdir(), 'kmt-agent-'))
  port = 20_000 + (process.pid % 20_000)
  api = new HttpApi()
  await api.start(join(folder, 'kubeconfig'))
  api.put('namespaces', namespace('shop', 'kmesh'))
  api.put('services', service('shop/web', ['10.96.0.1'], [{port: 80, targetPort: 8080}]))
  // Beside a sidecar, which is short-circuited first.
  const annotations = {'sidecar.istio.io/status': '{}'}
  api.put('pods', pod('shop/web-1', ['10.244.0.7'], {uid: UID, annotations}))
  api.put('endpointslices', slice('shop/web-a', 'web', ['web-1=10.244.0.7']))
  inside = fixture.addNamespace('pod')
  podProcess = spawn('nsenter', [`--net=${inside}`, 'sleep', '600'])
  writeFileSync(join(fixture.addCgroup(`pod${UID}`), 'cgroup.procs'), String(podProcess.pid))
})

after(async () => {
  if (skip !== false) return
  for (const child of [...children, podProcess]) await end(child, 'SIGKILL')
  api.stop()
  fixture[Symbol.dispose]()
  rmSync(folder, {recursive: true})
})

function daemon(...more: string[]): ChildProcess {
  const flags = ['--bpf-fs-path', fixture.bpffs, '--cgroup2-path', fixture.cgroup, '--node-name', 'n1']
  const own = [
    '--kubeconfig',
    join(folder, 'kubeconfig'),
    '--state-dir',
    join(folder, 'state'),
    '--cni=off',
    '--status-address=off',
  ]
  const args = ['src/lib/agent/main.ts', ...flags, ...own, '--admin-address', `127.0.0.1:${port}`, ...more]
  const child = spawn(join(root, 'bin/with-node'), args, {cwd: root, stdio: ['ignore', 'pipe', 'pipe']})
  children.push(child)
  return child
}

/** Resolves with the exit status and everything that was printed. */
async function finished(child: ChildProcess): Promise<{status: number | null; text: string}> {
  let text = ''
  child.stdout?.on('data', (chunk) => {
    text += chunk
  })
  child.stderr?.on('data', (chunk) => {
    text += chunk
  })
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return {status, text}
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.kill(signal)
  return ended
}

async function until(what: string, check: () => Promise<boolean> | boolean): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (await Promise.resolve(check()).catch(() => false)) return
    await sleep(100)
  }
  assert.fail(`not within 30 s: ${what}`)
}

async function isCaptured(): Promise<boolean> {
  const [entry] = JSON.parse((await ask(port, 'GET', '/debug/enrollment')).body)
  return entry?.captured === true && (await ask(port, 'GET', '/debug/ready')).status === 200
}

/** Rules of ours in the pod's namespace, IPv4, iptables-nft. */
function rulesInside(): string[] {
  const saved = execFileSync('nsenter', [`--net=${inside}`, 'iptables-nft-save', '-t', 'nat'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  }).toString()
  return saved.split('\n').filter((line) => line.includes('-j RETURN'))
}

function mapPin(name: string): string {
  return join(fixture.bpffs, 'bpf_kmesh_workload/map', name)
}

/** Id and entries, as bpftool sees them. */
function mapState(name: string): unknown {
  const tool = (...args: string[]) =>
    JSON.parse(execFileSync('bpftool', ['-j', 'map', ...args, 'pinned', mapPin(name)]).toString())
  return [tool('show').id, tool('dump')]
}

const MAP_NAMES = ['km_frontend', 'km_service', 'km_endpoint', 'km_backend', 'km_manage']

test('load, capture, crash, adopt, stop, uninstall', {skip, timeout: 120_000}, async (t) => {
  const first = daemon()
  await until('the pod is captured', isCaptured)
  await until(
    'it is annotated',
    () => api.get('pods', 'shop/web-1')?.metadata.annotations?.['kmesh.net/redirection'] === 'enabled',
  )
  const ofBypass = () => api.get('pods', 'shop/web-1')?.metadata.annotations?.['kmesh.net/sidecar-bypass']
  await until('it shows the short-circuit', () => ofBypass() === 'enabled')
  assert.equal(rulesInside().length, 2)
  const lease = JSON.stringify({name: 'bpf', level: 'debug', ttlSeconds: 600})
  assert.equal((await ask(port, 'POST', '/debug/loggers', lease)).body, 'set BPF Log Level: 3\n')
  const before = MAP_NAMES.map(mapState)
  assert.equal((before[4] as [number, object[]])[1].length, 1)

  await t.test('a second one on the same file system is refused', async () => {
    const {status, text} = await finished(daemon('--admin-address', '127.0.0.1:0'))
    assert.equal(status, 7, text)
    assert.match(text, /another kmesh-daemon uses/)
  })

  await t.test('kill -9: everything stays in the kernel', async () => {
    await end(first, 'SIGKILL')
    assert.deepEqual(MAP_NAMES.map(mapState), before)
    assert.equal(rulesInside().length, 2)
  })

  const second = daemon()
  const printed = finished(second)
  await t.test('the next one adopts maps, pod and lease', async () => {
    await until('the pod is captured', isCaptured)
    assert.deepEqual(MAP_NAMES.map(mapState), before)
    const level = JSON.parse((await ask(port, 'GET', '/debug/loggers?name=bpf')).body)
    assert.equal(level.level, 'debug')
    assert.notEqual(level.expiresAt, null)
  })

  await t.test('SIGTERM: status 0, pins stay', async () => {
    second.kill('SIGTERM')
    const {status, text} = await printed
    assert.equal(status, 0)
    assert.match(text, /0 maps made, 9 adopted; 0 programs attached, 2 replaced in place/)
    assert.doesNotMatch(text, /enrolled pod shop/)
    assert.deepEqual(MAP_NAMES.map(mapState), before)
    assert.match(
      readFileSync(join(folder, 'state/hash_name.yaml'), 'utf8'),
      /^Kubernetes\/\/Pod\/shop\/web-1: \d+$/m,
    )
  })

  await t.test('uninstall takes all out, and again does nothing', async () => {
    const {status, text} = await finished(daemon('uninstall'))
    assert.equal(status, 0, text)
    assert.equal(readdirSync(fixture.bpffs).includes('bpf_kmesh_workload'), false)
    assert.equal(api.get('pods', 'shop/web-1')?.metadata.annotations?.['kmesh.net/redirection'], undefined)
    assert.deepEqual([rulesInside(), ofBypass()], [[], undefined])
    assert.deepEqual(readdirSync(join(folder, 'state')), [])
    assert.equal((await finished(daemon('uninstall'))).status, 0)
  })
})

test('pins of another data plane: refused by run and uninstall', {skip, timeout: 60_000}, async () => {
  execFileSync('rm', ['-rf', join(fixture.bpffs, 'bpf_kmesh_workload')])
  execFileSync('mkdir', ['-p', join(fixture.bpffs, 'bpf_kmesh_workload/map')])
  const size = ['type', 'array', 'key', '4', 'value', '4', 'entries', '1', 'name', 'km_frontend']
  execFileSync('bpftool', ['map', 'create', mapPin('km_frontend'), ...size])
  for (const more of [[], ['uninstall']]) {
    const {status, text} = await finished(daemon(...more))
    assert.equal(status, 1, text)
    assert.match(text, /holds 1 pins of another data plane/)
  }
  execFileSync('rm', [mapPin('km_frontend')])
})

test('wrong options: status 2 and nothing on stdout', async () => {
  const cases: [string[], RegExp][] = [
    [['--nope'], /Unknown option '--nope'/],
    [['frobnicate'], /unexpected argument 'frobnicate'/],
    [['--admin-address', '0.0.0.0:15200'], /'0.0.0.0' is not local/],
    [['--node-name', 'n1', '--map-size', 'km_nope=5'], /there is no map 'km_nope'/],
    [['--node-name', 'n1', '--mode', 'kernel-native'], /not one of dual-engine/],
    [[], /--node-name: is required/],
  ]
  for (const [args, message] of cases) {
    const child = spawn(join(root, 'bin/with-node'), ['src/lib/agent/main.ts', ...args], {
      cwd: root,
      env: {PATH: process.env['PATH']},
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => (stdout += chunk))
    child.stderr.on('data', (chunk) => (stderr += chunk))
    const status = await new Promise((resolve) => child.once('close', resolve))
    assert.deepEqual([status, stdout], [2, ''])
    assert.match(stderr, message)
  }
})
