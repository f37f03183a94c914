// SPDX-License-Identifier: Apache-2.0
// Goal: the file for when the agent is away holds what the agent knows, soon after it changed, and never less than
// the file of the agent before.
// Method: the agent on fakes; the file is what the run directory's fake was told to write.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {CniCacheWriter} from '../../src/lib/agent/cni-cache.ts'
import {parseCniCache} from '../../src/lib/model/cni.ts'
import {fakeClock, settle} from '../fakes/clock.ts'
import {MemoryFiles, memoryLog} from './fakes.ts'

const FILE = 'cni-cache.json'

function setUp(files = new MemoryFiles()) {
  const world = {
    files,
    clock: fakeClock(),
    log: memoryLog(),
    now: {
      sidecarPolicy: 'bypass' as const,
      namespaces: ['shop'],
      pods: {'uid-1': true, 'uid-2': false} as Record<string, boolean>,
    },
  }
  return Object.assign(world, {writer: new CniCacheWriter({...world, contents: () => world.now})})
}

function written(files: MemoryFiles): unknown {
  const text = files.read(FILE)
  return text === undefined ? undefined : parseCniCache(text)
}

test('nothing is written before the lists are complete', async () => {
  const {writer, files, clock} = setUp()
  files.contents.set(FILE, 'of the agent before')
  writer.touch()
  await clock.advance(10_000)
  await writer.close()
  assert.equal(files.read(FILE), 'of the agent before')
})

test('it is written once for many changes, and not at all where nothing changed', async () => {
  const {writer, files, clock, now} = setUp()
  writer.start()
  for (let change = 0; change < 50; change += 1) writer.touch()
  await clock.advance(300)
  assert.deepEqual(written(files), {version: 1, writtenAt: '2026-01-01T00:00:00.200Z', ...now})
  writer.touch()
  await clock.advance(10_000)
  assert.equal(files.writes.length, 1)
  delete now.pods['uid-1']
  writer.touch()
  await clock.advance(300)
  assert.deepEqual((written(files) as {pods: object}).pods, {'uid-2': false})
})

test('what is not yet written goes out at the end', async () => {
  const {writer, files, now} = setUp()
  writer.start()
  now.namespaces = ['later']
  await writer.close()
  assert.deepEqual((written(files) as {namespaces: string[]}).namespaces, ['later'])
})

test('a full disk is said once, reported, and tried again', async () => {
  const {writer, files, clock, log} = setUp()
  files.failWrites = true
  writer.start()
  await clock.advance(20_000)
  assert.deepEqual(log.lines, ['error cannot write cni-cache.json: ENOSPC: no space left on device'])
  assert.deepEqual(writer.problems(), ['cannot write cni-cache.json: ENOSPC: no space left on device'])
  files.failWrites = false
  await clock.advance(6000)
  await settle()
  assert.deepEqual(writer.problems(), [])
  assert.notEqual(written(files), undefined)
})
