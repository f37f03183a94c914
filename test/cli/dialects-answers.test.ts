// SPDX-License-Identifier: Apache-2.0
// Goal: none of the known defects of the Go daemons' admin API, and of the tool that comes with them, is ours. Each test
// is named by the number of the defect (A8 to A13; the others: dialects-defects.test.ts), which its first line states.
// Method: the built program against single test daemons that behave as the defect has it; texts by hand.
import assert from 'node:assert/strict'
import {afterEach, test} from 'node:test'
import {GO_VERSIONS, type GoMode} from '../fakes/go-daemon/dialects.ts'
import type {Answer} from '../fakes/go-daemon/server.ts'
import {CELLS, startDialectCluster} from './dialects-fixture.ts'
import {answering, cli, closeDaemons, daemon, documentOf} from './dialects-single.ts'

afterEach(closeDaemons)

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
