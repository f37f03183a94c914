// SPDX-License-Identifier: Apache-2.0
// Goal: informers stay current over clean ends, errors, 410, silence and replaced objects, and stop when closed.
// Method: a Kube whose lists and watches are scripted by the test, and a clock that the test moves.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {createInformers} from '../../src/lib/adapters/watch.ts'
import {KubeStatusError, UnreachableError} from '../../src/lib/errors.ts'
import type {KubeObject, WatchEvent} from '../../src/lib/model/kube.ts'
import {RESOURCES} from '../../src/lib/model/kube.ts'
import type {Informer, Kube, Log} from '../../src/lib/ports.ts'
import {fakeClock, settle} from '../fakes/clock.ts'

type Step = WatchEvent<KubeObject> | Error | 'end' | 'hang'

function pod(name: string, resourceVersion: string, uid = `uid-${name}`): KubeObject {
  return {metadata: {namespace: 'shop', name, uid, resourceVersion}}
}

const silentLog: Log = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** Each list and each watch takes the next script; told holds what the handler heard. */
function start(lists: (KubeObject[] | Error)[], watches: Step[][]) {
  const clock = fakeClock()
  const told: string[] = []
  const asked: (string | undefined)[] = []
  let listed = 0
  let watched = 0
  const kube = {
    list: async () => {
      const answer = lists[Math.min(listed, lists.length - 1)]!
      listed += 1
      if (answer instanceof Error) throw answer
      return {metadata: {resourceVersion: `list-${listed}`}, items: answer}
    },
    watch: async function* (_path: unknown, options: {signal: AbortSignal; resourceVersion?: string}) {
      asked.push(options.resourceVersion)
      const steps = watches[watched] ?? ['hang']
      watched += 1
      for (const step of steps) {
        if (step === 'end') return
        if (step instanceof Error) throw step
        if (step === 'hang') {
          await new Promise((_resolve, reject) => {
            options.signal.addEventListener('abort', () => reject(options.signal.reason))
          })
        } else yield step
      }
    },
  } as unknown as Kube
  const informers = createInformers({kube, clock, log: silentLog, random: () => 0})
  const informer: Informer<KubeObject> = informers.start(RESOURCES.pods, {
    handler: {
      onChange: (object, previous) =>
        told.push(
          `${previous ? 'change' : 'add'} ${object.metadata.name} ${object.metadata.resourceVersion}`,
        ),
      onDelete: (object) => told.push(`delete ${object.metadata.name}`),
      onSynced: () => told.push('synced'),
    },
  })
  return {clock, told, asked, informer, counts: () => ({listed, watched})}
}

test('objects without a name are left out, the others come', async () => {
  const nameless = [
    null,
    5,
    {},
    {metadata: null},
    {metadata: {name: 7}},
    {metadata: {name: 'x', namespace: []}},
  ]
  const bad = nameless as unknown as KubeObject[]
  const events = bad.map((object): Step => ({type: 'MODIFIED', object}))
  const {told, informer} = start(
    [[...bad, pod('a', '1')]],
    [[...events, {type: 'ADDED', object: pod('b', '2')}, 'hang']],
  )
  await settle()
  assert.deepEqual(told, ['add a 1', 'synced', 'add b 2'])
  informer.close()
})

test('tells the list, then the events, and keeps the store', async () => {
  const {told, informer} = start(
    [[pod('a', '1'), pod('b', '2')]],
    [
      [
        {type: 'MODIFIED', object: pod('a', '3')},
        {type: 'DELETED', object: pod('b', '4')},
        {type: 'ADDED', object: pod('c', '5')},
        'hang',
      ],
    ],
  )
  await settle()
  assert.deepEqual(told, ['add a 1', 'add b 2', 'synced', 'change a 3', 'delete b', 'add c 5'])
  assert.deepEqual(
    [...informer.values()].map((object) => object.metadata.name),
    ['a', 'c'],
  )
  assert.equal(informer.get('shop/a')?.metadata.resourceVersion, '3')
  informer.close()
})

test('resumes from the last version seen, bookmarks included, without a new list', async () => {
  const bookmark = {type: 'BOOKMARK', object: {metadata: {resourceVersion: '77'}}} as const
  const {clock, asked, counts, informer} = start([[pod('a', '1')]], [[bookmark, 'end'], ['hang']])
  await clock.advance(500)
  assert.deepEqual(asked, ['list-1', '77'])
  assert.equal(counts().listed, 1)
  informer.close()
})

test('after 410 lists again and tells only the difference', async () => {
  const gone = new KubeStatusError(410, 'Expired', 'too old')
  const {clock, told, asked, informer} = start(
    [
      [pod('a', '1'), pod('b', '2')],
      [pod('a', '1'), pod('c', '3')],
    ],
    [[gone], ['hang']],
  )
  await clock.advance(0)
  assert.deepEqual(told, ['add a 1', 'add b 2', 'synced', 'delete b', 'add c 3'])
  assert.deepEqual(asked, ['list-1', 'list-2'])
  informer.close()
})

test('a second 410 in a row waits before it lists again', async () => {
  const gone = () => new KubeStatusError(410, 'Expired', 'too old')
  const {clock, counts, informer} = start([[pod('a', '1')]], [[gone()], [gone()], ['hang']])
  await clock.advance(0)
  assert.equal(counts().listed, 2)
  await clock.advance(199)
  assert.equal(counts().listed, 2)
  await clock.advance(1)
  assert.equal(counts().listed, 3)
  informer.close()
})

test('backs off more and more while it fails, and says what the problem is', async () => {
  const down = new UnreachableError('connect', 'refused')
  const {clock, counts, informer} = start([down], [])
  await settle()
  assert.equal(informer.problem, 'refused')
  assert.equal(informer.synced, false)
  assert.deepEqual(clock.pending(), [100])
  await clock.advance(100)
  assert.deepEqual(clock.pending(), [200])
  await clock.advance(200)
  assert.deepEqual(clock.pending(), [400])
  await clock.advance(60_000)
  assert.ok(clock.pending()[0]! <= 5000)
  assert.ok(counts().listed < 25)
  informer.close()
})

test('a watch that ends at once again and again is not a hot loop', async () => {
  const {clock, counts, informer} = start(
    [[]],
    Array.from({length: 50}, () => ['end'] as Step[]),
  )
  await clock.advance(1000)
  assert.ok(counts().watched <= 5, `opened ${counts().watched} watches in a second`)
  informer.close()
})

test('a silent watch is opened anew from where it stood', async () => {
  const {clock, asked, informer} = start([[pod('a', '1')]], [['hang'], ['hang']])
  await clock.advance(119_999)
  assert.equal(asked.length, 1)
  await clock.advance(1)
  assert.deepEqual(asked, ['list-1', 'list-1'])
  assert.equal(informer.problem, undefined)
  informer.close()
})

test('an object of the same name with another uid is a deletion and an addition', async () => {
  const {told, informer} = start(
    [[pod('a', '1', 'old')]],
    [[{type: 'MODIFIED', object: pod('a', '9', 'new')}, 'hang']],
  )
  await settle()
  assert.deepEqual(told, ['add a 1', 'synced', 'delete a', 'add a 9'])
  informer.close()
})

test('an event that was already listed is not told twice', async () => {
  const {told, informer} = start([[pod('a', '1')]], [[{type: 'ADDED', object: pod('a', '1')}, 'hang']])
  await settle()
  assert.deepEqual(told, ['add a 1', 'synced'])
  informer.close()
})

test('after close nothing is asked or told any more', async () => {
  const {clock, counts, informer} = start([[pod('a', '1')]], [['hang']])
  await settle()
  informer.close()
  await clock.advance(600_000)
  assert.deepEqual(counts(), {listed: 1, watched: 1})
  assert.deepEqual(clock.pending(), [])
})

test('a watch that stays silent while objects change is a problem, and lists find the changes', async () => {
  const lists = [[pod('a', '1')], [pod('a', '1')], [pod('b', '7')], [pod('b', '7')]]
  const event = {type: 'MODIFIED', object: pod('b', '9')} as const
  const {clock, told, counts, informer} = start(lists, [
    ['hang'],
    ['hang'],
    ['hang'],
    ['hang'],
    [event, 'hang'],
  ])
  await clock.advance(125_000)
  assert.deepEqual([counts().listed, informer.problem], [1, undefined], 'one silence is resumed')
  await clock.advance(120_000)
  assert.deepEqual([counts().listed, informer.problem], [2, undefined], 'a cluster in which nothing happens')
  await clock.advance(120_000)
  assert.deepEqual(told.slice(-2), ['delete a', 'add b 7'])
  assert.match(informer.problem ?? '', /tells nothing while objects change/)
  await clock.advance(60_000)
  assert.match(informer.problem ?? '', /tells nothing/, 'an open watch alone is no proof')
  await clock.advance(60_000)
  assert.equal(told.at(-1), 'change b 9')
  assert.equal(informer.problem, undefined)
  informer.close()
})
