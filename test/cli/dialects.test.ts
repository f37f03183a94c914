// SPDX-License-Identifier: Apache-2.0
// Goal: every command with every Go daemon, of every version and in both modes, says what the daemon says, or by name
// what it cannot; none of the defects of the daemon's own tool (contracts 1.9) is here.
// Method: the built program against the recorded-answer daemon; expectations in the table below, by hand.
import assert from 'node:assert/strict'
import {after, before, describe, test} from 'node:test'
import {type FakeApi, startFakeApi} from '../fakes/api-server.ts'
import {runCli} from '../fakes/cli.ts'
import {GO_MODES, GO_VERSIONS, type GoMode, type GoVersion} from '../fakes/go-daemon/dialects.ts'
import {type GoDaemon, startDaemon} from '../fakes/go-daemon/server.ts'

const NATIVE = 'kernel-native'
const cells = GO_VERSIONS.flatMap((version) => GO_MODES.map((mode) => ({version, mode})))
const nodeOf = (version: GoVersion, mode: GoMode): string => `${version.replaceAll('.', '-')}-${mode}`
const daemons = new Map<string, GoDaemon>()
let api: FakeApi

before(async () => {
  for (const {version, mode} of cells)
    daemons.set(nodeOf(version, mode), await startDaemon({version, mode, seed: 7}))
  const shop = {
    metadata: {
      name: 'shop',
      uid: 'u-shop',
      resourceVersion: '1',
      labels: {'istio.io/dataplane-mode': 'kmesh', team: 'shop'},
    },
  }
  const pods = cells.map(({version, mode}) => {
    const name = nodeOf(version, mode)
    return {
      metadata: {name, namespace: 'shop', uid: `u-${name}`, labels: {'istio.io/dataplane-mode': 'none'}},
      spec: {nodeName: name, containers: []},
      status: {phase: 'Running', conditions: [{type: 'Ready', status: 'True'}]},
    }
  })
  api = await startFakeApi({
    nodes: [...daemons].map(([name, {port}]) => ({name, daemon: port})),
    objects: {'/api/v1/namespaces': [shop], '/api/v1/pods': pods, '/api/v1/namespaces/shop/pods': pods},
  })
})

after(async () => {
  for (const daemon of daemons.values()) await daemon.close()
  await api.close()
})

interface Result {
  readonly code: number | null
  readonly stderr: string
  readonly document: {
    // biome-ignore lint/suspicious/noExplicitAny: documents of several kinds
    readonly items: readonly any[]
    // biome-ignore lint/suspicious/noExplicitAny: as above
    readonly errors: readonly any[]
    readonly warnings: readonly {readonly node?: string; readonly code: string}[]
  }
}

/** One run asks all twelve. */
async function ask(...words: readonly string[]): Promise<Result> {
  const {code, stdout, stderr} = await runCli([...words, '-o', 'json', '--kubeconfig', api.kubeconfig])
  return {code, stderr, document: JSON.parse(stdout)}
}

const ALL = ['--all-nodes']
const ofNode = <T extends {readonly node?: string}>(list: readonly T[], node: string): readonly T[] =>
  list.filter((one) => one.node === node)

/** Version -> what a row of each command says there. */
const DIALECT: Readonly<Record<GoVersion, string>> = {
  'v0.4.0': 'v0.4.0',
  'v0.5.0': 'v0.5',
  'v1.0.0': 'v1.0',
  'v1.1.0': 'v1.1',
  'v1.2.0': 'v1.2',
  'v0.0.0-master': 'v1.2',
}
const SHOWN: Readonly<Record<GoVersion, string>> = {
  'v0.4.0': 'v0.4.0',
  'v0.5.0': 'v0.5',
  'v1.0.0': 'v1.0.0',
  'v1.1.0': 'v1.1.0',
  'v1.2.0': 'v1.2.0',
  'v0.0.0-master': 'v0.0.0-master',
}
const BACKENDS: Readonly<Record<GoVersion, readonly string[] | null>> = {
  'v0.4.0': null,
  'v0.5.0': ['10.244.1.17', '2001:db8:100::'],
  'v1.0.0': ['10.244.1.17', '2001:db8:100::'],
  'v1.1.0': ['10.244.1.17', '2001:db8:100::'],
  'v1.2.0': ['10.244.1.17', '2001:db8:100::'],
  'v0.0.0-master': ['10.244.1.17', '2001:db8:100::'],
}

type Check = (result: Result, version: GoVersion, mode: GoMode) => void

function table(title: string, words: readonly string[], code: number, check: Check): void {
  describe(title, () => {
    let result: Result
    before(async () => {
      result = await ask(...words)
    })
    test(`exit ${code}`, () => assert.equal(result.code, code, result.stderr))
    for (const {version, mode} of cells) test(`${version}, ${mode}`, () => check(result, version, mode))
  })
}

table('version', ['version', ...ALL], 0, ({document, stderr}, version, mode) => {
  const [item] = ofNode(document.items, nodeOf(version, mode))
  assert.deepEqual([item.version, item.mode, item.dialect], [SHOWN[version], mode, DIALECT[version]])
  assert.equal(stderr, '')
})

test('the mode was found by HEAD: no dump was asked for', () => {
  for (const {requests} of daemons.values()) {
    assert.deepEqual(
      requests.filter((line) => line.startsWith('GET') && line.includes('dump')),
      [],
    )
  }
})

table('status', ['status'], 0, ({document}, version, mode) => {
  const [item] = ofNode(document.items, nodeOf(version, mode))
  const bpf = version === 'v0.4.0' ? null : 'info'
  assert.deepEqual([item.mode, item.ready, item.levels], [mode, true, {default: 'info', bpf}])
  assert.deepEqual(item.problems, [])
})

table('log list', ['log', 'list', ...ALL], 0, ({document, stderr}, version, mode) => {
  const node = nodeOf(version, mode)
  const levels = ofNode(document.items, node).map(({logger, level}) => [logger, level])
  const bpf = version === 'v0.4.0' ? null : 'info'
  assert.deepEqual(levels, [
    ['bpf', bpf],
    ['default', 'info'],
    ['fileOnly', 'info'],
  ])
  const codes = ofNode(document.warnings, node).map(({code}) => code)
  assert.deepEqual(codes, version === 'v0.4.0' ? ['LoggersAssumed', 'LevelUnreadable'] : [])
  assert.equal(stderr.includes(`node ${node}: Kmesh v0.4.0 cannot list loggers`), version === 'v0.4.0')
})

table(
  'log get of a logger that nobody has',
  ['log', 'get', 'nope', ...ALL],
  1,
  ({document}, version, mode) => {
    const [error] = ofNode(document.errors, nodeOf(version, mode))
    assert.deepEqual([error.code, error.message], ['UnknownLogger', "there is no logger 'nope'"])
  },
)

table('log set-level', ['log', 'set-level', 'warn', 'bpf=debug', ...ALL], 0, ({document}, version, mode) => {
  const node = nodeOf(version, mode)
  const found = ofNode(document.items, node).map(({logger, previous, level, result}) => [
    logger,
    previous,
    level,
    result,
  ])
  const bpf = version === 'v0.4.0' ? ['bpf', null, null, 'set'] : ['bpf', 'info', 'debug', 'set']
  assert.deepEqual(found, [['default', 'info', 'warn', 'set'], bpf])
  assert.equal(daemons.get(node)?.levels.get('bpf'), 'debug')
})

table(
  'dump maps km_backend',
  ['dump', 'maps', 'km_backend', ...ALL],
  4,
  ({document, stderr}, version, mode) => {
    const node = nodeOf(version, mode)
    const errors = ofNode(document.errors, node).map(({code}) => code)
    if (mode === NATIVE) return assert.deepEqual(errors, ['UnknownMap'])
    const wanted = BACKENDS[version]
    if (wanted === null) {
      assert.deepEqual(errors, ['NotSupportedByDaemon'])
      assert.match(stderr, /Kmesh v0\.4\.0 does not support dumping BPF maps in dual-engine mode/)
      return
    }
    assert.deepEqual(
      ofNode(document.items, node)
        .map(({value}) => value.address)
        .sort(),
      wanted,
    )
  },
)

table('dump maps km_listener', ['dump', 'maps', 'km_listener', ...ALL], 4, ({document}, version, mode) => {
  const node = nodeOf(version, mode)
  if (mode !== NATIVE) return assert.equal(ofNode(document.items, node).length, 0)
  const [item] = ofNode(document.items, node)
  assert.deepEqual([item.value.address, item.value.port], ['10.96.14.3', 80])
})

table('dump config', ['dump', 'config', ...ALL], 0, ({document}, version, mode) => {
  const names = ofNode(document.items, nodeOf(version, mode)).map(({part, name}) => `${part}/${name}`)
  const native = ['listeners/10.96.14.3_80', 'clusters/outbound|80||cart.shop.svc.cluster.local']
  const policies = ['v0.4.0', 'v0.5.0', 'v1.0.0'].includes(version) ? [] : ['policies/allow']
  const dual = ['services/cart', 'services/none', 'workloads/cart-1', 'workloads/cart-2', ...policies]
  assert.deepEqual(names, mode === NATIVE ? native : dual)
})

table('dump config policies', ['dump', 'config', 'policies', ...ALL], 4, ({document}, version, mode) => {
  const node = nodeOf(version, mode)
  const has = mode !== NATIVE && !['v0.4.0', 'v0.5.0', 'v1.0.0'].includes(version)
  assert.equal(ofNode(document.items, node).length, has ? 1 : 0)
  assert.deepEqual(
    ofNode(document.errors, node).map(({code}) => code),
    has ? [] : ['NotSupportedByDaemon'],
  )
})

table('interop status', ['interop', 'status', '-A'], 0, ({document, stderr}, version, mode) => {
  const [item] = ofNode(document.items, nodeOf(version, mode))
  // v0.4 does not know `none`: the namespace's label counts.
  const wanted = version === 'v0.4.0' ? ['kmesh', 'NamespaceLabel'] : ['none', 'PodLabelNone']
  assert.deepEqual([item.intent, item.rule], wanted)
  assert.equal(stderr, '')
})

const LEAVE = ['unenroll', 'namespace', '--selector', 'team=shop', '--dry-run=client']
table('unenroll --dry-run', LEAVE, 0, ({document}, version, mode) => {
  const [item] = ofNode(document.items, nodeOf(version, mode))
  const rule = version === 'v0.4.0' ? 'NamespaceLabel' : 'PodLabelNone'
  assert.deepEqual([item.now.rule, item.now.capture, item.after.capture], [rule, 'none', 'none'])
  assert.equal(item.reason, version === 'v0.4.0' ? 'NotLabelled' : 'PodLabelNone')
})

test('a daemon that drops the connection by a panic is an error with node and phase, and no success', async () => {
  const daemon = await startDaemon({
    version: 'v1.2.0',
    mode: 'dual-engine',
    override: (method) => (method === 'POST' ? 'drop' : undefined),
  })
  const {code, stderr} = await runCli(['log', 'set-level', 'debug', '--daemon-url', daemon.url])
  await daemon.close()
  assert.equal(code, 1)
  assert.match(stderr, /\(request\): .*connection was closed/)
})

test('an empty or wrong level is named by us, before any daemon is asked (A12)', async () => {
  const {code, stderr} = await runCli(['log', 'set-level', 'default=', '--daemon-url', 'http://127.0.0.1:1'])
  assert.equal(code, 2)
  assert.match(stderr, /'' is no level of logger 'default'\nhint: levels are/)
})
