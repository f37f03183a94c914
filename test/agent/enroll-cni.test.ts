// SPDX-License-Identifier: Apache-2.0
// Goal: CNI's requests put the pod into the kernel before they are answered, whatever the watch knows by then.
// Method: Enroller on fakes; the namespace is given by path, as CNI has it, without any process inside.
import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {ENROLLED_FILE} from '../../src/lib/agent/enroll-state.ts'
import {createCniWorld} from './cni-world.ts'
import {KMESH, LABEL} from './enroll-world.ts'
import {namespace, pod} from './fakes.ts'

describe('add', () => {
  test('a pod that the watch has not told is fetched, written, answered, then claimed', async () => {
    const {start, cookies, known, request, kube, files, clock} = createCniWorld()
    const enroller = start()
    enroller.start()
    known(pod('shop/a', [], KMESH))
    const answer = await enroller.addPod(request())
    assert.deepEqual(answer, {enrolled: true, rule: 'PodLabelKmesh', cookie: '7'})
    assert.deepEqual(cookies(), ['7'])
    assert.match(files.read(ENROLLED_FILE) ?? '', /"uid-a"[^}]*"cookie": "7"/)
    await clock.advance(10)
    assert.equal(kube.patches.length, 1)
    assert.deepEqual(kube.reads, ['pods/shop/a', 'namespaces/shop'])
  })

  test('by the namespace label, whose watch is late: the pod watch does not undo it', async () => {
    const {start, cookies, known, request, kube, clock, namespaces} = createCniWorld()
    const enroller = start()
    enroller.start()
    kube.objects.set('namespaces/shop', namespace('shop', 'Kmesh'))
    known(pod('shop/a', []))
    assert.equal((await enroller.addPod(request())).rule, 'NamespaceLabel')
    enroller.podChanged(pod('shop/a', ['10.0.0.1']))
    await clock.advance(100)
    assert.deepEqual(cookies(), ['7'])
    namespaces.set('shop', {})
    enroller.namespaceChanged('shop')
    assert.deepEqual(cookies(), [], 'from here on the watch decides')
  })

  test('nothing is asked of the API server where the watch knows both', async () => {
    const {start, request, kube, namespaces, cookies} = createCniWorld()
    namespaces.set('shop', {[LABEL]: 'kmesh'})
    const enroller = start()
    enroller.podChanged(pod('shop/a', []))
    enroller.start()
    await enroller.addPod(request())
    assert.deepEqual([kube.reads, cookies()], [[], ['7']])
  })

  test('before the first lists are complete', async () => {
    const {start, cookies, known, request, clock} = createCniWorld()
    const enroller = start()
    known(pod('shop/a', [], KMESH))
    await enroller.addPod(request())
    assert.deepEqual(cookies(), ['7'])
    enroller.podChanged(pod('shop/a', [], KMESH))
    enroller.start()
    await clock.advance(100)
    assert.deepEqual(cookies(), ['7'])
  })

  test('again: the same answer and not one write more', async () => {
    const {start, bpf, files, known, request} = createCniWorld()
    const enroller = start()
    enroller.start()
    known(pod('shop/a', [], KMESH))
    const first = await enroller.addPod(request())
    const [writes, saved] = [bpf.writes.length, files.writes.length]
    assert.deepEqual(await enroller.addPod(request()), first)
    assert.deepEqual([bpf.writes.length, files.writes.length], [writes, saved])
  })

  test('the watch tells the pod while it is fetched: one record, one entry', async () => {
    const {start, cookies, known, request, kube} = createCniWorld()
    const enroller = start()
    enroller.start()
    known(pod('shop/a', [], KMESH))
    kube.onRead = () => enroller.podChanged(pod('shop/a', [], KMESH))
    await Promise.all([enroller.addPod(request()), enroller.addPod(request())])
    assert.deepEqual(cookies(), ['7'])
    assert.equal(enroller.report().length, 1)
  })

  test('the path of the sandbox and the process found later are one namespace', async () => {
    const {start, cookies, known, request, node, bpf, clock} = createCniWorld()
    const enroller = start()
    enroller.start()
    known(pod('shop/a', [], KMESH))
    await enroller.addPod(request())
    const writes = bpf.writes.length
    node.run('uid-a', 7n)
    enroller.podChanged(pod('shop/a', ['10.0.0.1'], KMESH))
    await clock.advance(40_000)
    assert.deepEqual([cookies(), bpf.writes.length], [['7'], writes])
  })

  test('not enrolled: nothing is written, and the label that comes later finds the namespace', async () => {
    const {start, cookies, known, request} = createCniWorld()
    const enroller = start()
    enroller.start()
    known(pod('shop/a', []))
    assert.deepEqual(await enroller.addPod(request()), {enrolled: false, rule: 'NotLabelled', cookie: null})
    assert.deepEqual(cookies(), [])
    enroller.podChanged(pod('shop/a', [], KMESH))
    assert.deepEqual(cookies(), ['7'])
  })

  test('untouched: CNI is the first sight, kept over a restart', async () => {
    const {start, cookies, known, request, namespaces, kube, clock, node} = createCniWorld()
    kube.objects.set('namespaces/shop', namespace('shop', 'kmesh'))
    const enroller = start('untouched')
    enroller.start()
    known(pod('shop/a', []))
    await enroller.addPod(request())
    namespaces.set('shop', {})
    const next = start('untouched')
    node.run('uid-a', 7n)
    next.podChanged(pod('shop/a', []))
    next.start()
    await clock.advance(100)
    assert.deepEqual(cookies(), ['7'])
    next.podDeleted(pod('shop/a', []))
    assert.deepEqual(cookies(), [])
  })

  test('a static pod is known by the uid of its file', async () => {
    const {start, cookies, known, request, node, clock} = createCniWorld()
    const enroller = start()
    enroller.start()
    const annotations = {'kubernetes.io/config.hash': 'f'.repeat(32)}
    known(pod('shop/a', [], {...KMESH, annotations}))
    await enroller.addPod(request({uid: 'f'.repeat(32)}))
    assert.deepEqual(cookies(), ['7'])
    node.run('f'.repeat(32), 8n)
    enroller.podChanged(pod('shop/a', ['10.0.0.1'], {...KMESH, annotations}))
    await clock.advance(100)
    assert.deepEqual(cookies(), ['8'], 'found among the processes under the same uid')
  })

  test('refused: the node itself, a namespace that is gone, another pod of that name, another node', async () => {
    const {start, cookies, known, request, node} = createCniWorld()
    const enroller = start()
    enroller.start()
    known(pod('shop/a', [], KMESH))
    node.paths.set('/netns/1/node', 'node-namespace')
    await assert.rejects(enroller.addPod(request({netnsPath: '/netns/1/node'})), {code: 'NodeNamespace'})
    await assert.rejects(enroller.addPod(request({netnsPath: '/netns/5/gone'})), {code: 'Kernel'})
    await assert.rejects(enroller.addPod(request({uid: 'uid-of-before'})), {code: 'PodNotFound'})
    await assert.rejects(enroller.addPod(request({name: 'b'})), {code: 'PodNotFound'})
    known(pod('shop/a', [], {...KMESH, spec: {nodeName: 'n2'}}))
    await assert.rejects(enroller.addPod(request()), {code: 'WrongNode'})
    assert.deepEqual([cookies(), enroller.report()], [[], []])
  })

  test('the API server is away, a map is full: the caller hears it', async () => {
    const {start, cookies, known, request, kube, bpf} = createCniWorld()
    const enroller = start()
    enroller.start()
    known(pod('shop/a', [], KMESH))
    kube.failWith = 503
    await assert.rejects(enroller.addPod(request()), /status 503/)
    kube.failWith = undefined
    bpf.failNext('update', 7)
    await assert.rejects(enroller.addPod(request()), /E2BIG/)
    await enroller.addPod(request())
    assert.deepEqual(cookies(), ['7'])
  })

  test('a pod that goes while it is fetched does not stay for ever', async () => {
    const {start, cookies, known, request, kube, clock} = createCniWorld()
    const enroller = start()
    enroller.start()
    known(pod('shop/a', [], KMESH))
    await enroller.addPod(request())
    kube.objects.delete('pods/shop/a')
    await clock.advance(31_000)
    assert.deepEqual([cookies(), enroller.report()], [[], []])
  })
})
