// SPDX-License-Identifier: Apache-2.0
// Goal: a program of the control plane that dies is started again, slower each time, and stays dead after the end.
// Method: fake processes that end on demand, a clock that the test moves.
import assert from 'node:assert/strict'
import {beforeEach, test} from 'node:test'
import type {Commands, Log, ProcessExit} from '../../src/lib/ports.ts'
import {type Supervised, supervise} from '../../src/lib/sandbox/real-control-plane/supervise.ts'
import {type FakeClock, fakeClock, settle} from '../fakes/clock.ts'

interface FakeProcess {
  end(exit: ProcessExit): void
  readonly signals: string[]
}

let clock: FakeClock
let processes: FakeProcess[]
let failures: string[]
let errors: string[]
let stopping: AbortController
let supervised: Supervised

const commands: Commands = {
  run: async () => assert.fail('nothing runs to its end here'),
  start: async () => {
    const failure = failures.shift()
    if (failure !== undefined) throw new Error(failure)
    const {promise, resolve} = Promise.withResolvers<ProcessExit>()
    const signals: string[] = []
    processes.push({end: resolve, signals})
    const signal = (name: string): void => {
      signals.push(name)
      resolve({exitCode: null, signal: name})
    }
    return {pid: 1000 + processes.length, exited: promise, signal}
  },
}
const nothing = (): void => undefined
const log: Log = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: (message) => void errors.push(message),
}
const CRASH: ProcessExit = {exitCode: 3, signal: null}

beforeEach(async () => {
  clock = fakeClock()
  processes = []
  failures = []
  errors = []
  stopping = new AbortController()
  const request = {file: '/x/etcd', args: [], env: {}, outputFile: '/dev/null'}
  supervised = await supervise({name: 'etcd', request, commands, clock, log, stopping: stopping.signal})
})

async function crash(): Promise<void> {
  processes.at(-1)?.end(CRASH)
  await settle()
}

test('the pause doubles from 1 s to 10 s', async () => {
  for (const pauseMs of [1000, 2000, 4000, 8000, 10_000, 10_000]) {
    const before = processes.length
    await crash()
    await clock.advance(pauseMs - 1)
    assert.equal(processes.length, before, `not before ${pauseMs} ms`)
    await clock.advance(1)
    assert.equal(processes.length, before + 1)
  }
  assert.equal(errors[0], 'etcd ended: exit status 3; it is started again in 1000 ms')
})

test('who ran for 10 s starts over with 1 s', async () => {
  await crash()
  await clock.advance(1000)
  await clock.advance(10_000)
  await crash()
  await clock.advance(1000)
  assert.equal(processes.length, 3)
})

test('a start that fails is tried again, and said', async () => {
  failures.push('no memory')
  await crash()
  await clock.advance(1000)
  assert.equal(processes.length, 1)
  await clock.advance(2000)
  assert.equal(processes.length, 2)
  assert.ok(errors.includes('etcd cannot be started: no memory'))
})

test('how it ended last is known', async () => {
  assert.equal(supervised.lastExit(), undefined)
  processes[0]?.end({exitCode: null, signal: 'SIGSEGV'})
  await settle()
  assert.equal(supervised.lastExit(), 'SIGSEGV')
})

test('the end of the sandbox kills it and nothing starts again', async () => {
  stopping.abort()
  await supervised.done
  assert.deepEqual(processes[0]?.signals, ['SIGKILL'])
  await clock.advance(60_000)
  assert.equal(processes.length, 1)
})

test('the end during a pause', async () => {
  await crash()
  stopping.abort()
  await supervised.done
  await clock.advance(60_000)
  assert.equal(processes.length, 1)
})
