// SPDX-License-Identifier: Apache-2.0
/** kmesh-daemon: options and signals in, adapters to the agent, exit status out. */
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {createBpf} from '../adapters/bpf.ts'
import {createClock} from '../adapters/clock.ts'
import {systemCommands} from '../adapters/commands.ts'
import {garbageCollector} from '../adapters/garbage.ts'
import {createHostNetns} from '../adapters/host-netns.ts'
import {createKube} from '../adapters/kube.ts'
import {kubeAccess} from '../adapters/kube-access.ts'
import {type Connection, loadConnection} from '../adapters/kubeconfig.ts'
import {createLocalSocket} from '../adapters/local-socket.ts'
import {createLogWriter} from '../adapters/log-writer.ts'
import {MemoryBpf, memoryPinTree} from '../adapters/memory-bpf.ts'
import {memoryClasses, memoryNetns, memoryProc, memorySidecarRules} from '../adapters/memory-node.ts'
import {createPodClasses} from '../adapters/net-cls.ts'
import {createNetns} from '../adapters/netns.ts'
import {createNodeFiles} from '../adapters/node-files.ts'
import {createPinTree} from '../adapters/pin-tree.ts'
import {createProc} from '../adapters/proc.ts'
import {createSidecarRules} from '../adapters/sidecar-rules.ts'
import {createStateFiles} from '../adapters/state-files.ts'
import {createInformers} from '../adapters/watch.ts'
import {InstallRecord} from '../cni/install-record.ts'
import {EXIT, KmeshError, messageOf} from '../errors.ts'
import type {VersionReply} from '../model/api.ts'
import {CNI_SOCKET} from '../model/cni.ts'
import type {Kube} from '../ports.ts'
import {type AgentParts, type RunningAgent, startAgent} from './agent.ts'
import type {CniOutside} from './cni.ts'
import {ConflistKeeper} from './conflist.ts'
import {conflistPlaces, uninstallCni} from './conflist-uninstall.ts'
import {holdAfter} from './hold.ts'
import {Loggers} from './loggers.ts'
import {helpText} from './option-rows.ts'
import {type AgentOptions, parseOptions} from './options.ts'
import {uninstall} from './uninstall.ts'

const STDOUT = 1
const FLUSH_MS = 1000
const REQUEST_TIMEOUT_MS = 30_000
const IN_CLUSTER_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token'

const clock = createClock()
const writer = createLogWriter(STDOUT)

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.env)
  if (options.command === 'help') return print(helpText())
  if (options.command === 'version') return print(`kmesh-daemon ${versionReply(options).gitVersion}\n`)
  const loggers = new Loggers(options.logLevel, clock, writer.write)
  using _lock = options.backend === 'memory' ? undefined : createPinTree().lock(options.bpfFsPath)
  // Awaited here: the lock is held until this function ends.
  return await (options.command === 'uninstall' ? offNode(options, loggers) : run(options, loggers))
}

async function run(options: AgentOptions, loggers: Loggers): Promise<number> {
  const signal = nextSignal()
  const connection = await loadConnection({kubeconfig: options.kubeconfig})
  const kube = connect(connection, loggers)
  const agent = await startAgent(
    {
      ...backendParts(options, loggers),
      collectGarbage: garbageCollector(),
      files: createStateFiles(options.stateDir),
      kube,
      informers: createInformers({kube, clock, log: loggers.log('watch')}),
      clock,
      loggers,
      cni: cniOutside(options, connection, loggers),
    },
    options,
    options.bpfObject ?? builtInObject(),
    versionReply(options),
  )
  await stopAt(signal, agent, kube, loggers)
  return EXIT.ok
}

type BackendParts = Pick<AgentParts, 'bpf' | 'pins' | 'netns' | 'proc' | 'classes' | 'rules'>

function backendParts(options: AgentOptions, loggers: Loggers): BackendParts {
  if (options.backend === 'kernel') {
    const proc = createProc(options.procPath)
    const classes = createPodClasses(options.netClsPath)
    const netns = createNetns()
    const rules = createSidecarRules(systemCommands(), netns)
    return {bpf: createBpf(), pins: createPinTree(), netns, proc, classes, rules}
  }
  loggers
    .log('agent')
    .warn('backend memory: no kernel is told anything, no connection is redirected and none is logged')
  const bpf = new MemoryBpf()
  const node = {
    netns: memoryNetns(),
    proc: memoryProc(),
    classes: memoryClasses(),
    rules: memorySidecarRules(),
  }
  return {bpf, pins: memoryPinTree(bpf), ...node}
}

/** The backend in memory has no namespaces: any path is one. */
function cniOutside(options: AgentOptions, connection: Connection, loggers: Loggers): CniOutside | undefined {
  const places = conflistPlaces(options)
  if (places === undefined) return undefined
  const {runDir, procPath, backend} = options
  return {
    socket: createLocalSocket(runDir, CNI_SOCKET),
    runFiles: createStateFiles(runDir),
    reachNetns: backend === 'memory' ? (path) => path : createHostNetns(procPath),
    conflist: new ConflistKeeper({
      ...installParts(options, loggers),
      places,
      source: {node: process.execPath, code: join(packageRoot(), 'dist/kmesh-cni.mjs')},
      access: () => kubeAccess(connection),
      clock,
    }),
  }
}

function bypassParts({backend, procPath}: AgentOptions) {
  if (backend === 'memory') return {proc: memoryProc(), rules: memorySidecarRules()}
  return {proc: createProc(procPath), rules: createSidecarRules(systemCommands(), createNetns())}
}

function installParts({stateDir}: AgentOptions, loggers: Loggers) {
  const log = loggers.log('agent')
  return {files: createNodeFiles(), record: new InstallRecord(createStateFiles(stateDir), log), log}
}

async function stopAt(
  signal: Promise<string>,
  agent: RunningAgent,
  kube: Kube,
  loggers: Loggers,
): Promise<void> {
  loggers.log('agent').info(`${await signal}: stopping`)
  await agent.stop()
  await kube.close()
}

/** The first one stops in order, the second one at once. */
function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      let count = 0
      process.on(name, () => {
        count += 1
        if (count > 1) process.exit(name === 'SIGINT' ? EXIT.interrupted : EXIT.terminated)
        resolve(name)
      })
    }
  })
}

function offNode(options: AgentOptions, loggers: Loggers): Promise<number> {
  const work = (): Promise<number> => takeOut(options, loggers)
  if (!options.hold) return work()
  return holdAfter(work, {...options, log: loggers.log('agent')}, nextSignal())
}

async function takeOut(options: AgentOptions, loggers: Loggers): Promise<number> {
  const hasCluster = options.kubeconfig !== undefined || existsSync(IN_CLUSTER_TOKEN)
  const places = conflistPlaces(options)
  const isCniClean = places === undefined || uninstallCni({...installParts(options, loggers), places})
  const connection =
    hasCluster && options.nodeName !== '' ? await loadConnection({kubeconfig: options.kubeconfig}) : undefined
  const kube = connection === undefined ? undefined : connect(connection, loggers)
  const parts = {
    pins: options.backend === 'memory' ? memoryPinTree(new MemoryBpf()) : createPinTree(),
    files: createStateFiles(options.stateDir),
    classes: createPodClasses(options.netClsPath),
    ...bypassParts(options),
    kube,
    log: loggers.log('agent'),
  }
  const isClean = await uninstall(parts, options.bpfFsPath, options.nodeName)
  await kube?.close()
  return isClean && isCniClean ? EXIT.ok : EXIT.failure
}

function connect(connection: Connection, loggers: Loggers): Kube {
  return createKube(connection, {
    clock,
    log: loggers.log('watch'),
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    fieldManager: 'kmesh-daemon',
  })
}

/** Folder of package.json: above dist/ for the bundle, further up for the sources. */
function packageRoot(): string {
  const candidates = ['..', '../../..'].map((path) => join(import.meta.dirname, path))
  const found = candidates.find((path) => existsSync(join(path, 'package.json')))
  if (found === undefined) throw new KmeshError(`no package.json above ${import.meta.dirname}`)
  return found
}

function builtInObject(): string {
  return join(packageRoot(), 'bpf/kmesh.bpf.o')
}

function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {version: string}).version
}

function versionReply(options: AgentOptions): VersionReply {
  return {
    gitVersion: `v${packageVersion()}`,
    gitCommit: 'unknown',
    gitTreeState: 'unknown',
    buildDate: 'unknown',
    goVersion: `none (node ${process.version})`,
    compiler: 'v8',
    platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
    mode: options.mode,
    capabilities: ['mapKeys', 'ttl', 'enrollment'],
    sidecarPolicy: options.sidecarPolicy,
    existingPods: options.existingPods,
    ...(options.backend === 'memory' ? {backend: options.backend} : {}),
  }
}

function print(text: string): number {
  writer.write(text)
  return EXIT.ok
}

function report(error: unknown): number {
  process.stderr.write(`error: ${messageOf(error)}\n`)
  if (!(error instanceof KmeshError)) {
    process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`)
    return EXIT.failure
  }
  for (const hint of error.hints) process.stderr.write(`hint: ${hint}\n`)
  return error.exitCode
}

const status = await main().catch(report)
await writer.flush(FLUSH_MS)
process.exit(status)
