// SPDX-License-Identifier: Apache-2.0
// Goal: none of the known defects of the Go daemons' admin API, and of the tool that comes with them, is ours. Each test
// is named by the number of the defect (A1 to A13), which its first line states.
// Method: the built program against single test daemons that behave as the defect has it; texts by hand.
import assert from 'node:assert/strict'
import {afterEach, test} from 'node:test'
import {type CliResult, runCli} from '../fakes/cli.ts'
import {GO_VERSIONS, type GoMode} from '../fakes/go-daemon/dialects.ts'
import type {Answer, GoDaemon, GoDaemonOptions} from '../fakes/go-daemon/server.ts'
import {startDaemon} from '../fakes/go-daemon/server.ts'
import {CELLS, startDialectCluster} from './dialects-fixture.ts'
import {checkDocument} from './document-schema.ts'

const started: GoDaemon[] = []
afterEach(async () => {
  for (const daemon of started.splice(0)) await daemon.close()
})

type Override = NonNullable<GoDaemonOptions['override']>
type Options = Partial<GoDaemonOptions>

async function daemon(options: Options = {}): Promise<GoDaemon> {
  const one = await startDaemon({version: 'v1.2.0', mode: 'dual-engine', ...options})
  started.push(one)
  return one
}

const cli = (target: GoDaemon, words: string): Promise<CliResult> =>
  runCli([...words.split(' '), '--daemon-url', target.url])

/** The same with -o json; the document fits its schema. */
async function documentOf(target: GoDaemon, words: string) {
  const {code, stdout, stderr} = await cli(target, `${words} -o json`)
  const document = JSON.parse(stdout)
  checkDocument(document)
  // biome-ignore lint/suspicious/noExplicitAny: documents of several kinds
  return {code, stderr, document: document as any}
}

const posts = ({requests}: GoDaemon): string[] => requests.filter((line) => line.startsWith('POST'))
const statesOf = (items: readonly {toggle: string; state: string}[]) =>
  Object.fromEntries(items.map(({toggle, state}) => [toggle, state]))
/** Answers GET, or any method, of paths that hold the text. */
const answering =
  (part: string, answer: Answer, methods: readonly string[] = ['GET', 'POST']): Override =>
  (method, path) =>
    path.includes(part) && methods.includes(method) ? answer : undefined

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

const A8: readonly (readonly [string, GoMode, string, string, RegExp])[] = [
  ['truncated', 'dual-engine', 'config_dump', 'dump config', /config dump|no JSON|JSON/],
  ['empty', 'dual-engine', 'config_dump', 'dump config', /no JSON|JSON/],
  ['truncated', 'kernel-native', 'config_dump', 'dump config', /no JSON|JSON/],
  ['empty', 'kernel-native', 'config_dump', 'dump config', /no JSON|JSON/],
  ['nothing', 'kernel-native', 'config_dump', 'dump config', /dynamicResources/],
  ['nothing', 'dual-engine', 'config_dump', 'dump config', /services/],
  ['servicesOnly', 'dual-engine', 'config_dump', 'dump config', /workloads/],
  ['truncated', 'dual-engine', 'bpf', 'dump maps km_backend', /JSON|cut|ended/],
  ['nothing', 'dual-engine', 'bpf', 'dump maps km_backend', /map km_backend: expected a list 'backends'/],
  ['partly', 'dual-engine', 'bpf', 'dump maps km_backend', /map km_backend: expected a list 'backends'/],
  ['nulls', 'dual-engine', 'bpf', 'dump maps km_backend', /map km_backend: expected a list 'backends'/],
  ['nothing', 'kernel-native', 'bpf', 'dump maps km_listener', /map km_listener: .*dynamicResources/],
]
const BODIES: Readonly<Record<string, string>> = {
  truncated: '{"workloads":[{"name":"cart-1","namesp',
  empty: '',
  nothing: '{}',
  servicesOnly: '{"services":[]}',
  partly: '{"workloadPolicies":[],"endpoints":[],"frontends":[],"services":[]}',
  nulls: '{"workloadPolicies":[],"backends":null,"endpoints":[],"frontends":[],"services":[]}',
}

for (const [what, mode, part, words, expected] of A8) {
  test(`A8: ${words}, ${mode}: ${what} after a 200 is an error, and no empty answer`, async () => {
    // Daemons send 200 before the body is made, and log maps they could not read without saying so.
    const override = answering(part, {status: 200, text: BODIES[what] ?? ''}, ['GET'])
    const target = await daemon({mode, override})
    const {code, document} = await documentOf(target, words)
    assert.equal(code, 1)
    assert.equal(document.errors.length, 1)
    assert.match(document.errors[0].message, expected)
    assert.ok(['read', 'decode'].includes(document.errors[0].phase), document.errors[0].phase)
  })
}

test('A9: values without keys have key null, each one, and one warning says so for all daemons', async () => {
  // BPF dumps hold values only, in every version.
  const cluster = await startDialectCluster()
  try {
    const {stdout} = await cluster.run(['dump', 'maps', '--all-nodes', '-o', 'json'])
    const document = JSON.parse(stdout)
    assert.ok(document.items.length > 20)
    assert.deepEqual(
      document.items.filter(({key}: {key: unknown}) => key !== null),
      [],
    )
    assert.deepEqual(
      document.warnings.map(({code}: {code: string}) => code),
      ['KeysUnavailable'],
    )
  } finally {
    await cluster.close()
  }
})

test('A10: an OK of /debug/ready alone makes no daemon ready', async () => {
  // It checks nothing and is always OK, also while the dump is still empty.
  for (const version of GO_VERSIONS) {
    const {code, document} = await documentOf(await daemon({version}), 'status')
    const [item] = document.items
    assert.deepEqual([code, item.ready, item.readyFrom], [0, null, null], version)
  }
  const newer = await daemon({
    override: answering('/debug/ready', {
      status: 503,
      text: JSON.stringify({ready: false, checks: [{name: 'bpf', ok: false, message: 'not loaded'}]}),
    }),
  })
  const {document} = await documentOf(newer, 'status')
  const [{ready, readyFrom, problems}] = document.items
  assert.deepEqual([ready, readyFrom, problems[0].message], [false, 'daemon', 'bpf: not loaded'])
})

test('A11: that a restart forgets toggles is said, once for all daemons', async () => {
  // Toggles are state of the process: a restart returns to the defaults of its flags.
  const cluster = await startDialectCluster()
  try {
    const {stderr} = await cluster.run(['toggle', 'set', 'access-log=on', '--all-nodes'])
    const said = stderr.split('\n').filter((line) => line.includes('(ForgottenOnRestart)'))
    assert.deepEqual(said, [
      'warning: a Go daemon forgets its toggles: after a restart they have their defaults again (ForgottenOnRestart)',
    ])
    const refused = await cluster.run(['toggle', 'set', 'authz=on', '--node', 'v0-4-0-dual-engine'])
    assert.doesNotMatch(refused.stderr, /ForgottenOnRestart/)
  } finally {
    await cluster.close()
  }
})

test('A12: an empty or wrong level is named by us, before any daemon is asked', async () => {
  // The daemon calls an empty level "Invalid request body format".
  const target = await daemon()
  for (const [word, name] of [
    ['default=', "'' is no level of logger 'default'"],
    ['bpf=trace', "'trace' is no level of logger 'bpf'"],
  ] as const) {
    const {code, stderr} = await cli(target, `log set-level ${word}`)
    assert.equal(code, 2)
    assert.ok(stderr.startsWith(`error: ${name}\nhint: levels are `), stderr)
  }
  assert.deepEqual(target.requests, [])
})

test('A13: authz is not told from the default of a version, which changed, neither before nor after it was set', async () => {
  // The default is off at v1.0.0 and on since v1.1.0, and nobody can read what it is now.
  for (const version of ['v1.0.0', 'v1.1.0', 'v1.2.0'] as const) {
    const target = await daemon({version})
    for (const words of ['toggle list', 'toggle set authz=off', 'toggle list']) {
      const {document} = await documentOf(target, words)
      const authz = document.items.find(({toggle}: {toggle: string}) => toggle === 'authz')
      assert.equal(authz.state, 'unknown', `${version}: ${words}`)
      if (words.includes('set')) assert.deepEqual([authz.previous, authz.result], ['unknown', 'set'])
    }
    assert.equal(target.toggles.get('/authz'), false)
  }
})

const HEAD_FAILS: readonly (readonly [string, Answer])[] = [
  ['dropped', 'drop'],
  ['answered with 405', {status: 405, text: 'Method Not Allowed\n', plain: true}],
  ['answered with 501', {status: 501, text: ''}],
]

for (const [how, answer] of HEAD_FAILS) {
  test(`the mode is found by GET where HEAD is ${how}`, async () => {
    const cluster = await startDialectCluster(answering('config_dump', answer, ['HEAD']))
    try {
      const {code, stdout, stderr} = await cluster.run(['version', '--all-nodes', '-o', 'json'])
      const document = JSON.parse(stdout)
      const modes = document.items.slice(1).map(({node, mode}: {node: string; mode: string}) => [node, mode])
      assert.deepEqual([code, stderr], [0, ''])
      assert.deepEqual(
        modes,
        CELLS.map(({node, mode}) => [node, mode]),
      )
      for (const {requests} of cluster.daemons.values())
        assert.ok(requests.some((line) => line.startsWith('GET /debug/config_dump/')))
    } finally {
      await cluster.close()
    }
  })
}

test('where GET fails as well as HEAD, that is an error with its phase, and no mode', async () => {
  const target = await daemon({override: answering('config_dump', 'drop', ['HEAD', 'GET'])})
  const {code, document} = await documentOf(target, 'version')
  const [error] = document.errors
  assert.deepEqual([code, error.code, error.phase, document.items.length], [1, 'Unreachable', 'request', 1])
})

test('a command that fails as a whole has a document that fits the schema too', async () => {
  const target = await daemon()
  const {code, document} = await documentOf(target, 'toggle set nope=on')
  assert.deepEqual([code, document.kind, document.errors[0].code], [2, 'Error', 'UnknownToggle'])
})
