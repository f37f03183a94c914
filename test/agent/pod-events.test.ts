// SPDX-License-Identifier: Apache-2.0
// Goal: events are what the API server takes for a pod, a few at once and no flood, and a refusal is logged.
// Method: the writer on a fake API and clock; bodies by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {PodEvents} from '../../src/lib/agent/pod-events.ts'
import {recordOf} from '../../src/lib/agent/pod-record.ts'
import {KubeStatusError} from '../../src/lib/errors.ts'
import type {Kube} from '../../src/lib/ports.ts'
import {fakeClock, settle} from '../fakes/clock.ts'
import {memoryLog, pod} from './fakes.ts'

const EVENT = {type: 'Warning', reason: 'BypassFailed', message: 'm'.repeat(2000)} as const

function createEvents(status?: number) {
  const bodies: Record<string, unknown>[] = []
  const create = async (path: {namespace?: string}, body: Record<string, unknown>) => {
    if (status !== undefined) throw new KubeStatusError(status, 'Test', 'no')
    bodies.push({at: path.namespace, ...body})
    return body
  }
  const [clock, log] = [fakeClock(), memoryLog()]
  const events = new PodEvents({create} as unknown as Kube, clock, log, 'n1')
  const record = recordOf(pod('shop/web', []), 'uid-web', undefined, 0)
  return {bodies, clock, log, events, record}
}

test('of the pod, in its namespace, by name of its own', async () => {
  const {bodies, events, record} = createEvents()
  assert.equal(events.write(record, EVENT), 0)
  await settle()
  const [{metadata, message, ...body} = {}] = bodies as [
    {metadata: {name: string; namespace: string}; message: string},
  ]
  assert.match(metadata?.name ?? '', /^web\.[0-9a-f]+\.[0-9a-f]+$/)
  assert.equal(metadata?.namespace, 'shop')
  assert.equal(message?.length, 1000)
  assert.deepEqual(body, {
    at: 'shop',
    apiVersion: 'v1',
    kind: 'Event',
    involvedObject: {apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'web', uid: 'uid-web'},
    type: 'Warning',
    reason: 'BypassFailed',
    source: {component: 'kmesh-daemon', host: 'n1'},
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:00:00Z',
    count: 1,
  })
})

test('five at once, then one a minute', async () => {
  const {bodies, clock, events, record} = createEvents()
  const waits = Array.from({length: 7}, () => events.write(record, EVENT))
  assert.deepEqual(waits, [0, 0, 0, 0, 0, 60_000, 60_000])
  await clock.advance(60_000)
  assert.equal(events.write(record, EVENT), 0)
  await settle()
  assert.equal(bodies.length, 6)
})

test('refused: a warning; the pod or its namespace gone: none', async () => {
  const [denied, gone] = [createEvents(403), createEvents(404)]
  for (const {events, record} of [denied, gone]) events.write(record, EVENT)
  await settle()
  assert.match(denied.log.lines.join(), /^warn pod shop\/web: cannot write event BypassFailed/)
  assert.match(gone.log.lines.join(), /^debug /)
})
