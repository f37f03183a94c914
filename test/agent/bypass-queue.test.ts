// SPDX-License-Identifier: Apache-2.0
// Goal: what somebody waits for is next, whenever it becomes urgent; nothing stands twice in the queue.
// Method: one at a time; the first keeps the others waiting until all have been added.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {BypassQueue} from '../../src/lib/agent/bypass-queue.ts'

test('urgent ones first, among them one that waits already; each once', async () => {
  const ran: string[] = []
  const gate = Promise.withResolvers<void>()
  const queue = new BypassQueue<string>(1, async (item) => {
    ran.push(item)
    await gate.promise
  })
  for (const item of ['running', 'a', 'b', 'c', 'a']) queue.add(item, false)
  queue.add('new', true)
  queue.add('c', true)
  queue.add('c', false)
  gate.resolve()
  await new Promise(setImmediate)
  assert.deepEqual(ran, ['running', 'c', 'new', 'a', 'b'])
})
