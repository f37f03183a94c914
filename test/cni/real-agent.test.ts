// SPDX-License-Identifier: Apache-2.0
// Goal: the installed form of kmesh-cni and a real agent on the real kernel: what the runtime is told is what the
// kernel has, and an agent that is away, stuck or just starting decides by the policy.
// Method: the plugin is executed as a runtime does it, km_manage is read with bpftool.
import assert from 'node:assert/strict'
import {existsSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {skipReason} from '../adapters/kernel-fixture.ts'
import {namespace, pod} from '../agent/fakes.ts'
import {LAUNCHER, PREV_RESULT} from './exec-plugin.ts'
import {RealAgent} from './real-agent.ts'

const skip = skipReason()
const UID = '11111111-2222-3333-4444-5555555555'
const MANY = 20
/** For calls that wait in vain. */
const SHORT = {timeoutSeconds: 1}

let node: RealAgent
let netns: string

function addPod(key: string, number: number, labels?: Record<string, string>): void {
  const uid = `${UID}${String(number).padStart(2, '0')}`
  node.api.put('pods', pod(key, [], {uid, phase: 'Pending', ...(labels === undefined ? {} : {labels})}))
}

before(async () => {
  if (skip !== false) return
  node = new RealAgent()
  await node.prepare()
  node.api.put('namespaces', namespace('shop', 'kmesh'))
  node.api.put('namespaces', namespace('plain'))
  addPod('shop/web', 1)
  addPod('plain/other', 2)
  addPod('shop/opted-out', 3, {'istio.io/dataplane-mode': 'none'})
  addPod('plain/labelled', 4, {'istio.io/dataplane-mode': 'Kmesh'})
  netns = node.kernel.addNamespace('web')
  await node.start()
})

after(async () => {
  if (skip === false) await node.close()
})

async function answers(command: string, key: string, path = netns, config = {}) {
  const {status, stdout, stderr} = await node.exec(command, key, path, {config})
  assert.equal(stderr, '')
  return {status, stdout, code: status === 0 ? 0 : (JSON.parse(stdout) as {code: number}).code}
}

test('one pod through its life', {skip, timeout: 60_000}, async (t) => {
  await t.test('STATUS: nothing to say', async () => {
    assert.deepEqual(await answers('STATUS', 'shop/web'), {status: 0, stdout: '', code: 0})
  })

  await t.test('ADD: the kernel has it when the plugin has answered, the result is untouched', async () => {
    await node.until('the plugin is installed', () => existsSync(node.installed))
    const {status, stdout} = await node.exec('ADD', 'shop/web', netns, {program: node.installed})
    assert.equal(node.managed().length, 1)
    assert.deepEqual([status, stdout], [0, PREV_RESULT])
    assert.match(readFileSync(node.logFile, 'utf8'), /"message":"enrolled".*"rule":"NamespaceLabel"/)
  })

  await t.test('ADD again changes nothing', async () => {
    const before = node.managed()
    assert.equal((await node.exec('ADD', 'shop/web', netns, {program: LAUNCHER})).stdout, PREV_RESULT)
    assert.deepEqual(node.managed(), before)
  })

  await t.test('CHECK asks the kernel', async () => {
    assert.deepEqual(await answers('CHECK', 'shop/web'), {status: 0, stdout: '', code: 0})
    assert.equal((await answers('CHECK', 'shop/opted-out')).code, 0)
  })

  await t.test(
    'GC with the container keeps it, of another network too, without it takes it out',
    async () => {
      const own = {containerID: 'c-web', ifname: 'eth0'}
      const gc = (name: string, valid: object[]) =>
        answers('GC', 'shop/web', netns, {name, 'cni.dev/valid-attachments': valid})
      assert.equal((await gc('k8s-pod-network', [own])).code, 0)
      assert.equal((await gc('other', [])).code, 0)
      assert.equal(node.managed().length, 1)
      assert.equal((await gc('k8s-pod-network', [{...own, containerID: 'c-else'}])).code, 0)
      assert.equal(node.managed().length, 0)
    },
  )

  await t.test('DEL takes it out, also again and without a namespace', async () => {
    await answers('ADD', 'shop/web')
    assert.equal(node.managed().length, 1)
    assert.deepEqual(await answers('DEL', 'shop/web', ''), {status: 0, stdout: '', code: 0})
    assert.equal(node.managed().length, 0)
    assert.deepEqual(await answers('DEL', 'shop/web'), {status: 0, stdout: '', code: 0})
  })
})

test('pods that are not in the mesh pass, and the kernel is not told', {skip, timeout: 60_000}, async () => {
  for (const key of ['plain/other', 'shop/opted-out']) {
    assert.deepEqual(await answers('ADD', key), {status: 0, stdout: PREV_RESULT, code: 0})
    assert.deepEqual(node.managed(), [])
  }
})

test('a namespace that is none is an error for pods of the mesh only', {skip, timeout: 60_000}, async () => {
  for (const wrong of ['/proc/self/ns/nothing', '/etc/hostname', '/proc/self/ns/mnt', '/proc/1/ns/net']) {
    const answer = await node.exec('ADD', 'shop/web', wrong)
    assert.equal(answer.status, 1, `${wrong}: ${answer.stdout}`)
    assert.equal((await answers('ADD', 'plain/other', wrong)).status, 0, wrong)
    assert.deepEqual(node.managed(), [])
  }
})

test('twenty at once', {skip, timeout: 120_000}, async () => {
  const pods = Array.from({length: MANY}, (_unused, index) => ({
    key: `shop/many-${index}`,
    path: node.kernel.addNamespace(`m${index}`),
  }))
  for (const [index, {key}] of pods.entries()) addPod(key, 10 + index)
  const added = await Promise.all(pods.map(({key, path}) => node.exec('ADD', key, path)))
  for (const {status, stdout} of added) assert.deepEqual([status, stdout], [0, PREV_RESULT])
  assert.equal(new Set(node.managed()).size, MANY)
  const lines = readFileSync(node.logFile, 'utf8').trimEnd().split('\n')
  assert.equal(lines.filter((line) => JSON.parse(line).containerId?.startsWith('c-many-')).length, MANY)
  await Promise.all(pods.map(({key, path}) => node.exec('DEL', key, path)))
  assert.deepEqual(node.managed(), [])
})

test('socket and files are for root only', {skip}, () => {
  const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8)
  assert.equal(modeOf(node.runDir), '700')
  assert.equal(modeOf(join(node.runDir, 'cni.sock')), '600')
  assert.equal(modeOf(join(node.runDir, 'cni-cache.json')), '600')
  assert.equal(modeOf(node.logFile), '600')
})

test('an agent that is stuck: the policy decides in time', {skip, timeout: 60_000}, async () => {
  node.pause('SIGSTOP')
  const stuck = await node.exec('ADD', 'shop/web', netns, {config: SHORT})
  assert.equal(stuck.status, 1)
  assert.match(stuck.stdout, /"code":11,"msg":"the agent of the mesh is away: no answer at .* within \d+ ms"/)
  assert.ok(stuck.tookMs < 10_000)
  assert.equal(
    (await answers('ADD', 'shop/web', netns, {...SHORT, failurePolicy: 'ignore'})).stdout,
    PREV_RESULT,
  )
  assert.equal((await answers('ADD', 'plain/other')).stdout, PREV_RESULT)
  assert.equal((await answers('DEL', 'shop/web', netns, SHORT)).status, 0)
  node.pause('SIGCONT')
})

test('an agent that was killed: its file decides, and the next one catches up', {
  skip,
  timeout: 120_000,
}, async (t) => {
  addPod('shop/late', 50)
  await node.until('the file knows the pod', () =>
    readFileSync(join(node.runDir, 'cni-cache.json'), 'utf8').includes(`${UID}50`),
  )
  await node.stop('SIGKILL')
  assert.ok(existsSync(join(node.runDir, 'cni.sock')), 'a killed agent leaves its socket')

  await t.test('fail: only pods of the mesh, by pod, by cluster', async () => {
    for (const key of ['shop/late', 'plain/labelled'])
      assert.equal((await answers('ADD', key, netns, SHORT)).code, 11, key)
    for (const key of ['plain/other', 'shop/opted-out'])
      assert.equal((await answers('ADD', key)).code, 0, key)
    assert.equal((await answers('STATUS', 'shop/late', netns, SHORT)).code, 50)
    assert.equal((await answers('STATUS', 'shop/late', netns, {...SHORT, failurePolicy: 'ignore'})).code, 0)
  })

  await t.test('an agent that comes within the time is waited for', async () => {
    const waiting = node.exec('ADD', 'shop/late', netns)
    await node.start()
    const {status, stdout} = await waiting
    assert.deepEqual([status, stdout], [0, PREV_RESULT])
    assert.equal(node.managed().length, 1)
  })

  await t.test('it knows what the one before was asked for', async () => {
    await node.stop('SIGTERM')
    await node.start()
    assert.equal((await answers('CHECK', 'shop/late')).code, 0)
    assert.equal((await answers('DEL', 'shop/late', '')).code, 0)
    assert.equal(node.managed().length, 0)
  })
})
