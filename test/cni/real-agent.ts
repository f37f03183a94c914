// SPDX-License-Identifier: Apache-2.0
/** A real kmesh-daemon on the kernel with its CNI socket, pods' namespaces, and a small API. Taken away by `close`. */
import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {request} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {KernelFixture} from '../adapters/kernel-fixture.ts'
import {HttpApi} from '../agent/http-api.ts'
import {execPlugin, type PluginRun, PREV_RESULT, podArgs} from './exec-plugin.ts'

const root = join(import.meta.dirname, '../..')
const WAIT_MS = 30_000

export interface SocketReply {
  readonly status: number
  readonly body: Record<string, unknown>
}

export class RealAgent {
  readonly kernel = new KernelFixture()
  readonly folder = mkdtempSync(join(tmpdir(), 'kmt-cni-'))
  readonly runDir = join(this.folder, 'run')
  readonly kubeconfig = join(this.folder, 'kubeconfig')
  readonly logFile = join(this.folder, 'log', 'kmesh-cni.log')
  readonly api = new HttpApi()
  output = ''
  #child: ChildProcess | undefined

  async prepare(): Promise<void> {
    for (const name of ['etc', 'bin']) mkdirSync(join(this.folder, name))
    const list = {cniVersion: '1.0.0', name: 'k8s-pod-network', plugins: [{type: 'bridge'}]}
    writeFileSync(join(this.folder, 'etc', '10-net.conflist'), JSON.stringify(list))
    await this.api.start(this.kubeconfig)
  }

  /** Returns when pods can be enrolled, or at once. */
  async start(waitUntilReady = true): Promise<void> {
    const {kernel, folder} = this
    const own = {
      'bpf-fs-path': kernel.bpffs,
      'cgroup2-path': kernel.cgroup,
      'node-name': 'n1',
      kubeconfig: this.kubeconfig,
      'state-dir': join(folder, 'state'),
      'run-dir': this.runDir,
      'admin-address': '127.0.0.1:0',
      'status-address': 'off',
      'cni-etc-path': join(folder, 'etc'),
      'cni-bin-path': join(folder, 'bin'),
    }
    const flags = Object.entries(own).map(([name, value]) => `--${name}=${value}`)
    const child = spawn(join(root, 'bin/with-node'), ['src/lib/agent/main.ts', ...flags], {cwd: root})
    child.stdout.on('data', (chunk) => (this.output += chunk))
    child.stderr.on('data', (chunk) => (this.output += chunk))
    this.#child = child
    if (waitUntilReady)
      await this.until(
        'the agent is ready',
        async () => (await this.ask('GET', '/cni/status')).body['ready'] === true,
      )
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  /** As the agent installs it: a launcher, and copies of Node and the bundle. */
  get installed(): string {
    return join(this.folder, 'bin/kmesh-cni')
  }

  /** Neither reads nor answers. */
  pause(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }

  async close(): Promise<void> {
    this.pause('SIGCONT')
    await this.stop('SIGKILL')
    this.api.stop()
    this.kernel[Symbol.dispose]()
    rmSync(this.folder, {recursive: true})
  }

  async until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
    const endMs = performance.now() + WAIT_MS
    while (performance.now() < endMs) {
      if (await Promise.resolve(check()).catch(() => false)) return
      await sleep(50)
    }
    throw new Error(`not within ${WAIT_MS} ms: ${what}\n${this.output}`)
  }

  config(change: object = {}): string {
    const known = {
      cniVersion: '1.1.0',
      name: 'k8s-pod-network',
      type: 'kmesh-cni',
      socket: join(this.runDir, 'cni.sock'),
      cache: join(this.runDir, 'cni-cache.json'),
      logFile: this.logFile,
      kubeconfig: this.kubeconfig,
      failurePolicy: 'fail',
      // However busy the machine is.
      timeoutSeconds: 60,
      ...change,
    }
    // As runtimes do it: our fields, and what the plugin before answered.
    return `${JSON.stringify(known).slice(0, -1)},"prevResult":${PREV_RESULT}}`
  }

  /** What a runtime gives the plugin. @param pod - `namespace/name` */
  callOf(command: string, pod: string, netns: string, change: ExecChange = {}) {
    const [namespace = '', name = ''] = pod.split('/')
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: change.containerId ?? `c-${name}`,
      CNI_NETNS: netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/opt/cni/bin',
      CNI_ARGS: podArgs(namespace, name, change.uid ?? this.uidOf(pod)),
    }
    return {logFile: this.logFile, env, input: this.config(change.config), program: change.program}
  }

  exec(command: string, pod: string, netns: string, change: ExecChange = {}): Promise<PluginRun> {
    return execPlugin(this.callOf(command, pod, netns, change))
  }

  uidOf(pod: string): string {
    return this.api.get('pods', pod)?.metadata.uid ?? ''
  }

  /** Cookies in km_manage, as bpftool sees them, in decimal. */
  managed(): string[] {
    const pin = join(this.kernel.bpffs, 'bpf_kmesh_workload/map/km_manage')
    const dump = execFileSync('bpftool', ['-j', 'map', 'dump', 'pinned', pin]).toString()
    const entries = JSON.parse(dump) as {key: string[]}[]
    return entries.map(({key}) => Buffer.from(key.map(Number)).readBigUInt64LE(0).toString())
  }

  ask(method: string, path: string, body?: string): Promise<SocketReply> {
    return new Promise((resolve, reject) => {
      const socketPath = join(this.runDir, 'cni.sock')
      const sent = request({socketPath, method, path, agent: false}, (response) => {
        let text = ''
        response.on('data', (chunk) => (text += chunk))
        response.on('end', () => resolve({status: response.statusCode ?? 0, body: JSON.parse(text)}))
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }
}

export interface ExecChange {
  readonly containerId?: string
  readonly uid?: string
  readonly config?: object
  readonly program?: string | undefined
}
