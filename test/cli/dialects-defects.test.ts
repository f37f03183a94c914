// SPDX-License-Identifier: Apache-2.0
// Goal: none of the known defects of the Go daemons' admin API, and of the tool that comes with them, is ours. Each test
// is named by the number of the defect (A1 to A7; the others: dialects-answers.test.ts), which its first line states.
// Method: the built program against single test daemons that behave as the defect has it; texts by hand.
import assert from 'node:assert/strict'
import {afterEach, test} from 'node:test'
import {answering, cli, closeDaemons, daemon, documentOf, posts} from './dialects-single.ts'

afterEach(closeDaemons)

const statesOf = (items: readonly {toggle: string; state: string}[]) =>
  Object.fromEntries(items.map(({toggle, state}) => [toggle, state]))

test('A1: the state of authz, which GET answers with 405, is unknown and says why; a daemon that tells it is believed', async () => {
  // The daemons' tool asks GET /authz, gets 405 everywhere and prints an empty table with exit 0.
  const old = await documentOf(await daemon(), 'toggle list')
  const [authz] = old.document.items
  assert.deepEqual([authz.toggle, authz.state, authz.reason.code], ['authz', 'unknown', 'NotReadable'])
  assert.equal(authz.reason.message, 'Kmesh v1.2.0 does not tell whether authz is on (it answers 405)')
  assert.equal(old.code, 0)
  const newer = await daemon({tellsToggles: true})
  newer.toggles.set('/authz', false)
  const told = await documentOf(newer, 'toggle list')
  assert.deepEqual([told.document.items[0].state, told.document.items[0].reason], ['off', null])
})

test('A2: states of telemetry are unknown, never guessed from what was set; where they can be read they are', async () => {
  // There is no GET for monitoring, access log and metrics.
  const target = await daemon()
  assert.equal((await cli(target, 'toggle set access-log=on')).code, 0)
  const {document} = await documentOf(target, 'toggle list')
  assert.deepEqual(new Set(document.items.map(({state}: {state: string}) => state)), new Set(['unknown']))
  const newer = await daemon({tellsToggles: true})
  const set = await documentOf(newer, 'toggle set access-log=on')
  const [item] = set.document.items
  assert.deepEqual([item.previous, item.state, item.result, item.reason], ['off', 'on', 'set', null])
  const again = await documentOf(newer, 'toggle set access-log=on')
  assert.deepEqual([again.document.items[0].previous, again.document.items[0].result], ['on', 'unchanged'])
  const listed = await documentOf(newer, 'toggle list')
  assert.deepEqual(statesOf(listed.document.items), {
    authz: 'on',
    monitoring: 'on',
    'access-log': 'on',
    'workload-metrics': 'off',
    'connection-metrics': 'off',
  })
})

test('a value that was set and reads otherwise is an error', async () => {
  const target = await daemon({
    tellsToggles: true,
    override: answering('/authz', {status: 200, text: ''}, ['POST']),
  })
  const {code, stderr} = await cli(target, 'toggle set authz=off')
  assert.deepEqual([code, /toggle 'authz' was set off and reads on\n/.test(stderr)], [1, true], stderr)
})

for (const toggle of ['monitoring', 'access-log', 'workload-metrics', 'connection-metrics']) {
  test(`A3: ${toggle} in kernel-native mode is refused by name, and the daemon that would panic is not asked`, async () => {
    // The handler panics on a nil controller and the connection is dropped without an answer.
    for (const value of ['on', 'off']) {
      const target = await daemon({mode: 'kernel-native'})
      const {code, document} = await documentOf(target, `toggle set ${toggle}=${value}`)
      const message = `Kmesh v1.2.0 does not support toggle '${toggle}' in kernel-native mode`
      assert.deepEqual(
        [code, document.errors[0].code, document.errors[0].message],
        [1, 'NotSupportedByDaemon', message],
      )
      assert.deepEqual(posts(target), [])
    }
  })
}

test('A3: a connection that a panic drops is an error with its phase, asked once, and no success', async () => {
  const target = await daemon({override: answering('/', 'drop', ['POST'])})
  for (const words of ['toggle set monitoring=off', 'log set-level debug']) {
    const {code, document} = await documentOf(target, words)
    const [error] = document.errors
    assert.deepEqual([code, error.code, error.phase], [1, 'Unreachable', 'request'], words)
    assert.match(error.message, /connection was closed/)
    assert.deepEqual(document.items, [])
  }
  assert.equal(posts(target).length, 2)
})

test('A4: authz in kernel-native mode is refused by name, and not answered for by a 200 that did nothing', async () => {
  // The daemon answers 200 there and does nothing.
  const target = await daemon({mode: 'kernel-native'})
  const {code, stderr} = await cli(target, 'toggle set authz=on')
  assert.equal(code, 1)
  assert.match(stderr, /Kmesh v1\.2\.0 does not support toggle 'authz' in kernel-native mode\n/)
  assert.deepEqual(posts(target), [])
})

test('A5: a bad value is named with the toggle it was typed for, before anybody is asked', async () => {
  // The daemon calls bad values of workload and connection metrics "invalid accesslog enable=".
  const target = await daemon()
  for (const [word, expected] of [
    [
      'workload-metrics=maybe',
      "error: 'maybe' is no value of toggle 'workload-metrics'\nhint: write workload-metrics=on or workload-metrics=off\n",
    ],
    [
      'connection-metrics=',
      "error: '' is no value of toggle 'connection-metrics'\nhint: write connection-metrics=on or connection-metrics=off\n",
    ],
    ['authz', "error: 'authz' says no value\nhint: write authz=on or authz=off\n"],
    [
      'monitoring=true',
      "error: 'true' is no value of toggle 'monitoring'\nhint: write monitoring=on or monitoring=off\n",
    ],
  ] as const) {
    const {code, stdout, stderr} = await cli(target, `toggle set ${word}`)
    assert.deepEqual([code, stdout, stderr], [2, '', expected])
  }
  assert.deepEqual(target.requests, [])
})

for (const version of ['v1.0.0', 'v1.1.0', 'v1.2.0'] as const) {
  test(`A6: monitoring that is off is told with a code and the way out, in the words of ${version}`, async () => {
    // v1.1 changed "is disable" to "is disabled", and the daemons' tool still looks for the old text.
    const target = await daemon({version})
    target.toggles.set('/monitoring', false)
    const {code, document} = await documentOf(target, 'toggle set access-log=on')
    const [error] = document.errors
    assert.deepEqual([code, error.code, error.phase], [1, 'MonitoringDisabled', 'request'])
    const word = version === 'v1.0.0' ? 'disable' : 'disabled'
    assert.equal(
      error.message,
      `toggle 'access-log': the daemon answered 400: Kmesh monitoring is ${word}, cannot enable accesslog.`,
    )
    assert.deepEqual(error.hints, [
      'set monitoring=on before, or with it: kmeshctl toggle set monitoring=on access-log=on',
    ])
    const together = await cli(target, 'toggle set access-log=on monitoring=on')
    assert.equal(together.code, 0, together.stderr)
    assert.deepEqual([target.toggles.get('/monitoring'), target.toggles.get('/accesslog')], [true, true])
  })
}

for (const [words, text] of [
  ['toggle set authz=off', 'update bpf authz failed: operation not permitted\n'],
  ['toggle set authz=off', 'update authz in KmeshConfigMap failed: no such file\n'],
  ['toggle set monitoring=on', 'failed to get KmeshConfigMap: key does not exist\n'],
  ['toggle set connection-metrics=on', 'update enable periodic report failed: bad file descriptor\n'],
  ['log set-level bpf=debug', 'update bpf log level error: operation not permitted\n'],
] as const) {
  test(`A7: '${text.trim()}' with status 400 is the kernel's refusal, in the daemon's words`, async () => {
    // Daemons answer 400 for good requests that the kernel refused.
    const target = await daemon({override: answering('/', {status: 400, text, plain: true}, ['POST'])})
    const {code, document} = await documentOf(target, words)
    const [error] = document.errors
    assert.deepEqual([code, error.code, error.phase], [1, 'KernelRefused', 'request'])
    assert.ok(error.message.endsWith(`the daemon answered 400: ${text.trim()}`), error.message)
  })
}

test('A7: any other 400 keeps its text too, under a code of ours', async () => {
  const text = 'not on Tuesdays'
  const target = await daemon({override: answering('/authz', {status: 400, text}, ['POST'])})
  const {document} = await documentOf(target, 'toggle set authz=off')
  const [{code, message}] = document.errors
  assert.deepEqual(
    [code, message],
    ['ToggleRefused', "toggle 'authz': the daemon answered 400: not on Tuesdays"],
  )
})
