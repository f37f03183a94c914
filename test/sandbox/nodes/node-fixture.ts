// SPDX-License-Identifier: Apache-2.0
/** One real sandbox node for tests: namespaces, cgroups and processes are real, the API is a map of pods. */
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {createClock} from '../../../src/lib/adapters/clock.ts'
import {enterPrefix, systemCommands} from '../../../src/lib/adapters/commands.ts'
import {createNetns} from '../../../src/lib/adapters/netns.ts'
import {KubeStatusError} from '../../../src/lib/errors.ts'
import type {KubeObject, Pod} from '../../../src/lib/model/kube.ts'
import type {InformerHandler, Informers, Kube, Log, ResourcePath} from '../../../src/lib/ports.ts'
import {addressPlan} from '../../../src/lib/sandbox/nodes/addresses.ts'
import {kernelCgroups} from '../../../src/lib/sandbox/nodes/cgroups.ts'
import {cleanSandbox} from '../../../src/lib/sandbox/nodes/clean.ts'
import {createNetwork} from '../../../src/lib/sandbox/nodes/network.ts'
import type {NodeContext} from '../../../src/lib/sandbox/nodes/node-context.ts'
import {namespaceSockets} from '../../../src/lib/sandbox/nodes/sockets.ts'
import {MARK, makeDirectories, sandboxPaths} from '../../../src/lib/sandbox/state.ts'

export const ECHO = join(import.meta.dirname, '../../../src/lib/sandbox/echo.ts')
const NODES = ['node-1', 'node-2']
const nothing = (): void => {}
export const QUIET: Log = {trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing}

export interface Ground {
  readonly nodes: readonly NodeContext[]
  readonly api: FakePods
  /** Runs a program in a pod's or node's network namespace and gives its stdout. */
  runIn(namespacePath: string, ...command: string[]): Promise<string>
  down(): Promise<void>
}

/** Two nodes; `down()` takes everything away. */
export async function layNodes(suffix: string): Promise<Ground> {
  const name = `kmt${process.pid}-${suffix}`
  const scratch = mkdtempSync(join(tmpdir(), `${name}-`))
  const paths = sandboxPaths(name, scratch, readFileSync('/proc/mounts', 'utf8'))
  const plan = addressPlan(name, 'dual')
  const commands = systemCommands()
  const clock = createClock()
  const network = createNetwork(commands, paths, plan)
  const api = new FakePods()
  const stopping = new AbortController()
  makeDirectories(paths)
  await network.build(NODES)
  const nodes = NODES.map((node, index) => ({
    name: node,
    index: index + 1,
    addresses: plan.nodeAddresses(index + 1),
    namespacePath: network.nodeNamespace(node),
    cgroup: join(paths.cgroupRoot, node),
    bpfDir: join(paths.bpfDir, node),
    plan,
    paths,
    network,
    commands,
    backend: 'kernel' as const,
    sockets: namespaceSockets(createNetns()),
    cgroups: kernelCgroups(clock),
    standIns: async () => ({}),
    kube: api.kube,
    clock,
    log: QUIET,
    stopping: stopping.signal,
    echoProgram: [process.execPath, ECHO],
    baseEnvironment: {PATH: `${dirname(process.execPath)}:${process.env['PATH']}`, [MARK]: name},
  }))
  return {
    nodes,
    api,
    runIn: (namespacePath, ...command) => {
      const [file = '', ...args] = [...enterPrefix({namespacePath}), ...command]
      return commands.run({file, args})
    },
    down: async () => {
      stopping.abort()
      const kill = (pid: number): void => {
        try {
          process.kill(pid, 'SIGKILL')
        } catch (error) {
          // It ended by itself between being found and being killed.
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
        }
      }
      await cleanSandbox(paths, {commands, clock, kill, spare: new Set([process.pid])})
      rmSync(scratch, {recursive: true, force: true})
      for (const path of [paths.cgroupRoot, paths.runDir, network.nodeNamespace('node-1')]) {
        if (existsSync(path)) throw new Error(`${path} is left behind`)
      }
    },
  }
}

/** Pods of an API: keeps what is written, tells one handler. */
export class FakePods {
  readonly pods = new Map<string, Pod>()
  readonly events: KubeObject[] = []
  readonly deletes: {name: string; gracePeriodSeconds: number | undefined}[] = []
  #handler: InformerHandler<KubeObject> | undefined

  readonly informers: Informers = {
    start: (_path, options) => {
      this.#handler = options.handler as unknown as InformerHandler<KubeObject>
      return {
        synced: true,
        problem: undefined,
        get: () => undefined,
        values: () => new Map<string, never>().values(),
        close: () => {},
      }
    },
  }

  readonly kube = {
    create: async (_path: ResourcePath, object: KubeObject) => {
      this.events.push(object)
      return object
    },
    mergePatch: async (path: ResourcePath, patch: {status: object}) => {
      if (path.resource === 'events') return this.#patchEvent(path.name, patch)
      const pod = this.pods.get(path.name ?? '')
      if (pod === undefined) throw new KubeStatusError(404, 'NotFound', `pods "${path.name}" not found`)
      this.#put({...pod, status: {...pod.status, ...patch.status}})
      return this.pods.get(path.name ?? '')
    },
    delete: async (path: ResourcePath, options: {gracePeriodSeconds?: number}) => {
      this.deletes.push({name: path.name ?? '', gracePeriodSeconds: options.gracePeriodSeconds})
      const pod = this.pods.get(path.name ?? '')
      this.pods.delete(path.name ?? '')
      if (pod !== undefined) this.#handler?.onDelete(pod)
    },
  } as unknown as Kube

  #patchEvent(name: string | undefined, patch: object): void {
    const index = this.events.findIndex(({metadata}) => metadata.name === name)
    this.events[index] = {...this.events[index]!, ...patch}
  }

  #put(pod: Pod): void {
    const previous = this.pods.get(pod.metadata.name ?? '')
    this.pods.set(pod.metadata.name ?? '', pod)
    this.#handler?.onChange(pod, previous)
  }

  create(name: string, spec: Omit<NonNullable<Pod['spec']>, 'nodeName'>): void {
    const uid = `${Buffer.from(name).toString('hex').padEnd(8, '0').slice(0, 8)}-0000-4000-8000-000000000000`
    this.#put({metadata: {name, namespace: 'shop', uid}, spec})
  }

  /** As `kubectl delete`: the node does the rest. */
  markDeleted(name: string, graceSeconds: number): void {
    const pod = this.pods.get(name)
    if (pod === undefined) throw new Error(`no pod ${name}`)
    const deletionTimestamp = new Date().toISOString()
    this.#put({
      ...pod,
      metadata: {...pod.metadata, deletionTimestamp, deletionGracePeriodSeconds: graceSeconds},
    })
  }

  status(name: string): NonNullable<Pod['status']> {
    return this.pods.get(name)?.status ?? {}
  }

  condition(name: string, type: string): string | undefined {
    return this.status(name).conditions?.find((condition) => condition.type === type)?.status
  }
}

/** Polls until `holds`; fails with `what` after 10 s. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  const clock = createClock()
  const end = clock.monotonicMs() + 10_000
  while (!holds()) {
    if (clock.monotonicMs() > end) throw new Error(`${what}: not within 10 s`)
    await clock.sleep(20)
  }
}
