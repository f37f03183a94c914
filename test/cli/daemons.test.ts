// SPDX-License-Identifier: Apache-2.0
// Goal: commands that ask daemons name node and phase of every failure, cost only its own limit, stay within
// memory, and give the exit status of the table in every format.
// Method: the built program against a TLS API server with port-forward and daemons on real sockets, one of each kind.
import assert from 'node:assert/strict'
import {mkdtempSync, readdirSync, rmSync} from 'node:fs'
import type {ServerResponse} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {type FakeApi, startFakeApi} from '../fakes/api-server.ts'
import {runCli} from '../fakes/cli.ts'
import {
  type BrokenKind,
  type FakeDaemon,
  startBrokenDaemon,
  startGoDaemon,
  startOwnDaemon,
} from '../fakes/daemons.ts'

const BROKEN: readonly BrokenKind[] = [
  'hang',
  'error',
  'garbage',
  'endless',
  'cut',
  'not-http',
  'endless-lines',
  'cut-map',
]
const daemons = new Map<string, FakeDaemon>()
const alien = (_request: unknown, response: ServerResponse): boolean => {
  response.writeHead(404).end('404 page not found\n')
  return true
}
let api: FakeApi
let limits: string[]

before(async () => {
  daemons.set('n1', await startOwnDaemon())
  daemons.set('n2', await startGoDaemon())
  daemons.set('n3', await startOwnDaemon())
  // Something else on this port: neither version nor loggers are those of any Kmesh.
  daemons.set('old', await startGoDaemon('', {override: alien}))
  daemons.set('main', await startGoDaemon('v0.0.0-master'))
  for (const kind of BROKEN) daemons.set(kind, await startBrokenDaemon(kind))
  api = await startFakeApi({
    nodes: [
      ...[...daemons].map(([name, {port}]) => ({
        name,
        daemon: port,
        labels: {tier: BROKEN.includes(name as BrokenKind) ? 'bad' : 'good'},
      })),
      {name: 'empty', daemon: null},
      {name: 'refused', daemon: 'refused'},
      {name: 'silent', daemon: 'silent'},
    ],
  })
  limits = ['--kubeconfig', api.kubeconfig, '--request-timeout', '2s']
})

after(async () => {
  for (const daemon of daemons.values()) await daemon.close()
  await api.close()
})

const cli = (...args: string[]) => runCli([...args, ...limits])

test('version of our agent and of Go daemons, of a release and of an unstamped build', async () => {
  const {code, stdout} = await cli('version', '--node', 'n1,n2', '--node', 'main', '-o', 'json')
  const {items, summary} = JSON.parse(stdout)
  assert.equal(code, 0)
  assert.deepEqual(summary, {requested: 3, ok: 3, failed: 0, skipped: 0})
  assert.deepEqual(
    items.map((item: Record<string, unknown>) => [
      item['node'],
      item['version'],
      item['mode'],
      item['dialect'],
    ]),
    [
      [null, items[0].version, null, null],
      ['main', 'v0.0.0-master', 'dual-engine', 'v1.2'],
      ['n1', '0.1.0', 'dual-engine', 'kmeshctl'],
      ['n2', 'v1.2.0', 'dual-engine', 'v1.2'],
    ],
  )
})

/** Broken node -> what the line on stderr says. */
const LINES: readonly (readonly [string, RegExp])[] = [
  ['cut', /error: node cut \(pod kmesh-system\/kmesh-cut, read\): the connection was closed in mid-answer/],
  [
    'endless',
    /error: node endless \(pod kmesh-system\/kmesh-endless, read\): the answer is longer than 1048576 bytes/,
  ],
  [
    'error',
    /error: node error \(pod kmesh-system\/kmesh-error, request\): the daemon answered 500: it broke red\n/,
  ],
  ['garbage', /error: node garbage \(pod kmesh-system\/kmesh-garbage, decode\): the answer is no JSON/],
  ['hang', /error: node hang \(pod kmesh-system\/kmesh-hang, request\): no answer within 2000 ms/],
  ['not-http', /error: node not-http \(pod kmesh-system\/kmesh-not-http, request\)/],
  ['refused', /error: node refused \(pod kmesh-system\/kmesh-refused, connect\): .*connect ECONNREFUSED/],
  ['silent', /error: node silent \(pod kmesh-system\/kmesh-silent, connect\)/],
  [
    'old',
    /error: node old \(pod kmesh-system\/kmesh-old\): a daemon without \/version, which answers 404 for its loggers, speaks an admin API/,
  ],
  ['empty', /error: node empty \(find\): no daemon runs on this node/],
]

test('every broken daemon is a line with node and phase, the others answer, exit 4, and nobody waits twice', async () => {
  const nodes = ['n1', 'n2', ...LINES.map(([node]) => node)].join(',')
  const {code, stdout, stderr, elapsedMs} = await cli('log', 'get', '--node', nodes, '-o', 'json')
  const document = JSON.parse(stdout)
  assert.equal(code, 4)
  assert.deepEqual(
    document.items.map((item: {node: string}) => item.node),
    ['n1', 'n2'],
  )
  assert.deepEqual(document.summary, {requested: 12, ok: 2, failed: 9, skipped: 1})
  assert.equal(document.errors.length, 10)
  for (const [, line] of LINES) assert.match(stderr, line)
  assert.doesNotMatch(stderr, /\u001b/)
  assert.ok(elapsedMs < 5000, `took ${elapsedMs} ms`)
})

for (const [node, line] of LINES) {
  test(`'${node}' alone: nothing worked, exit 1, in table and JSON alike`, async () => {
    const table = await cli('log', 'get', '--node', node)
    assert.match(table.stderr, line)
    assert.deepEqual([table.code, table.stdout], [1, ''])
    const json = await cli('log', 'get', '--node', node, '-o', 'json')
    assert.equal(json.code, 1)
    assert.equal(JSON.parse(json.stdout).errors[0].node, node)
  })
}

test('a map that never ends and one that is cut fail for their node only', async () => {
  const {code, stdout, stderr} = await cli(
    'dump',
    'maps',
    'km_frontend',
    '--node',
    'n1,endless-lines,cut-map',
    '-o',
    'json',
  )
  const document = JSON.parse(stdout)
  assert.equal(code, 4)
  assert.match(stderr, /node endless-lines \(.*read\): a line is longer than 1048576 bytes/)
  assert.match(stderr, /node cut-map \(.*read\): map km_frontend was cut: the answer ended after 1 entries/)
  assert.deepEqual(document.summary, {requested: 3, ok: 1, failed: 2, skipped: 0, entries: 2, filteredOut: 0})
})

test('status exits 0 whatever it finds, one line a node, sorted', async () => {
  const {code, stdout, stderr} = await cli('status', '-o', 'json')
  const {items, errors} = JSON.parse(stdout)
  const nodes = items.map((item: {node: string}) => item.node)
  assert.equal(code, 0)
  assert.equal(stderr, '')
  assert.deepEqual(errors, [])
  assert.deepEqual(nodes, [...daemons.keys(), 'empty', 'refused', 'silent'].sort())
  const of = (node: string) => items[nodes.indexOf(node)]
  assert.equal(of('n1').enrolledPods, 1)
  assert.equal(of('n1').totalPods, 2)
  assert.deepEqual(of('n2').levels, {default: 'info', bpf: 'info'})
  assert.deepEqual(of('empty').problems[0], {
    code: 'NoDaemonOnNode',
    message: 'no daemon runs on this node',
    phase: 'find',
  })
  assert.equal(of('hang').problems[0].phase, 'request')
})

test('set-level writes to the chosen nodes only, reads back, and says what changed', async () => {
  const {code, stdout} = await cli('log', 'set-level', 'bpf=debug', '--node', 'n1,n2', '-o', 'json')
  const {items} = JSON.parse(stdout)
  assert.equal(code, 0)
  assert.deepEqual(
    items.map((item: Record<string, unknown>) => [
      item['node'],
      item['previous'],
      item['level'],
      item['result'],
      item['default'],
    ]),
    [
      ['n1', 'info', 'debug', 'set', 'info'],
      ['n2', 'info', 'debug', 'set', null],
    ],
  )
  assert.equal(daemons.get('n1')?.levels.get('bpf'), 'debug')
  assert.equal(daemons.get('n3')?.levels.get('bpf'), 'info')
  const again = await cli('log', 'set-level', 'bpf=debug', '--node', 'n1', '-o', 'json')
  assert.equal(JSON.parse(again.stdout).items[0].result, 'unchanged')
})

test('--for in a mixed cluster: our agent puts the level back itself, for a Go daemon kmeshctl stays and does', async () => {
  const words = ['log', 'set-level', 'bpf=warn', '--for', '1s', '--node', 'n2,n3', '-o', 'json']
  const before = daemons.get('n2')?.levels.get('bpf')
  const home = mkdtempSync(join(tmpdir(), 'kmt-lease-'))
  const {code, stdout, stderr} = await runCli([...words, ...limits], {env: {XDG_STATE_HOME: home}})
  const {items} = JSON.parse(stdout)
  assert.equal(code, 0)
  assert.deepEqual(
    items.map((item: {lease: {keptBy: string}}) => item.lease.keptBy),
    ['kmeshctl', 'daemon'],
  )
  assert.deepEqual(items[1].lease, {expiresAt: '2026-01-01T00:10:00.000Z', keptBy: 'daemon'})
  assert.match(stderr, new RegExp(`node n2: logger 'bpf' is back at ${before}\n`))
  assert.equal(daemons.get('n2')?.levels.get('bpf'), before)
  assert.deepEqual(readdirSync(join(home, 'kmeshctl', 'leases')), [])
  rmSync(home, {recursive: true})
})

test('a quiet default that hides BPF lines is warned about', async () => {
  const {stderr} = await cli('log', 'set-level', 'warn', 'bpf=debug', '--node', 'n3')
  assert.match(stderr, /^warning: node n3: .*'default' is at warn.* \(DefaultHidesBpf\)$/m)
})

test('an unknown logger is refused with the names that there are, before anything is written', async () => {
  const {code, stderr} = await cli('log', 'set-level', 'debug', 'typo=info', '--node', 'n1')
  assert.equal(code, 1)
  assert.match(stderr, /there is no logger 'typo'\nhint: loggers are bpf, default, manage/)
  assert.equal(daemons.get('n1')?.levels.get('default'), 'info')
})

test('dump maps: decoded with names, sorted, Go daemons without keys and one warning', async () => {
  const {code, stdout, stderr} = await cli('dump', 'maps', '--node', 'n1,n2,main')
  assert.equal(code, 0)
  assert.match(stdout, /^NODE +MAP +KEY +VALUE\n/)
  assert.match(
    stdout,
    /^n1 +km_frontend +address=10\.96\.0\.10 +upstreamId=7\(shop\/cart\.shop\.svc\.cluster\.local\)$/m,
  )
  assert.match(stdout, /^n2 +km_frontend +<none> +upstreamId=shop\/cart/m)
  assert.equal(stderr.match(/KeysUnavailable/g)?.length, 1)
  assert.equal(stderr.match(/MapSkipped/g)?.length, 1)
})

test('dump maps -o jsonl: items, then warnings, the summary last', async () => {
  const {code, stdout} = await cli('dump', 'maps', '--node', 'n1', '--raw', '-o', 'jsonl')
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.equal(code, 0)
  assert.deepEqual(
    lines.map(({type}) => type),
    ['ITEM', 'WARNING', 'SUMMARY'],
  )
  assert.equal(lines[0].object.keyHex, '0a60000a000000000000000000000000')
  assert.deepEqual(lines[2].object, {requested: 1, ok: 1, failed: 0, skipped: 0, entries: 1, filteredOut: 0})
})

test('filters leave out what does not match and say how much', async () => {
  for (const [flag, value, entries] of [
    ['--service', 'cart', 1],
    ['--service', 'shop/cart', 1],
    ['--service', 'other/cart', 0],
    ['-n', 'shop', 1],
    ['-n', 'other', 0],
    ['--address', '10.96.0.10', 1],
    ['--address', '::ffff:10.96.0.10', 1],
    ['--address', '10.96.0.1', 0],
  ] as const) {
    const {stdout} = await cli('dump', 'maps', '--node', 'n1', '-o', 'json', flag, value)
    const {summary} = JSON.parse(stdout)
    assert.deepEqual([flag, value, summary.entries, summary.filteredOut], [flag, value, entries, 1 - entries])
  }
})

test('a map that cannot be read is an error when it is named', async () => {
  const {code, stdout} = await cli('dump', 'maps', 'km_log_event', '--node', 'n1', '-o', 'json')
  assert.equal(code, 1)
  assert.equal(JSON.parse(stdout).errors[0].code, 'MapNotReadable')
})

test('--node-selector asks the nodes with the label', async () => {
  const {stdout} = await cli('version', '--node-selector', 'tier=good', '-o', 'json')
  const {items} = JSON.parse(stdout)
  assert.deepEqual(
    items.map((item: {node: string}) => item.node),
    [null, 'main', 'n1', 'n2', 'n3'],
  )
})

test('--daemon-url asks one daemon and no API server', async () => {
  const {code, stdout} = await runCli([
    'log',
    'get',
    'bpf',
    '--daemon-url',
    daemons.get('n3')!.url,
    '-o',
    'name',
  ])
  assert.deepEqual([code, stdout], [0, 'logger/bpf\n'])
})

test('two equal runs give equal bytes except the time', async () => {
  const strip = (text: string) => text.replace(/"generatedAt": ".*"/, '').replace(/"elapsedMs": \d+/g, '')
  const run = async () => strip((await cli('status', '--node', 'n1,n2,error', '-o', 'json')).stdout)
  assert.equal(await run(), await run())
})

test('SIGINT ends a waiting command at once with 130, SIGTERM with 143, and leaves no stream open', async () => {
  for (const [signal, expected] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const {code, elapsedMs} = await runCli(
      ['version', '--node', 'hang', '--kubeconfig', api.kubeconfig, '--request-timeout', '30s'],
      {
        onSpawn: (child) => setTimeout(() => child.kill(signal), 1500),
      },
    )
    assert.equal(code, expected)
    assert.ok(elapsedMs < 4000, `took ${elapsedMs} ms`)
  }
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.equal(api.openStreams(), 0)
})
