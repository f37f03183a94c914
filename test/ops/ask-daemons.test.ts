// SPDX-License-Identifier: Apache-2.0
// Goal: every daemon is accounted for; places follow the API server; only what is safe is asked again; Ctrl-C
// keeps what is known.
// Method: a clock that stands still, daemons that answer, fail or hang as the test says.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {EXIT, KmeshError, UnreachableError} from '../../src/lib/errors.ts'
import {askDaemons} from '../../src/lib/ops/ask-daemons.ts'
import type {FoundDaemon} from '../../src/lib/ops/daemons.ts'
import {limitDaemons} from '../../src/lib/ops/sample.ts'
import type {Admin, AdminDialer, TunnelListener} from '../../src/lib/ports.ts'
import {type FakeClock, fakeClock, settle} from '../fakes/clock.ts'

const daemons = (count: number): FoundDaemon[] =>
  Array.from({length: count}, (_empty, index) => ({
    target: {node: `n${index}`, pod: {namespace: 'mesh', name: `k${index}`}},
    ready: true,
    podObject: null,
  }))

type Answer = (node: string) => Promise<unknown>

/** Every endpoint of a daemon is answered by `answer`, over a tunnel that opens when it is asked. */
function fleet(
  answer: Answer,
  onOpen: (listener: TunnelListener) => void = (listener) => listener.opened(),
  bytes = 100,
) {
  const state = {open: 0, most: 0, calls: 0}
  const listeners = new Map<string, TunnelListener>()
  const dialer: AdminDialer = {
    tunnels: {
      listen: ({node}, listener) => {
        listeners.set(node, listener)
        return () => void listeners.delete(node)
      },
    },
    dial: (target) => {
      state.open += 1
      state.most = Math.max(state.most, state.open)
      const call = async () => {
        state.calls += 1
        const listener = listeners.get(target.node)
        if (listener) onOpen(listener)
        const value = await answer(target.node)
        listener?.heard(bytes)
        return value
      }
      const close = async () => {
        state.open -= 1
      }
      return {target, call, text: call, close} as unknown as Admin
    },
    close: async () => undefined,
  }
  return {dialer, state}
}

function run(clock: FakeClock, dialer: AdminDialer, count: number, more: object = {}, endpoint = 'version') {
  const controller = new AbortController()
  const deps = {dialer, clock, signal: controller.signal, concurrency: 32, random: () => 0.5, ...more}
  const finished = askDaemons(deps, daemons(count), (admin) =>
    admin.call(endpoint as 'version', {}, {signal: controller.signal}),
  )
  return {
    finished,
    abort: () => controller.abort(new KmeshError('interrupted', {exitCode: EXIT.interrupted})),
  }
}

test('32 at a time, half as many more while tunnels open well; results in the order of the daemons', async () => {
  const clock = fakeClock()
  const {dialer, state} = fleet(async (node) => {
    await clock.sleep(node === 'n0' ? 90 : 50)
    return node
  })
  const {finished} = run(clock, dialer, 1000)
  await clock.advance(5000)
  const outcomes = await finished
  assert.equal(state.most, 48)
  assert.deepEqual(
    outcomes.map((outcome) => 'value' in outcome && outcome.value),
    daemons(1000).map(({target}) => target.node),
  )
})

test('daemons that hang on an open tunnel hold no place: 256 at once; --concurrency is a limit', async () => {
  const hang: Answer = () => new Promise(() => undefined)
  for (const [ceiling, expected] of [
    [undefined, 256],
    [40, 40],
  ] as const) {
    const clock = fakeClock()
    const {dialer, state} = fleet(hang)
    run(clock, dialer, 1000, {ceiling})
    await clock.advance(3000)
    assert.equal(state.open, expected)
  }
})

test('a tunnel that does not open keeps its place', async () => {
  const clock = fakeClock()
  const {dialer, state} = fleet(
    () => new Promise(() => undefined),
    () => undefined,
  )
  run(clock, dialer, 1000)
  await clock.advance(3000)
  assert.equal(state.open, 32)
})

test('answers that are large keep it at 32: each place may hold one', async () => {
  const clock = fakeClock()
  const {dialer, state} = fleet(() => clock.sleep(50), undefined, 1_000_000)
  const {finished} = run(clock, dialer, 1000)
  await clock.advance(5000)
  await finished
  assert.ok(state.most <= 36, `${state.most}`)
})

test('a busy API server halves the places, once for a burst, and good tunnels raise them again', async () => {
  const clock = fakeClock()
  let busy = true
  const open = (listener: TunnelListener) => (busy ? listener.failed('busy') : listener.opened())
  const {dialer, state} = fleet(() => clock.sleep(100), open)
  run(clock, dialer, 5000)
  await clock.advance(150)
  assert.equal(state.open, 16)
  await clock.advance(1000)
  assert.ok(state.open <= 4, `${state.open}`)
  busy = false
  await clock.advance(4000)
  assert.equal(state.open, 48)
})

test('a read is asked once more when its connection broke, and the report says two attempts', async () => {
  const clock = fakeClock()
  const cause = Object.assign(new Error('reset'), {code: 'ECONNRESET'})
  const {dialer, state} = fleet(async () => {
    throw new UnreachableError('read', 'cut', {cause})
  })
  const {finished} = run(clock, dialer, 1)
  await clock.advance(1000)
  const [outcome] = await finished
  assert.equal(state.calls, 2)
  assert.ok(outcome && 'error' in outcome)
  assert.equal(outcome.error.attempts, 2)
})

test('a write is never asked again, nor a read that was answered badly', async () => {
  const cause = Object.assign(new Error('reset'), {code: 'ECONNRESET'})
  for (const [endpoint, error] of [
    ['setLogger', new UnreachableError('read', 'cut', {cause})],
    ['version', new UnreachableError('decode', 'no JSON', {code: 'BadAnswer', cause})],
    ['version', new UnreachableError('connect', 'the kubelet says: refused')],
  ] as const) {
    const clock = fakeClock()
    const {dialer, state} = fleet(() => Promise.reject(error))
    const {finished} = run(clock, dialer, 1, {}, endpoint)
    await clock.advance(1000)
    await finished
    assert.equal(state.calls, 1)
  }
})

test('Ctrl-C: answers stay, what was begun and what was not is told, without waiting', async () => {
  const clock = fakeClock()
  const {dialer} = fleet(async (node) => (node === 'n0' ? 'yes' : new Promise(() => undefined)))
  const {finished, abort} = run(clock, dialer, 1000, {ceiling: 32})
  await settle()
  abort()
  const outcomes = await finished
  const errors = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []))
  assert.equal(outcomes.length, 1000)
  assert.equal(errors.length, 999)
  assert.deepEqual(
    new Set(errors.map(({code, exitCode}) => `${code} ${exitCode}`)),
    new Set(['Interrupted 130']),
  )
  assert.equal(errors.filter(({attempts}) => attempts === 0).length, 1000 - 33)
})

test('a sample is spread evenly and always the same; too many are refused by the name of the flag', () => {
  const {asked, left} = limitDaemons(daemons(10), {sample: 3, maxNodes: 3})
  assert.deepEqual(
    asked.map(({target}) => target.node),
    ['n0', 'n3', 'n6'],
  )
  assert.equal(left.length, 7)
  assert.throws(() => limitDaemons(daemons(10), {maxNodes: 9}), /10 daemons are more than --max-nodes 9/)
})
