// SPDX-License-Identifier: Apache-2.0
// Goal: a client that connects every 10 ms sees no error that it would not see without Kmesh, through 50 restarts of
// the node's daemon (stop, kill -9, upgrade by swap of program and object) and 200 rolling pod replacements.
// Method: node-2 gets its daemon from this test; clients there, enrolled and not, connect all the time while one loop
// restarts the daemon and another rolls the servers. KMESH_SOAK_SECONDS >= 600 (npm run soak) is all of it, else a minute.
import assert from 'node:assert/strict'
import {type ChildProcess, execFileSync} from 'node:child_process'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {type Pod, RESOURCES} from '../../src/lib/model/kube.ts'
import {noCompiler} from '../bpf/variants.ts'
import {
  type Connections,
  eventually,
  type Json,
  look,
  nameOf,
  PODS,
  SANDBOX_ONLY,
  type Sandbox,
  SERVER,
  sandboxUp,
  type World,
} from '../e2e/harness.ts'
import {type DaemonVersion, DaemonVersions} from './daemon-versions.ts'

const IS_WHOLE = Number(process.env['KMESH_SOAK_SECONDS'] ?? 0) >= 600
const RESTARTS = IS_WHOLE ? 50 : 12
const REPLACEMENTS = IS_WHOLE ? 200 : 60
const LIMIT_MS = IS_WHOLE ? 1_800_000 : 180_000
const REPLICAS = 3
const NODE = 'node-2'
const DAEMONS = {...RESOURCES.pods, namespace: 'kmesh-system'}
const DAEMON = {...DAEMONS, name: `kmesh-${NODE}`}
const ECHO = join(import.meta.dirname, '../../dist/echo.js')
/**
 * Longer than a daemon is away: nobody takes an endpoint out of the kernel meanwhile. A pod of a real cluster has a
 * preStop sleep for it, as it needs one for kube-proxy.
 */
const SERVE_ON_MS = 8000

interface Client {
  readonly what: string
  readonly isEnrolled: boolean
  readonly process: ChildProcess
  readonly output: Promise<string>
}

suite(`${RESTARTS} restarts, ${REPLACEMENTS} replaced pods`, {skip: SANDBOX_ONLY || noCompiler()}, () => {
  let sandbox: Sandbox
  let world: World
  let template: Pod
  let versions: DaemonVersions
  before(async () => {
    versions = new DaemonVersions()
    sandbox = await sandboxUp('soak-restarts', '--ip-family', 'dual', '--without-daemon', NODE)
    const daemons = await sandbox.kube.list<Pod>(DAEMONS)
    template = daemons.items[0] as Pod
    await startDaemon(versions.all[0] as DaemonVersion)
    await prepareServers('first')
    await sandbox.json('enroll', 'namespace', 'shop', '--yes')
    for (const [name, labels] of [
      ['enrolled', {}],
      ['outside', {'istio.io/dataplane-mode': 'none'}],
    ] as const) {
      await sandbox.kube.create(PODS, sleeper(name, labels))
    }
    await rolledOut('first')
    world = await look(sandbox)
    await eventually('the client is captured', async () =>
      (await captureOf('enrolled')) === 'kmesh' && (await captureOf('outside')) !== 'kmesh'
        ? true
        : undefined,
    )
  })
  after(async () => {
    await sandbox?.down()
    versions?.[Symbol.dispose]()
  })

  async function prepareServers(round: string): Promise<void> {
    const deployment = await sandbox.kube.get<Json>(SERVER)
    const [echo] = deployment.spec.template.spec.containers as Json[]
    const containers = [{...echo, env: [{name: 'SERVE_ON_MS', value: String(SERVE_ON_MS)}]}]
    const spec = {terminationGracePeriodSeconds: 20, containers}
    const template = {metadata: {annotations: {round}}, spec}
    await sandbox.kube.mergePatch(SERVER, {spec: {replicas: REPLICAS, template}})
  }

  async function captureOf(pod: string): Promise<string> {
    const {items} = await sandbox.json('interop', 'status', '-n', 'shop')
    return (items as Json[]).find((item) => item.kind === 'Pod' && item.name === pod)?.capture
  }

  /** The pod that the sandbox made for the other node, for this one, with the program of that version. */
  async function startDaemon({program}: DaemonVersion): Promise<void> {
    const [other] = [template.spec?.nodeName ?? '']
    const text = JSON.stringify({
      metadata: {name: `kmesh-${other}`, labels: template.metadata.labels},
      spec: template.spec,
    })
    const pod = JSON.parse(text.replaceAll(other, NODE)) as Pod
    const containers = (pod.spec?.containers ?? []).map((container) => ({...container, command: [program]}))
    const spec = {...pod.spec, containers} as NonNullable<Pod['spec']>
    await sandbox.kube.create(DAEMONS, {...pod, apiVersion: 'v1', kind: 'Pod', spec} as Pod)
    await eventually('the daemon is ready', async () => ((await isReady(DAEMON)) ? true : undefined), 30_000)
  }

  async function isReady(path: typeof DAEMON): Promise<boolean> {
    const pod = await sandbox.kube.get<Pod>(path)
    return pod.status?.conditions?.some(({type, status}) => type === 'Ready' && status === 'True') === true
  }

  async function endDaemon(isKilled: boolean): Promise<void> {
    if (isKilled) process.kill(await daemonPid(), 'SIGKILL')
    await sandbox.kube.delete(DAEMON, isKilled ? {gracePeriodSeconds: 0} : {})
    await eventually(
      'the daemon is gone',
      async () =>
        (await sandbox.kube.list<Pod>(DAEMONS)).items.some((pod) => nameOf(pod) === DAEMON.name)
          ? undefined
          : true,
      20_000,
    )
  }

  async function daemonPid(): Promise<number> {
    const [status] = (await sandbox.json('sandbox', 'status', '--name', sandbox.name)).items as Json[]
    const pod = (status.pods as Json[]).find((one) => one.name === DAEMON.name)
    return pod.containers[0].pid
  }

  async function restartAll(): Promise<void> {
    for (let round = 0, version = 0; round < RESTARTS; round += 1) {
      const kind = ['stop', 'kill', 'upgrade'][round % 3]
      if (kind === 'upgrade') version += 1
      await endDaemon(kind === 'kill')
      await startDaemon(versions.all[version % versions.all.length] as DaemonVersion)
      await sleep(1500)
    }
  }

  async function replaceAll(): Promise<void> {
    for (let replaced = 0; replaced < REPLACEMENTS; replaced += REPLICAS) {
      const round = `round-${replaced}`
      await sandbox.kube.mergePatch(SERVER, {spec: {template: {metadata: {annotations: {round}}}}})
      await rolledOut(round)
    }
  }

  /** Every pod of the template of that round is Ready, and no other one counts any more. */
  async function rolledOut(round: string): Promise<void> {
    await eventually(
      `the servers of ${round}`,
      async () => {
        const pods = (await look(sandbox)).servers.filter(
          ({metadata}) => metadata.deletionTimestamp === undefined,
        )
        const isDone = ({metadata, status}: Pod): boolean =>
          metadata.annotations?.['round'] === round &&
          status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true
        return pods.length === REPLICAS && pods.every(isDone) ? true : undefined
      },
      60_000,
    )
  }

  function connect(pod: string, family: 'ipv4' | 'ipv6', everyMs: number): Client {
    const command = [
      process.execPath,
      ECHO,
      'connect',
      world[family],
      '80',
      '--every',
      String(everyMs),
      '--quiet',
    ]
    const process_ = sandbox.spawn(
      'sandbox',
      'exec',
      '--name',
      sandbox.name,
      '-n',
      'shop',
      pod,
      '--',
      ...command,
    )
    const output = new Promise<string>((resolve) => {
      let text = ''
      process_.stdout?.on('data', (chunk) => (text += chunk))
      process_.stderr?.on('data', (chunk) => (text += chunk))
      process_.once('close', () => resolve(text))
    })
    return {what: `${pod}, ${family}`, isEnrolled: pod === 'enrolled', process: process_, output}
  }

  async function sumsOf(client: Client): Promise<Connections> {
    client.process.kill('SIGTERM')
    const text = await client.output
    return JSON.parse(text.trim().split('\n').at(-1) ?? '') as Connections
  }

  test('no client sees an error', {timeout: LIMIT_MS}, async (t) => {
    const startMs = Date.now()
    const clients = [
      connect('enrolled', 'ipv4', 10),
      connect('enrolled', 'ipv6', 50),
      connect('outside', 'ipv4', 50),
      connect('outside', 'ipv6', 50),
    ]
    const links = linkIds()
    await Promise.all([restartAll(), replaceAll()])
    const results = await Promise.all(
      clients.map(async (client) => ({...client, sums: await sumsOf(client)})),
    )
    t.diagnostic(`${Math.round((Date.now() - startMs) / 1000)} s`)
    for (const {what, sums} of results) {
      t.diagnostic(
        `${what}: ${sums.connections} connections, ${sums.errors} errors ${JSON.stringify(sums.messages)}`,
      )
    }
    // Errors that pods outside the mesh have as well are the cluster's.
    const others = results
      .filter(({isEnrolled}) => !isEnrolled)
      .flatMap(({sums}) => Object.keys(sums.messages))
    for (const {what, isEnrolled, sums} of results) {
      const isRedirected = Object.keys(sums.peers).every((peer) => peer.endsWith(' 8080'))
      if (!isEnrolled) {
        assert.ok(!isRedirected, `${what}: goes by the rules of the cluster`)
        continue
      }
      assert.ok(sums.connections > 200, `${what}: ${sums.connections} connections`)
      assert.ok(isRedirected, `${what}: every connection was redirected ${JSON.stringify(sums.peers)}`)
      const own = Object.keys(sums.messages).filter((message) => !others.includes(message))
      assert.deepEqual(own, [], `${what}: ${JSON.stringify(sums.messages)}`)
    }
    assert.deepEqual(linkIds(), links, 'the links of the first daemon')
  })

  /** Of the programs on the node's cgroup. */
  function linkIds(): number[] {
    const folder = `/run/kmeshctl/${sandbox.name}/bpf/${NODE}/bpf_kmesh_workload/sockconn`
    return ['sockconn_prog', 'sockconn6_prog'].map((name) => {
      const text = execFileSync('bpftool', ['-j', 'link', 'show', 'pinned', join(folder, name)], {
        encoding: 'utf8',
      })
      return (JSON.parse(text) as {id: number}).id
    })
  }
})

function sleeper(name: string, labels: Readonly<Record<string, string>>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {name, namespace: 'shop', labels},
    spec: {
      nodeName: NODE,
      terminationGracePeriodSeconds: 1,
      containers: [{name: 'main', image: 'sandbox/host', command: ['sleep', 'infinity']}],
    },
  } as Pod
}
