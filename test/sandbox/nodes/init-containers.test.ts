// SPDX-License-Identifier: Apache-2.0
// Goal: init containers run in order, each to its end, retried; native sidecars start in between and end last.
// Method: real processes on a real sandbox node that write to one file when they begin and end.
import assert from 'node:assert/strict'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, suite, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {podCells} from '../../../src/lib/sandbox/api/table-pod.ts'
import {startKubelet} from '../../../src/lib/sandbox/nodes/kubelet.ts'
import type {NodeContext} from '../../../src/lib/sandbox/nodes/node-context.ts'
import {eventually, type FakePods, type Ground, layNodes} from './node-fixture.ts'

suite('init containers', () => {
  let ground: Ground
  let node: NodeContext
  let api: FakePods
  before(async () => {
    ground = await layNodes('init')
    node = ground.nodes[0]!
    api = ground.api
    startKubelet(node, api.informers)
  })
  after(() => ground.down())

  const book = (name: string): string => join(node.paths.runDir, name)
  const lines = (name: string): string[] =>
    existsSync(book(name)) ? readFileSync(book(name), 'utf8').trim().split('\n') : []
  const shell = (name: string, script: string) => ({name, command: ['sh', '-c', script]})
  /** Runs until SIGTERM and writes both down. */
  const steady = (name: string, file: string) =>
    shell(
      name,
      `trap 'echo end ${name} >> ${file}; exit 0' TERM; echo ${name} >> ${file}; while sleep 0.05; do :; done`,
    )
  const cells = (pod: string) => podCells(api.pods.get(pod) as never)
  const states = (pod: string) => api.status(pod).initContainerStatuses ?? []

  test('one after the other, each to its end, before the containers', async () => {
    const file = book('order')
    api.create('order', {
      initContainers: [
        shell('first', `sleep 0.3; echo first >> ${file}`),
        shell('second', `echo second >> ${file}`),
      ],
      containers: [steady('main', file)],
    })
    await eventually('the first runs', () => states('order')[0]?.state?.running !== undefined)
    assert.equal(cells('order').status, 'Init:0/2')
    assert.equal(api.condition('order', 'Initialized'), 'False')
    assert.equal(api.status('order').phase, 'Pending')
    assert.equal(api.status('order').containerStatuses?.[0]?.state?.waiting?.reason, 'PodInitializing')
    await eventually('it is Ready', () => api.condition('order', 'Ready') === 'True')
    await eventually('main wrote', () => lines('order').length === 3)
    assert.deepEqual(lines('order'), ['first', 'second', 'main'])
    assert.deepEqual(
      states('order').map(({ready, state}) => [ready, state?.terminated?.reason]),
      [
        [true, 'Completed'],
        [true, 'Completed'],
      ],
    )
    assert.deepEqual(cells('order'), {ready: '1/1', status: 'Running', restarts: 0})
  })

  test('what fails is tried again with back-off, and holds up the rest', async () => {
    const file = book('again')
    api.create('again', {
      initContainers: [shell('flaky', `echo try >> ${file}; test $(wc -l < ${file}) -ge 2`)],
      containers: [steady('main', file)],
    })
    await eventually('it waits', () => cells('again').status === 'Init:CrashLoopBackOff')
    assert.deepEqual(lines('again'), ['try'])
    await eventually('it is Ready', () => api.condition('again', 'Ready') === 'True')
    assert.deepEqual(lines('again').slice(0, 2), ['try', 'try'])
    assert.equal(states('again')[0]?.restartCount, 1)
  })

  test('with restartPolicy Never a failure is the end of the pod', async () => {
    api.create('never', {
      restartPolicy: 'Never',
      initContainers: [shell('bad', 'exit 3')],
      containers: [steady('main', book('never'))],
    })
    await eventually('it failed', () => api.status('never').phase === 'Failed')
    assert.equal(states('never')[0]?.state?.terminated?.exitCode, 3)
    assert.equal(cells('never').status, 'Init:Error')
    assert.deepEqual(lines('never'), [])
  })

  test('a sidecar starts in order, the next waits for its startup probe; it ends after the containers', async () => {
    const file = book('sidecar')
    const open = book('open')
    const startupProbe = {exec: {command: ['test', '-e', open]}, periodSeconds: 1, failureThreshold: 60}
    api.create('native', {
      initContainers: [
        {...steady('proxy', file), restartPolicy: 'Always', startupProbe},
        shell('later', `echo later >> ${file}`),
      ],
      containers: [steady('main', file)],
    })
    await eventually('the sidecar runs', () => lines('sidecar').includes('proxy'))
    await sleep(300)
    assert.deepEqual(lines('sidecar'), ['proxy'])
    assert.equal(cells('native').status, 'Init:0/2')
    writeFileSync(open, '')
    await eventually('it is Ready', () => api.condition('native', 'Ready') === 'True')
    await eventually('main wrote', () => lines('sidecar').length === 3)
    assert.deepEqual(lines('sidecar'), ['proxy', 'later', 'main'])
    assert.deepEqual(cells('native'), {ready: '2/2', status: 'Running', restarts: 0})
    api.markDeleted('native', 10)
    await eventually('it is gone', () => !api.pods.has('native'))
    assert.deepEqual(lines('sidecar').slice(3), ['end main', 'end proxy'])
  })

  test('a pod that is over ends its sidecar', async () => {
    const file = book('over')
    api.create('over', {
      restartPolicy: 'Never',
      initContainers: [{...steady('proxy', file), restartPolicy: 'Always'}],
      containers: [shell('main', 'sleep 0.3')],
    })
    await eventually('it is over', () => api.status('over').phase === 'Succeeded')
    await eventually('the sidecar ended', () => lines('over').includes('end proxy'))
  })

  test('a pod that is deleted while it initializes goes at once', async () => {
    api.create('stuck', {
      initContainers: [shell('long', 'exec sleep 600')],
      containers: [shell('main', 'exec sleep 600')],
    })
    await eventually('it runs', () => states('stuck')[0]?.state?.running !== undefined)
    api.markDeleted('stuck', 1)
    await eventually('it is gone', () => !api.pods.has('stuck'))
  })
})
