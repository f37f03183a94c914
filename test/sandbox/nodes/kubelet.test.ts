// SPDX-License-Identifier: Apache-2.0
// Goal: a pod's life as a kubelet gives it: start, probes, restart with back-off, user, errors, graceful end.
// Method: real processes on a real sandbox node; the API is a map that records what the node writes.
import assert from 'node:assert/strict'
import {existsSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {type Kubelet, startKubelet} from '../../../src/lib/sandbox/nodes/kubelet.ts'
import type {NodeContext} from '../../../src/lib/sandbox/nodes/node-context.ts'
import {eventually, type FakePods, type Ground, layNodes} from './node-fixture.ts'

suite('kubelet', () => {
  let ground: Ground
  let node: NodeContext
  let api: FakePods
  let kubelet: Kubelet
  before(async () => {
    ground = await layNodes('kubelet')
    node = ground.nodes[0]!
    api = ground.api
    kubelet = startKubelet(node, api.informers)
  })
  after(() => ground.down())

  const output = (pod: string): string =>
    readFileSync(kubelet.pod('shop', pod)?.outputFile('main') ?? '', 'utf8')
  /** Ready only says that it was started; a line of output, that its first commands ran. */
  const hasOutput = (pod: string): boolean => {
    const file = kubelet.pod('shop', pod)?.outputFile('main')
    return file !== undefined && existsSync(file) && readFileSync(file, 'utf8').includes('\n')
  }
  const container = (pod: string) => api.status(pod).containerStatuses?.[0]
  const shell = (script: string) => ({name: 'main', command: ['sh', '-c', script]})

  test('runs the command with its environment, in the cgroup of its pod', async () => {
    api.create('env', {
      containers: [
        {
          ...shell('echo "$GREETING $POD_NAME $NODE_NAME $1"; cat /proc/self/cgroup; exec sleep 60'),
          args: ['x', '$(GREETING)!'],
          env: [{name: 'GREETING', value: 'hello'}],
        },
      ],
    })
    await eventually('it is Ready', () => api.condition('env', 'Ready') === 'True')
    await eventually('it wrote', () => output('env').includes('kubepods'))
    assert.match(output('env'), /^hello env node-1 hello!$/m)
    const uid = api.pods.get('env')?.metadata.uid
    assert.match(
      output('env'),
      new RegExp(`^0::/kmeshctl/${node.paths.name}/node-1/kubepods/pod${uid}/main$`, 'm'),
    )
    assert.equal(api.status('env').phase, 'Running')
    assert.equal(api.status('env').hostIP, node.addresses[0]?.address)
    assert.equal(api.status('env').podIPs?.length, 2)
  })

  test('runs as the user of the pod, the container before the pod', async () => {
    api.create('user', {
      securityContext: {runAsUser: 1234, runAsGroup: 2345},
      containers: [{...shell('id -u; id -g; exec sleep 60'), securityContext: {runAsUser: 4321}}],
    })
    await eventually('it wrote', () => hasOutput('user') && output('user').split('\n').length > 2)
    assert.equal(output('user'), '4321\n2345\n')
  })

  test('a program that is not there is CreateContainerError, as is an image without a command', async () => {
    api.create('missing', {containers: [{name: 'main', command: ['no-such-program']}]})
    api.create('image', {containers: [{name: 'main', image: 'nginx'}]})
    await eventually('both say so', () =>
      ['missing', 'image'].every((pod) => container(pod)?.state?.waiting?.reason === 'CreateContainerError'),
    )
    assert.match(container('missing')?.state?.waiting?.message ?? '', /"no-such-program": not found in PATH/)
    assert.match(container('image')?.state?.waiting?.message ?? '', /image "nginx" is not fetched/)
    assert.equal(api.status('missing').phase, 'Pending')
    assert.equal(api.condition('missing', 'Ready'), 'False')
  })

  test('what the sandbox cannot do is said, not left out', async () => {
    const env = [{name: 'ACCOUNT', valueFrom: {fieldRef: {fieldPath: 'spec.serviceAccountName'}}}] as never
    api.create('field', {containers: [{...shell('sleep 60'), env}]})
    await eventually(
      'it says so',
      () => container('field')?.state?.waiting?.reason === 'CreateContainerError',
    )
    assert.match(
      container('field')?.state?.waiting?.message ?? '',
      /env ACCOUNT: of valueFrom the sandbox knows fieldRef/,
    )
  })

  test('restarts what ends, and tells how it ended', async () => {
    api.create('crash', {containers: [shell('echo run; exit 3')]})
    await eventually('it waits', () => container('crash')?.state?.waiting?.reason === 'CrashLoopBackOff')
    assert.match(container('crash')?.state?.waiting?.message ?? '', /exit status 3; restarts in 1000 ms/)
    assert.equal(container('crash')?.restartCount, 0)
    await eventually('it ran again', () => output('crash') === 'run\nrun\n')
    await eventually('the next pause is twice as long', () =>
      /in 2000 ms/.test(container('crash')?.state?.waiting?.message ?? ''),
    )
    assert.equal(container('crash')?.restartCount, 1)
  })

  test('restartPolicy Never ends as Succeeded or Failed', async () => {
    api.create('good', {restartPolicy: 'Never', containers: [shell('exit 0')]})
    api.create('bad', {restartPolicy: 'Never', containers: [shell('exit 5')]})
    await eventually(
      'both are over',
      () => api.status('good').phase === 'Succeeded' && api.status('bad').phase === 'Failed',
    )
    assert.equal(container('bad')?.state?.terminated?.exitCode, 5)
    assert.equal(api.condition('good', 'Ready'), 'False')
  })

  test('readiness by exec and tcp follows the program, both ways', async () => {
    const file = join(node.paths.runDir, 'ready')
    api.create('exec', {
      containers: [
        {
          ...shell(`while sleep 0.1; do :; done`),
          readinessProbe: {exec: {command: ['test', '-e', file]}, periodSeconds: 1, failureThreshold: 1},
        },
      ],
    })
    api.create('tcp', {
      containers: [
        {name: 'echo', image: 'sandbox/echo', readinessProbe: {tcpSocket: {port: 9090}, periodSeconds: 1}},
      ],
    })
    await eventually('tcp is Ready', () => api.condition('tcp', 'Ready') === 'True')
    await eventually('exec runs', () => container('exec')?.state?.running !== undefined)
    await sleep(300)
    assert.equal(api.condition('exec', 'Ready'), 'False')
    writeFileSync(file, '')
    await eventually('exec is Ready', () => api.condition('exec', 'Ready') === 'True')
    rmSync(file)
    await eventually('exec is not Ready any more', () => api.condition('exec', 'Ready') === 'False')
  })

  test('a deleted pod gets SIGTERM, serves on, and leaves nothing', async () => {
    api.create('polite', {
      containers: [shell('trap "sleep 0.5; exit 0" TERM; echo up; while sleep 0.05; do :; done')],
    })
    await eventually('it is up', () => hasOutput('polite'))
    const worker = kubelet.pod('shop', 'polite')!
    const {cgroup} = worker.facts
    const {namespacePath} = worker
    const started = performance.now()
    api.markDeleted('polite', 20)
    await sleep(200)
    assert.equal(api.pods.has('polite'), true, 'it may finish what it does')
    await eventually('its object is gone', () => !api.pods.has('polite'))
    const tookMs = performance.now() - started
    assert.ok(tookMs >= 500 && tookMs < 5000, `took ${tookMs} ms`)
    assert.deepEqual(
      api.deletes.filter(({name}) => name === 'polite'),
      [{name: 'polite', gracePeriodSeconds: 0}],
    )
    assert.equal(existsSync(cgroup), false)
    assert.equal(existsSync(namespacePath), false)
    assert.equal(kubelet.pod('shop', 'polite'), undefined)
  })

  test('what ignores SIGTERM is killed when the grace period ends, with all its children', async () => {
    api.create('stubborn', {
      containers: [shell('trap "" TERM; echo up; sleep 600 & while sleep 0.05; do :; done')],
    })
    await eventually('it is up', () => hasOutput('stubborn'))
    const {cgroup} = kubelet.pod('shop', 'stubborn')!.facts
    const started = performance.now()
    api.markDeleted('stubborn', 1)
    await eventually('its object is gone', () => !api.pods.has('stubborn'))
    const tookMs = performance.now() - started
    assert.ok(tookMs >= 1000 && tookMs < 5000, `took ${tookMs} ms`)
    assert.equal(existsSync(cgroup), false)
  })

  test("host network: the node's addresses, its namespace and its system cgroup", async () => {
    api.create('host', {hostNetwork: true, containers: [shell('cat /proc/self/cgroup; exec sleep 60')]})
    await eventually('it wrote', () => hasOutput('host'))
    assert.match(output('host'), /\/node-1\/system\/pod/)
    assert.equal(kubelet.pod('shop', 'host')?.namespacePath, node.namespacePath)
    await eventually('it has a status', () => api.status('host').podIP === node.addresses[0]?.address)
  })
})
