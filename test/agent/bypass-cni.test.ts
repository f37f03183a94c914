// SPDX-License-Identifier: Apache-2.0
// Goal: CNI ADD is answered when the sidecar is short-circuited and the kernel has the pod, or with what failed.
// Method: the enroller on fakes, the namespace by the path that CNI has; no process is in it.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {createCniWorld} from './cni-world.ts'
import {KMESH, LABEL} from './enroll-world.ts'
import {namespace, pod} from './fakes.ts'

const SIDECAR = {annotations: {'sidecar.istio.io/status': '{}'}}

function createSidecarWorld(labels: Readonly<Record<string, string>> = KMESH.labels) {
  const world = createCniWorld()
  world.known(pod('shop/a', [], {labels, ...SIDECAR}))
  const enroller = world.start()
  enroller.start()
  return {...world, enroller}
}

test('rules, then the kernel, then the answer', async () => {
  const {enroller, request, rules, cookies} = createSidecarWorld()
  const seen: number[] = []
  rules.onCall = () => void seen.push(cookies().length)
  assert.deepEqual(await enroller.addPod(request()), {enrolled: true, rule: 'PodLabelKmesh', cookie: '7'})
  assert.deepEqual([seen, [...rules.whole], cookies()], [[0], ['7'], ['7']])
})

test('again: the same answer, and no command', async () => {
  const {enroller, request, rules} = createSidecarWorld()
  const first = await enroller.addPod(request())
  const calls = rules.calls.length
  assert.deepEqual(await enroller.addPod(request()), first)
  assert.equal(rules.calls.length, calls)
})

test('two at the same time: one change', async () => {
  const {enroller, request, rules, clock} = createSidecarWorld()
  rules.onCall = () => clock.sleep(50)
  const both = Promise.all([enroller.addPod(request()), enroller.addPod(request())])
  await clock.advance(200)
  assert.deepEqual(
    (await both).map(({enrolled}) => enrolled),
    [true, true],
  )
  assert.equal(rules.calls.filter((call) => call === 'put 7').length <= 2, true)
})

test('commands fail: so does it, and nothing is captured; later it works', async () => {
  const {enroller, request, rules, cookies} = createSidecarWorld()
  rules.failWith = new Error('iptables is locked')
  await assert.rejects(enroller.addPod(request()), /iptables is locked/)
  assert.deepEqual(cookies(), [])
  rules.failWith = undefined
  assert.equal((await enroller.addPod(request())).enrolled, true)
  assert.deepEqual(cookies(), ['7'])
})

test('no support, as of an Istio that was there first: not enrolled, and that is no failure', async () => {
  const {enroller, request, rules, cookies} = createSidecarWorld()
  rules.redirections.set('7', 'tproxy')
  assert.deepEqual(await enroller.addPod(request()), {
    enrolled: false,
    rule: 'BypassUnsupported',
    cookie: null,
  })
  assert.deepEqual([cookies(), [...rules.whole]], [[], []])
})

test('label of bypass alone', async () => {
  const {enroller, request, rules, cookies} = createSidecarWorld({'kmesh.net/bypass': 'enabled'})
  assert.equal((await enroller.addPod(request())).enrolled, false)
  assert.deepEqual([[...rules.whole], cookies()], [['7'], []])
})

test('a namespace that injects, which the watch has not told', async () => {
  const world = createCniWorld()
  world.known(pod('shop/a', [], KMESH))
  const injecting = {...namespace('shop'), metadata: {name: 'shop', labels: {'istio-injection': 'enabled'}}}
  world.kube.objects.set('namespaces/shop', injecting)
  await world.start().addPod(world.request())
  assert.deepEqual([[...world.rules.whole], world.cookies()], [['7'], ['7']])
})

test('the pod is deleted meanwhile: refused, nothing stays', async () => {
  const {enroller, request, rules, cookies, clock} = createSidecarWorld()
  rules.onCall = () => clock.sleep(50)
  const adding = enroller.addPod(request())
  const refused = assert.rejects(adding, {code: 'PodNotFound'})
  await clock.advance(20)
  enroller.podDeleted(pod('shop/a', []))
  await clock.advance(1000)
  await refused
  assert.deepEqual([cookies(), [...rules.whole]], [[], []])
})

test('the label goes meanwhile: neither rules nor capture', async () => {
  const {enroller, request, rules, cookies, clock} = createSidecarWorld()
  rules.onCall = () => clock.sleep(50)
  const adding = enroller.addPod(request())
  await clock.advance(20)
  enroller.podChanged(pod('shop/a', [], {labels: {[LABEL]: 'none'}, ...SIDECAR}))
  await clock.advance(1000)
  assert.deepEqual((await adding).enrolled, false)
  assert.deepEqual([cookies(), [...rules.whole]], [[], []])
})

test('the sandbox is taken down: nothing is run in a namespace that goes', async () => {
  const {enroller, request, rules, cookies, clock} = createSidecarWorld()
  await enroller.addPod(request())
  const calls = rules.calls.length
  await enroller.removePod(request())
  await clock.advance(60_000)
  assert.deepEqual([cookies(), rules.calls.slice(calls), enroller.problems()], [[], [], []])
})

test('due again and waiting for its next retry: done at once when CNI asks', async () => {
  const {enroller, request, rules, clock, cookies} = createSidecarWorld()
  rules.failWith = new Error('iptables is locked')
  rules.onCall = () => clock.sleep(50)
  const first = assert.rejects(enroller.addPod(request()), /iptables is locked/)
  await clock.advance(60)
  await first
  for (let failures = 1; failures < 8; failures += 1) {
    await clock.advance(200 * 2 ** (failures - 1) - 10)
    // In the middle of the next run.
    await clock.advance(20)
    const started = {
      name: 'app',
      ready: true,
      restartCount: failures,
      containerID: `containerd://${failures}`,
    }
    const one = pod('shop/a', [], {...KMESH, ...SIDECAR})
    enroller.podChanged({...one, status: {...one.status, containerStatuses: [started]}})
    await clock.advance(40)
  }
  assert.equal(rules.calls.length, 8)
  rules.failWith = undefined
  const adding = enroller.addPod(request())
  await clock.advance(60)
  assert.deepEqual([cookies(), rules.calls.length], [['7'], 9])
  await adding
})
