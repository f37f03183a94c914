// SPDX-License-Identifier: Apache-2.0
// Goal: a real container runtime starts pods through the installed kmesh-cni: the very first connection of an enrolled
// pod goes through Kmesh, over both families; and the conflist comes back as it was, byte by byte.
// Method: containerd's CRI with bridge, host-local and portmap in network, mounts and cgroup of its own; the agent on the
// kernel backend; the repository's API as the cluster. The service's address leads to two servers that say their name.
import assert from 'node:assert/strict'
import type {ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {CriError} from '../containerd/cri.ts'
import {createMachine, type Machine, put} from '../containerd/machine.ts'
import {type Runtime, type RuntimePod, startRuntime} from '../containerd/runtime.ts'
import {createWorld, NODE, SERVICE, type World} from '../containerd/world.ts'
import {eventually, SANDBOX_ONLY} from './harness.ts'

const root = join(import.meta.dirname, '../..')
const BUSYBOX = '/bin/busybox'
const PLUGINS = '/usr/lib/cni'
const LABEL = {'istio.io/dataplane-mode': 'kmesh'}
/** Its first and second act: a request to the service over each family. */
const FIRST_ACT = `for host in ${SERVICE.IPv4} '[${SERVICE.IPv6}]'; do wget -q -O - "http://$host/"; echo; done`

/** Why not, or false. With KMESH_REQUIRE_KERNEL=1 never a reason to skip. */
function skipReason(): false | string {
  if (SANDBOX_ONLY || process.env['KMESH_REQUIRE_KERNEL'] === '1') return SANDBOX_ONLY
  if (process.geteuid?.() !== 0) return 'needs root'
  const needed = ['/usr/bin/containerd', '/usr/bin/ctr', '/usr/sbin/runc', BUSYBOX, join(PLUGINS, 'bridge')]
  const missing = needed.filter((file) => !existsSync(file))
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`
  return isStatic(BUSYBOX) ? false : `${BUSYBOX} is not static (package busybox-static)`
}

/** A program with an interpreter names the dynamic linker. */
function isStatic(file: string): boolean {
  return !readFileSync(file).includes('/ld-')
}

/** Spacing, a number and an escape that JSON.stringify would not write, and fields that nobody knows. */
function conflistText(machine: Machine): string {
  return `{
    "name":   "k8s-pod-network",
  "cniVersion": "1.0.0",
    "unknown": {"number": 1.50, "text": "caf\\u00e9", "big": 12345678901234567890, "exponent": 1.4e3},
    "plugins": [
      { "type": "bridge", "bridge": "kmtbr0", "isGateway": true, "hairpinMode": true,
        "ipam": { "type": "host-local", "dataDir": ${JSON.stringify(join(machine.directory, 'addresses'))},
          "ranges": [[{"subnet": "10.88.7.0/24"}], [{"subnet": "fd00:88:7::/64"}]],
          "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}] } },
      {"type":"portmap","snat":true,"capabilities":{"portMappings":true}}
    ]
}
`
}

suite('kmesh-cni under containerd', {skip: skipReason()}, () => {
  let machine: Machine
  let world: World
  let runtime: Runtime
  let daemon: ChildProcess
  let original: string
  let conflist: string
  let configDir: string
  let programDir: string
  let programs: string[]

  before(async () => {
    machine = await createMachine('ctd')
    configDir = join(machine.directory, 'net.d')
    programDir = join(machine.directory, 'bin')
    for (const folder of [configDir, programDir, join(machine.directory, 'bpf')]) mkdirSync(folder)
    await machine.run('mount', '-t', 'bpf', 'bpffs', join(machine.directory, 'bpf'))
    for (const name of ['bridge', 'host-local', 'portmap', 'loopback']) {
      symlinkSync(join(PLUGINS, name), join(programDir, name))
    }
    programs = readdirSync(programDir).sort()
    original = conflistText(machine)
    conflist = put(machine, 'net.d/10-calico.conflist', original)
    world = await createWorld(machine)
    runtime = await startRuntime(machine, {configDir, programDir, busybox: BUSYBOX})
    daemon = await startDaemon()
  })
  after(async () => {
    runtime?.cri.close()
    await world?.close()
    await machine?.down()
  })

  const at = (name: string): string => join(machine.directory, name)
  function options(): string[] {
    return [
      `--node-name=${NODE}`,
      `--kubeconfig=${world.kubeconfig}`,
      `--bpf-fs-path=${at('bpf')}`,
      `--cgroup2-path=${machine.cgroup}`,
      `--state-dir=${at('state-dir')}`,
      `--run-dir=${at('run')}`,
      `--cni-etc-path=${configDir}`,
      `--cni-bin-path=${programDir}`,
    ]
  }

  /** Resolves when it is ready and containerd has its plugin. */
  async function startDaemon(): Promise<ChildProcess> {
    const child = machine.start('daemon.log', join(root, 'bin/kmesh-daemon'), ...options())
    const ready = `const {ok} = await fetch('http://127.0.0.1:15200/debug/ready'); process.exit(ok ? 0 : 1)`
    try {
      await eventually('the agent is ready', async () => {
        await machine.run(process.execPath, '--input-type=module', '-e', ready)
        return true
      })
      await eventually('containerd has the plugin', async () =>
        (await runtime.plugins()).includes('kmesh-cni') ? true : undefined,
      )
    } catch (error) {
      throw new Error(`${error}\n${readFileSync(at('daemon.log'), 'utf8')}`)
    }
    return child
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ended = once(daemon, 'exit')
    daemon.kill(signal)
    await ended
  }

  /** What the first connections of a pod found, one line a family. */
  async function firstAct(pod: RuntimePod): Promise<string> {
    const sandbox = await runtime.runPod(pod)
    try {
      return await runtime.runScript(pod, sandbox, FIRST_ACT)
    } finally {
      await runtime.removePod(sandbox)
    }
  }

  test('the entry comes last, after bridge and portmap', async () => {
    assert.deepEqual(await runtime.plugins(), ['bridge', 'portmap', 'kmesh-cni'])
  })

  test('the very first connection of an enrolled pod goes through Kmesh, over both families', async () => {
    assert.equal(await firstAct(await world.createPod('enrolled', LABEL)), 'kmesh\nkmesh')
  })

  test('a pod that is not enrolled follows the rules of its node', async () => {
    assert.equal(await firstAct(await world.createPod('plain', {})), 'rules\nrules')
  })

  test('without the agent an enrolled pod is refused with a reason; others start', async () => {
    await end('SIGKILL')
    const enrolled = await world.createPod('waiting', LABEL)
    await assert.rejects(runtime.runPod(enrolled), (error) => {
      assert.ok(error instanceof CriError)
      assert.match(error.message, /plugin type="kmesh-cni" failed \(add\): .*agent/)
      return true
    })
    assert.equal(await firstAct(await world.createPod('plain-2', {})), 'rules\nrules')
    daemon = await startDaemon()
    assert.equal(await firstAct(enrolled), 'kmesh\nkmesh', 'the kubelet tries again')
  })

  test('an agent that stops leaves the conflist byte by byte as it was; uninstall leaves no file', async () => {
    assert.notEqual(readFileSync(conflist, 'utf8'), original)
    await end('SIGTERM')
    assert.equal(readFileSync(conflist, 'utf8'), original)
    await machine.run(join(root, 'bin/kmesh-daemon'), 'uninstall', ...options())
    assert.equal(readFileSync(conflist, 'utf8'), original)
    assert.deepEqual(readdirSync(configDir), ['10-calico.conflist'])
    assert.deepEqual(readdirSync(programDir).sort(), programs)
    assert.equal(await firstAct(await world.createPod('after', LABEL)), 'rules\nrules')
  })
})
