// SPDX-License-Identifier: Apache-2.0
/** A whole agent on fakes, answering over real loopback HTTP. */
import {request} from 'node:http'
import {memorySidecarRules} from '../../src/lib/adapters/memory-node.ts'
import {type RunningAgent, startAgent} from '../../src/lib/agent/agent.ts'
import {Loggers} from '../../src/lib/agent/loggers.ts'
import {parseOptions} from '../../src/lib/agent/options.ts'
import type {VersionReply} from '../../src/lib/model/api.ts'
import {FakeBpf} from '../fakes/bpf.ts'
import {type FakeClock, fakeClock} from '../fakes/clock.ts'
import {FakeInformers, FakeKube, FakeNode, FakePins, MemoryFiles} from './fakes.ts'

export const VERSION: VersionReply = {
  gitVersion: 'v9.9.9',
  gitCommit: 'c',
  gitTreeState: 'clean',
  buildDate: 'd',
  goVersion: 'g',
  compiler: 'k',
  platform: 'linux/amd64',
  mode: 'dual-engine',
  capabilities: ['mapKeys', 'ttl', 'enrollment'],
  sidecarPolicy: 'exclude',
  existingPods: 'live',
}

export interface HttpReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface AgentFixture {
  readonly bpf: FakeBpf
  readonly pins: string[]
  readonly node: FakeNode
  readonly files: MemoryFiles
  readonly kube: FakeKube
  readonly informers: FakeInformers
  readonly clock: FakeClock
  readonly output: string[]
  readonly agent: RunningAgent
  /** Lets queued work and pending timers of the next `milliseconds` run. */
  settle(milliseconds?: number): Promise<void>
  ask(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<HttpReply>
}

export const PIN_FOLDER = '/bpf/bpf_kmesh_workload'

export async function startFixture(
  flags: readonly string[] = [],
  before: Partial<AgentFixture> = {},
): Promise<AgentFixture> {
  const bpf = before.bpf ?? new FakeBpf()
  const pins = before.pins ?? []
  const world = {
    bpf,
    pins,
    node: before.node ?? new FakeNode(),
    files: before.files ?? new MemoryFiles(),
    kube: new FakeKube(),
    informers: new FakeInformers(),
    clock: before.clock ?? fakeClock(),
    output: [] as string[],
  }
  const env = {
    NODE_NAME: 'n1',
    KMESH_BPF_FS_PATH: '/bpf',
    KMESH_ADMIN_ADDRESS: '127.0.0.1:0',
    KMESH_CNI: 'off',
    KMESH_STATUS_ADDRESS: 'off',
  }
  const options = parseOptions(flags, env)
  const agent = await startAgent(
    {
      ...world,
      netns: world.node,
      proc: world.node,
      classes: world.node.classes,
      rules: memorySidecarRules(),
      kube: world.kube.asKube(),
      pins: new FakePins(() => pins),
      loggers: new Loggers(options.logLevel, world.clock, (line) => world.output.push(line)),
    },
    options,
    '/object',
    VERSION,
  )
  return {
    ...world,
    agent,
    settle: async (milliseconds = 0) => {
      for (let round = 0; round < 20; round += 1) await new Promise((resolve) => setImmediate(resolve))
      await world.clock.advance(milliseconds)
    },
    ask: (method, path, body, headers) => ask(agent.adminPort, method, path, body, headers),
  }
}

/** As sent: the path is not cleaned. */
export function ask(
  port: number,
  method: string,
  path: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const sent = request({host: '127.0.0.1', port, method, path, headers, agent: false}, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
