// SPDX-License-Identifier: Apache-2.0
// Goal: -w shows what is there, then each change once, from the API server and from daemons, says troubles once, and ends with the signal.
// Method: fake informers, daemons and time; events by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {DeniedError} from '../../src/lib/errors.ts'
import type {KubeObject} from '../../src/lib/model/kube.ts'
import {objectKey} from '../../src/lib/model/kube.ts'
import {type InteropWatchRequest, interopEvents} from '../../src/lib/ops/interop-watch.ts'
import type {Informer, InformerOptions, Informers, Kube} from '../../src/lib/ports.ts'
import {changeLine} from '../../src/lib/render/interop.ts'
import {CAPTURED, entryOf, MODE, namespaceOf, podOf} from '../model/plan-fixtures.ts'
import {FakeClock, type FakeDaemon, fakeDialer} from './enroll-fakes.ts'

const RESOURCE_OF: Readonly<Record<string, string>> = {
  Pod: 'pods',
  Service: 'services',
  EndpointSlice: 'endpointslices',
}

class Lists implements Informers {
  problem: string | undefined
  isSynced = true
  closed = 0
  private readonly kinds = new Map<string, {objects: Map<string, KubeObject>; tell: () => void}>()

  start<T extends KubeObject>({resource}: {resource: string}, options: InformerOptions<T>): Informer<T> {
    const objects = new Map<string, T>()
    const tell = (): void => options.handler.onSynced?.()
    this.kinds.set(resource, {objects, tell})
    const lists = this
    return {
      get synced() {
        return lists.isSynced
      },
      get problem() {
        return lists.problem
      },
      get: (key) => objects.get(key),
      values: () => objects.values(),
      close: () => {
        lists.closed += 1
      },
    }
  }

  put(...objects: readonly KubeObject[]): void {
    for (const object of objects) {
      const kind = this.kind(object)
      kind?.objects.set(objectKey(object), object)
      kind?.tell()
    }
  }

  remove(object: KubeObject): void {
    this.kind(object)?.objects.delete(objectKey(object))
    this.kind(object)?.tell()
  }

  private kind({metadata, kind}: KubeObject) {
    return this.kinds.get(
      metadata.namespace === undefined ? 'namespaces' : (RESOURCE_OF[kind ?? 'Pod'] ?? ''),
    )
  }
}

function watching(
  daemon: () => FakeDaemon,
  more: Partial<InteropWatchRequest> = {},
  kube: Partial<Kube> = {},
) {
  const informers = new Lists()
  const controller = new AbortController()
  const notes: string[] = []
  const {targets} = fakeDialer({n1: {}})
  const dialer = {
    dial: (target: (typeof targets)[number]) => fakeDialer({n1: daemon()}).dialer.dial(target),
    close: async () => undefined,
  }
  const events = interopEvents(
    {kube: kube as Kube, dialer, clock: new FakeClock(), signal: controller.signal, informers},
    {
      namespace: undefined,
      selector: undefined,
      by: 'pod',
      findDaemons: async () => targets,
      concurrency: 1,
      intervalMs: 3000,
      onNote: (text) => notes.push(text),
      ...more,
    },
  )
  const next = async (): Promise<string[]> => {
    const {value} = await events.next()
    return value.map(({type, item}) => `${type} ${item.kind} ${item.name} ${item.state} ${item.reason}`)
  }
  return {informers, controller, notes, events, next}
}

test('what is there, then a label, then the daemon that acts on it, then the end of the pod', async () => {
  let captured = false
  const entry = () => entryOf('uid-web', captured, {intent: captured, since: '2026-03-01T12:00:00Z'})
  const {informers, next, controller, events} = watching(() => ({entries: () => [entry()]}))
  const first = next()
  informers.put(namespaceOf('shop'), podOf('web'))
  assert.deepEqual(await first, ['ADDED Namespace shop active null', 'ADDED Pod web active NotLabelled'])
  const labelled = podOf('web', {mode: 'kmesh', startTime: '2026-03-01T12:00:00Z'})
  informers.put(labelled)
  assert.deepEqual(await next(), [
    'MODIFIED Namespace shop pending KernelDiffers',
    'MODIFIED Pod web pending KernelDiffers',
  ])
  captured = true
  informers.put({
    ...labelled,
    metadata: {...labelled.metadata, annotations: CAPTURED, labels: {[MODE]: 'kmesh'}},
  })
  // The annotation is seen at once, the kernel when the daemon is asked again.
  assert.deepEqual(await next(), ['MODIFIED Pod web pending KernelDiffers'])
  assert.deepEqual(await next(), [
    'MODIFIED Namespace shop active null',
    'MODIFIED Pod web active PodLabelKmesh',
  ])
  informers.remove(podOf('web'))
  assert.deepEqual(await next(), [
    'MODIFIED Namespace shop active null',
    'DELETED Pod web active PodLabelKmesh',
  ])
  controller.abort(new Error('Ctrl-C'))
  await assert.rejects(events.next(), {message: 'Ctrl-C'})
  assert.equal(informers.closed, 2)
})

test('a daemon that fails, and a watch that is down, are said once, and again when they work', async () => {
  let fails = true
  const {informers, next, notes} = watching(() => ({fails, entries: () => [entryOf('uid-web', false)]}))
  const first = next()
  informers.put(namespaceOf('shop'), podOf('web'))
  assert.deepEqual(await first, [
    'ADDED Namespace shop null DaemonNotReady',
    'ADDED Pod web null DaemonNotReady',
  ])
  assert.equal(notes.length, 1)
  assert.match(notes[0] ?? '', /^n1: .*connection refused/)
  fails = false
  informers.problem = 'disconnected'
  assert.deepEqual(await next(), [
    'MODIFIED Namespace shop active null',
    'MODIFIED Pod web active NotLabelled',
  ])
  assert.deepEqual(notes.slice(1), [
    'watch of namespaces: disconnected',
    'watch of pods: disconnected',
    'n1: works again',
  ])
})

test('by service: who receives, as endpoints, pods and daemons change', async () => {
  const metadata = {name: 'web', namespace: 'shop'}
  const service = {kind: 'Service', metadata}
  const sliceOf = (...pods: readonly string[]) => ({
    kind: 'EndpointSlice',
    metadata: {name: 'web-1', namespace: 'shop', labels: {'kubernetes.io/service-name': 'web'}},
    endpoints: pods.map((name) => ({addresses: [name], targetRef: {kind: 'Pod', name}})),
  })
  const {informers, events, controller} = watching(() => ({entries: () => [entryOf('uid-web', false)]}), {
    by: 'service',
  })
  const next = async () => {
    const {value} = await events.next()
    return value.map(({type, item}) =>
      changeLine(type, item, Date.parse('2026-03-01T12:00:03Z'), false).slice(9, -1),
    )
  }
  const first = next()
  informers.put(namespaceOf('shop'), podOf('web'), service)
  assert.deepEqual(await first, ['added service/shop/web intent no pods, now no endpoints: active'])
  informers.put(sliceOf('web'))
  assert.deepEqual(await next(), ['changed service/shop/web intent none 1, now none 1: active'])
  informers.put(podOf('web', {mode: 'kmesh', startTime: '2026-03-01T12:00:00Z'}))
  assert.deepEqual(await next(), [
    'changed service/shop/web intent kmesh 1, now none 1: pending (KernelDiffers)',
  ])
  informers.put(sliceOf('web', '192.0.2.1'))
  assert.deepEqual(await next(), [
    'changed service/shop/web intent kmesh 1, now none 1, outside 1: pending (KernelDiffers)',
  ])
  const gone = sliceOf('web', '192.0.2.1')
  informers.put({
    ...gone,
    endpoints: gone.endpoints.map((one) => ({...one, conditions: {ready: false}})),
  } as KubeObject)
  assert.deepEqual(await next(), [
    'changed service/shop/web intent no pods, now no endpoints, not ready 2: active',
  ])
  informers.put(gone)
  await next()
  informers.remove(service)
  assert.deepEqual(await next(), [
    'removed service/shop/web intent kmesh 1, now none 1, outside 1: pending (KernelDiffers)',
  ])
  controller.abort(new Error('Ctrl-C'))
  await assert.rejects(events.next(), {message: 'Ctrl-C'})
  assert.equal(informers.closed, 4)
})

test('namespaces that may not be listed end it with their own failure', async () => {
  const list = async (): Promise<never> => {
    throw new DeniedError(403, 'Forbidden', 'namespaces is forbidden')
  }
  const {informers, events} = watching(() => ({}), {}, {list})
  informers.isSynced = false
  informers.problem = 'namespaces is forbidden'
  await assert.rejects(events.next(), {exitCode: 6})
})

test('a line for people', async () => {
  const {informers, events} = watching(() => ({entries: () => [entryOf('uid-web', false)]}))
  const first = events.next()
  informers.put(namespaceOf('shop'), podOf('web'))
  const {value} = await first
  const [namespace, pod] = value.map(({type, item}) =>
    changeLine(type, item, Date.parse('2026-03-01T12:00:03Z'), false),
  )
  assert.equal(namespace, '12:00:03 added namespace/shop intent none, now none 1: active\n')
  assert.equal(pod, '12:00:03 added shop/web intent none, now none: active (NotLabelled)\n')
})
