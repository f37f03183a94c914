// SPDX-License-Identifier: Apache-2.0
/**
 * A cluster for spawned commands: the sandbox's API server, nodes that only forward ports, and daemons
 * that follow the labels in the API as an agent would, some time later.
 */
import {spawn} from 'node:child_process'
import {createServer} from 'node:http'
import {type AddressInfo, connect} from 'node:net'
import {join} from 'node:path'
import {type WebSocket, WebSocketServer} from 'ws'
import type {SidecarPolicy} from '../../src/lib/model/api.ts'
import {decideEnrollment} from '../../src/lib/model/enrollment.ts'
import {type Namespace, type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import type {Kube} from '../../src/lib/ports.ts'
import {type FakeDaemon, startGoDaemon, startOwnDaemon} from '../fakes/daemons.ts'
import type {GoVersion} from '../fakes/go-daemon/dialects.ts'
import {startDaemon} from '../fakes/go-daemon/server.ts'
import {type ApiFixture, addNodes, startApi} from '../sandbox/api/api-fixture.ts'

const KMESHCTL = join(import.meta.dirname, '../../bin/kmeshctl')
const MODE = 'istio.io/dataplane-mode'

export interface NodeOptions {
  /** `none`: no daemon pod; `gone`: a daemon pod that nobody answers for. */
  readonly daemon: 'own' | 'go' | 'none' | 'gone' | GoVersion
  /** After so long the agent acts on a label. */
  readonly delayMs?: number
  /** Of an own daemon; default `exclude`. */
  readonly sidecarPolicy?: SidecarPolicy
}

export interface Mesh {
  readonly api: ApiFixture
  readonly kube: Kube
  addNamespace(name: string, mode?: string): Promise<void>
  addPod(namespace: string, name: string, node: string, more?: Partial<Pod['metadata']>): Promise<void>
  label(kind: 'pods' | 'namespaces', name: string, namespace?: string): Promise<string | undefined>
  kmeshctl(args: readonly string[], options?: RunOptions): Promise<Run>
  close(): Promise<void>
}

export async function startMesh(nodes: Readonly<Record<string, NodeOptions>>): Promise<Mesh> {
  const ports = new Map<string, number>()
  const kubelet = await startForwarder(ports)
  const dialNode = async () => connect(kubelet.port, '127.0.0.1')
  const api = await startApi({dialNode})
  const {kube} = api
  const daemons: Pick<FakeDaemon, 'close'>[] = []
  const mesh = {api, kube, ...objectsOf(kube)}
  await addNodes(kube, ...Object.keys(nodes))
  await mesh.addNamespace('kmesh-system')
  for (const [node, {daemon, delayMs = 150, sidecarPolicy = 'exclude'}] of Object.entries(nodes)) {
    if (daemon === 'none') continue
    await mesh.addPod('kmesh-system', `kmesh-${node}`, node, {labels: {app: 'kmesh'}})
    if (daemon === 'gone') continue
    const started = await startNodeDaemon(kube, node, daemon, {delayMs, sidecarPolicy})
    daemons.push(started)
    ports.set(`kmesh-${node}`, started.port)
  }
  return {
    ...mesh,
    kmeshctl: (args, options) => runKmeshctl([...args, '--kubeconfig', api.kubeconfigFile], options),
    close: async () => {
      for (const daemon of daemons) await daemon.close()
      await kubelet.close()
      await api.close()
    },
  }
}

function startNodeDaemon(
  kube: Kube,
  node: string,
  daemon: 'own' | 'go' | GoVersion,
  agent: AgentOptions,
): Promise<Pick<FakeDaemon, 'port' | 'close'>> {
  if (daemon === 'own') return startAgent(kube, node, agent)
  return daemon === 'go' ? startGoDaemon() : startDaemon({version: daemon, mode: 'dual-engine'})
}

function objectsOf(kube: Kube): Pick<Mesh, 'addNamespace' | 'addPod' | 'label'> {
  return {
    addNamespace: async (name, mode) => {
      const metadata = {name, ...(mode === undefined ? {} : {labels: {[MODE]: mode}})}
      await kube.create(RESOURCES.namespaces, {apiVersion: 'v1', kind: 'Namespace', metadata})
    },
    addPod: async (namespace, name, node, more = {}) => {
      const path = {...RESOURCES.pods, namespace}
      const spec = {nodeName: node, containers: [{name: 'c', image: 'sandbox/echo'}]}
      await kube.create<Pod>(path, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {name, namespace, ...more},
        spec,
      })
      const status = {phase: 'Running', conditions: [{type: 'Ready', status: 'True'}]}
      await kube.mergePatch({...path, name, subresource: 'status'}, {status})
    },
    label: async (kind, name, namespace) => {
      const object = await kube.get({...RESOURCES[kind], name, namespace})
      return object.metadata.labels?.[MODE]
    },
  }
}

interface AgentOptions {
  readonly delayMs: number
  readonly sidecarPolicy: SidecarPolicy
}

const VERSION = {
  gitVersion: '0.1.0',
  mode: 'dual-engine',
  capabilities: ['mapKeys', 'ttl', 'enrollment'],
  existingPods: 'live',
}

/** Captures and releases by the labels, `delayMs` after it has seen them first; writes the annotation then. */
async function startAgent(kube: Kube, node: string, agent: AgentOptions): Promise<FakeDaemon> {
  const {delayMs, sidecarPolicy} = agent
  const seen = new Map<string, {intent: boolean; sinceMs: number; captured: boolean}>()
  const look = async (): Promise<object[]> => {
    const [pods, namespaces] = await Promise.all([
      kube.list<Pod>(RESOURCES.pods, {fieldSelector: `spec.nodeName=${node}`}),
      kube.list<Namespace>(RESOURCES.namespaces),
    ])
    const labels = new Map(namespaces.items.map((item) => [item.metadata.name, item.metadata.labels]))
    return pods.items.map((pod) => {
      const {uid = '', name, namespace} = pod.metadata
      const {enroll: intent, rule} = decideEnrollment(pod, labels.get(namespace), sidecarPolicy)
      let state = seen.get(uid) ?? {intent: false, sinceMs: 0, captured: false}
      if (state.intent !== intent) state = {...state, intent, sinceMs: Date.now()}
      if (Date.now() - state.sinceMs >= delayMs) state.captured = state.intent
      seen.set(uid, state)
      const since = new Date(state.sinceMs).toISOString()
      const {captured} = state
      return {
        namespace,
        pod: name,
        uid,
        cookie: '1',
        classid: null,
        addresses: [],
        since,
        rule,
        intent,
        captured,
      }
    })
  }
  return startOwnDaemon({
    override: (request, response) => {
      if (request.url === '/version') {
        response.end(JSON.stringify({...VERSION, sidecarPolicy}))
        return true
      }
      if (request.url !== '/debug/enrollment') return false
      void look().then((entries) => response.end(JSON.stringify(entries)))
      return true
    },
  })
}

/** Answers port-forward for every node; pods without a port are refused as a kubelet does. */
async function startForwarder(ports: ReadonlyMap<string, number>) {
  const server = createServer()
  const webSockets = new WebSocketServer({noServer: true, handleProtocols: () => 'v4.channel.k8s.io'})
  server.on('upgrade', (request, socket, head) => {
    const pod = /^\/portForward\/[^/]+\/([^/?]+)/.exec(request.url ?? '')?.[1] ?? ''
    webSockets.handleUpgrade(request, socket, head, (webSocket) => forward(webSocket, ports.get(pod) ?? 1))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as AddressInfo
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      for (const client of webSockets.clients) client.terminate()
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return {port, close}
}

function forward(webSocket: WebSocket, port: number): void {
  for (const channel of [0, 1]) webSocket.send(Buffer.from([channel, 15_200 & 0xff, 15_200 >> 8]))
  const socket = connect(port, '127.0.0.1')
  socket.on('data', (chunk: Buffer) => webSocket.send(Buffer.concat([Buffer.of(0), chunk])))
  socket.on('error', (error) => webSocket.send(Buffer.concat([Buffer.of(1), Buffer.from(error.message)])))
  socket.on('close', () => webSocket.close(1000))
  webSocket.on('message', (frame: Buffer) => socket.write(frame.subarray(1)))
  webSocket.on('close', () => socket.destroy())
}

export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** On a terminal of its own (stdout and stderr are then one); typed once the text appears. */
  readonly terminal?: {readonly waitFor: string; readonly type: string; readonly stdoutFile?: string}
  /** Sent once stderr holds the text. */
  readonly signalAfter?: {readonly text: string; readonly signal: NodeJS.Signals; readonly onSent: () => void}
  readonly env?: Readonly<Record<string, string>>
}

export function runKmeshctl(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const {terminal, signalAfter} = options
  const words = [KMESHCTL, ...args]
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
  const redirect = terminal?.stdoutFile === undefined ? '' : ` >${terminal.stdoutFile}`
  const [file = '', ...rest] = terminal ? ['script', '-qfec', `${quoted}${redirect}`, '/dev/null'] : words
  const {CI: _ci, ...inherited} = process.env
  const env = {...inherited, TERM: 'xterm', COLUMNS: '200', ...options.env}
  const child = spawn(file, rest, {env, stdio: [terminal ? 'pipe' : 'ignore', 'pipe', 'pipe']})
  let [stdout, stderr, isTyped, isSignalled] = ['', '', false, false]
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk
    if (!terminal || isTyped || !stdout.includes(terminal.waitFor)) return
    isTyped = true
    child.stdin?.write(terminal.type)
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk
    if (!signalAfter || isSignalled || !stderr.includes(signalAfter.text)) return
    isSignalled = true
    child.kill(signalAfter.signal)
    signalAfter.onSent()
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({code, stdout, stderr}))
  })
}
