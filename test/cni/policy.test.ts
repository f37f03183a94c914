// SPDX-License-Identifier: Apache-2.0
// Goal: when the agent does not say yes, the right pods wait, fail or pass, and nobody else does.
// Method: the whole invocation on fakes; time is a fake clock, so that waiting is counted.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {CniParts, SocketAnswer} from '../../src/lib/cni/parts.ts'
import type {Outcome} from '../../src/lib/cni/protocol.ts'
import {runCni} from '../../src/lib/cni/run.ts'
import type {Pod} from '../../src/lib/model/kube.ts'
import {memoryLog, pod} from '../agent/fakes.ts'
import {fakeClock} from '../fakes/clock.ts'
import {PREV_RESULT, podArgs} from './exec-plugin.ts'

type Reply = SocketAnswer | 'away' | 'hangs'

interface World {
  /** By attempt; the last one stays. */
  readonly agent?: readonly Reply[]
  /** Text of the agent's file. */
  readonly cache?: string
  /** Pods and labels of namespaces; undefined where the API server is away. */
  readonly cluster?: {readonly pods: readonly Pod[]; readonly namespaces?: Readonly<Record<string, string>>}
  readonly config?: object
  readonly command?: string
}

interface Ran {
  readonly outcome: Outcome
  readonly code: number
  readonly waitedMs: number
  readonly asked: number
  readonly log: readonly string[]
}

const KMESH = {'istio.io/dataplane-mode': 'kmesh'}

/** One call for pod shop/web of uid `uid-web`, until it has answered. */
async function run(world: World): Promise<Ran> {
  const clock = fakeClock()
  const log = memoryLog()
  let asked = 0
  const agent = world.agent ?? ['away']
  const parts: CniParts = {
    clock,
    defaultLogFile: undefined,
    openLog: () => log,
    readInput: async () => Buffer.from(configOf(world.config)),
    readFile: () => world.cache,
    openCluster: () => clusterOf(world),
    ask: async (_socket, _path, _body, timeoutMs) => {
      const reply = agent[Math.min(asked, agent.length - 1)] ?? 'away'
      asked += 1
      if (reply === 'hangs') await clock.sleep(timeoutMs)
      if (typeof reply === 'string') throw new Error(`the agent ${reply}`)
      return reply
    },
  }
  const env = {
    CNI_COMMAND: world.command ?? 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/x',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: podArgs('shop', 'web', 'uid-web'),
  }
  let outcome: Outcome | undefined
  void runCni(env, parts).then((done) => {
    outcome = done
  })
  while (outcome === undefined && clock.monotonicMs() < 200_000) await clock.advance(100)
  assert.ok(outcome !== undefined, 'it never ended')
  const code = outcome.exitCode === 0 ? 0 : (JSON.parse(outcome.stdout) as {code: number}).code
  if (code === 0 && env.CNI_COMMAND === 'ADD') assert.equal(outcome.stdout, PREV_RESULT)
  return {outcome, code, waitedMs: clock.monotonicMs(), asked, log: log.lines}
}

function configOf(change: object | undefined): string {
  const known = {cniVersion: '1.1.0', name: 'n', kubeconfig: '/k', ...change}
  return `${JSON.stringify(known).slice(0, -1)},"prevResult":${PREV_RESULT}}`
}

function clusterOf({cluster}: World): ReturnType<CniParts['openCluster']> {
  if (cluster === undefined) {
    const fail = async (): Promise<never> => {
      throw new Error('no answer of the API server')
    }
    return {pod: fail, namespace: fail}
  }
  return {
    pod: async (namespace, name) => {
      const found = cluster.pods.find(
        ({metadata}) => metadata.namespace === namespace && metadata.name === name,
      )
      if (found === undefined) throw new Error('status 404')
      return found
    },
    namespace: async (name) => ({
      metadata: {name, labels: {'istio.io/dataplane-mode': cluster.namespaces?.[name] ?? ''}},
    }),
  }
}

function cache(
  pods: Record<string, boolean>,
  namespaces: readonly string[] = [],
  sidecarPolicy?: string,
): string {
  return JSON.stringify({version: 1, writtenAt: '2026-01-01T00:00:00Z', sidecarPolicy, namespaces, pods})
}

const DONE: SocketAnswer = {status: 200, body: {enrolled: true, rule: 'NamespaceLabel', cookie: '7'}}
const STARTING: SocketAnswer = {status: 503, body: {error: {code: 'Starting', message: 'the agent starts'}}}

test('away: who says that the pod is in the mesh', async () => {
  const labelled = pod('shop/web', [], {labels: KMESH})
  const optedOut = pod('shop/web', [], {labels: {'istio.io/dataplane-mode': 'none'}})
  const plain = pod('shop/web', [])
  const stranger = pod('shop/web', [], {uid: 'another', labels: KMESH})
  const hash = pod('shop/web', [], {
    uid: 'mirror',
    labels: KMESH,
    annotations: {'kubernetes.io/config.hash': 'uid-web'},
  })
  const host = pod('shop/web', [], {labels: KMESH, spec: {hostNetwork: true}})
  const beside = pod('shop/web', [], {labels: KMESH, annotations: {'sidecar.istio.io/status': '{}'}})
  const besideIn = (policy?: string) => ({cache: cache({}, [], policy), cluster: {pods: [beside]}})
  const rows: [string, World, number][] = [
    ['sidecar, short-circuited', besideIn('bypass'), 11],
    ['sidecar, left alone', besideIn('exclude'), 0],
    ['sidecar, file of an agent that knew no bypass', besideIn(), 0],
    ['sidecar, no file', {cluster: {pods: [beside]}}, 11],
    ['sidecar, a policy that is none', besideIn('maybe'), 11],
    ['file: yes', {cache: cache({'uid-web': true})}, 11],
    ['file: no, although the namespace is in', {cache: cache({'uid-web': false}, ['shop'])}, 0],
    ['file before cluster', {cache: cache({'uid-web': false}), cluster: {pods: [labelled]}}, 0],
    ['cluster: label of the pod', {cache: cache({}), cluster: {pods: [labelled]}}, 11],
    ['cluster: opted out of a namespace', {cache: cache({}, ['shop']), cluster: {pods: [optedOut]}}, 0],
    ['cluster: plain pod, namespace of the file', {cache: cache({}, ['shop']), cluster: {pods: [plain]}}, 11],
    ['cluster: plain pod, other namespaces', {cache: cache({}, ['else']), cluster: {pods: [plain]}}, 0],
    ['cluster: host network', {cache: cache({}, ['shop']), cluster: {pods: [host]}}, 0],
    ['cluster: a static pod, by its hash', {cache: cache({}), cluster: {pods: [hash]}}, 11],
    ['another pod of the name: by namespace', {cache: cache({}), cluster: {pods: [stranger]}}, 0],
    ['no file: namespace from the cluster', {cluster: {pods: [plain], namespaces: {shop: 'KMESH'}}}, 11],
    ['no file: unlabelled namespace', {cluster: {pods: [plain]}}, 0],
    ['no cluster: namespace is in', {cache: cache({}, ['shop'])}, 11],
    ['no cluster: namespace is not in', {cache: cache({}, ['else'])}, 0],
    ['no kubeconfig', {cache: cache({}, ['shop']), config: {kubeconfig: ''}}, 11],
    ['nobody knows', {}, 0],
    ['a file that is none, cluster knows', {cache: '{"version":2}', cluster: {pods: [labelled]}}, 11],
    ['a file that is none, nobody knows', {cache: '\0\0'}, 0],
    ['a file of wrong types', {cache: '{"version":1,"writtenAt":"","namespaces":5,"pods":{}}'}, 0],
    [
      'uids like names of objects',
      {cache: '{"version":1,"writtenAt":"","namespaces":[],"pods":{"__proto__":true}}'},
      0,
    ],
  ]
  for (const [name, world, code] of rows) {
    for (const agent of ['away', 'hangs'] as const) {
      assert.equal((await run({...world, agent: [agent]})).code, code, `${name}, agent ${agent}`)
      const ignoring = {...world, agent: [agent], config: {...world.config, failurePolicy: 'ignore'}}
      assert.equal((await run(ignoring)).code, 0, `${name}, agent ${agent}, ignore`)
    }
  }
})

test('away: pods of the mesh wait the whole time, others not at all', async () => {
  const enrolled = await run({cache: cache({'uid-web': true})})
  assert.ok(enrolled.waitedMs >= 4700 && enrolled.waitedMs <= 5100, `${enrolled.waitedMs} ms`)
  assert.ok(enrolled.asked > 20)
  const other = await run({cache: cache({'uid-web': false})})
  assert.deepEqual([other.asked, other.waitedMs <= 100], [1, true])
  const short = await run({cache: cache({'uid-web': true}), config: {timeoutSeconds: 0}})
  assert.deepEqual([short.code, short.asked, short.waitedMs <= 100], [11, 1, true])
  const stuck = await run({cache: cache({'uid-web': true}), agent: ['hangs'], config: {timeoutSeconds: 10}})
  assert.ok(stuck.waitedMs >= 9700 && stuck.waitedMs <= 10_100, `${stuck.waitedMs} ms`)
})

test('an agent that starts is waited for', async () => {
  const late = await run({agent: ['away', STARTING, STARTING, DONE], cache: cache({'uid-web': true})})
  assert.deepEqual([late.code, late.asked], [0, 4])
  assert.match(late.log.at(-1) ?? '', /^info enrolled$/)
})

test('an agent that refuses is not asked again', async () => {
  const refusal = (status: number, code: string): SocketAnswer => ({
    status,
    body: {error: {code, message: 'E2BIG\u001b[2J'}},
  })
  const known = {cache: cache({'uid-web': true})}
  const rows: [World, number][] = [
    [{...known, agent: [refusal(500, 'Kernel')]}, 100],
    [{...known, agent: [refusal(400, 'BadNetns')]}, 4],
    [{...known, agent: [refusal(500, 'NodeNamespace')]}, 4],
    [{...known, agent: [refusal(404, 'PodNotFound')]}, 100],
    [{...known, agent: [refusal(500, 'NotCaptured')], command: 'CHECK'}, 101],
    [{...known, agent: [refusal(500, 'Kernel')], config: {failurePolicy: 'ignore'}}, 0],
    [{cache: cache({'uid-web': false}), agent: [refusal(500, 'Kernel')]}, 0],
    [{agent: [refusal(404, 'PodNotFound')]}, 0],
  ]
  for (const [world, code] of rows) {
    const {asked, code: given} = await run(world)
    assert.deepEqual([given, asked], [code, 1], JSON.stringify(world))
  }
})

test('an agent that talks nonsense counts as away', async () => {
  const bodies: unknown[] = [
    null,
    5,
    [],
    'yes',
    {},
    {enrolled: 'yes', rule: 'x'},
    {enrolled: true},
    {rule: 'x'},
  ]
  for (const body of bodies) {
    const world = {agent: [{status: 200, body}], cache: cache({'uid-web': true}), config: {timeoutSeconds: 0}}
    assert.equal((await run(world)).code, 11, JSON.stringify(body))
  }
  for (const body of bodies) {
    const world = {agent: [{status: 418, body}], cache: cache({'uid-web': true})}
    assert.equal((await run(world)).code, 100, JSON.stringify(body))
  }
})

test('what is known is asked of nobody else', async () => {
  const done = await run({agent: [DONE]})
  assert.deepEqual([done.code, done.asked, done.log], [0, 1, ['info enrolled']])
})
