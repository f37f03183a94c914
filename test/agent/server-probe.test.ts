// SPDX-License-Identifier: Apache-2.0
// Goal: an API server that hangs behind open watches is told within 15 s, once, and taken back when it answers.
// Method: a server version that is answered, left open until the limit, or refused; a fake clock.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {ServerProbe} from '../../src/lib/agent/server-probe.ts'
import {DeniedError} from '../../src/lib/errors.ts'
import type {Kube} from '../../src/lib/ports.ts'
import {fakeClock} from '../fakes/clock.ts'
import {memoryLog} from './fakes.ts'

test('a server that hangs is a problem until it answers again; a refusal is an answer', async () => {
  let [isHanging, isDenied] = [false, false]
  const serverVersion: Kube['serverVersion'] = async (options) => {
    if (isDenied) throw new DeniedError(403, 'Forbidden', 'forbidden')
    if (!isHanging) return {gitVersion: 'v1.33.0'}
    return await new Promise((_resolve, reject) => {
      options?.signal?.addEventListener('abort', () => reject(options.signal?.reason))
    })
  }
  const clock = fakeClock()
  const log = memoryLog()
  const probe = new ServerProbe({serverVersion} as unknown as Kube, clock, log)
  probe.start()
  await clock.advance(30_000)
  assert.deepEqual(probe.problems(), [])
  isHanging = true
  await clock.advance(15_000)
  assert.deepEqual(probe.problems(), ['the API server: no answer in 5000 ms'])
  await clock.advance(30_000)
  isHanging = false
  isDenied = true
  // What is under way ends at its limit, the next one comes a second later.
  await clock.advance(6000)
  assert.deepEqual(probe.problems(), [])
  assert.equal(log.lines.length, 2, log.lines.join())
  probe.stop()
  assert.deepEqual(clock.pending(), [])
})
