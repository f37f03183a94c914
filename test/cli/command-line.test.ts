// SPDX-License-Identifier: Apache-2.0
// Goal: help, version and wrong command lines behave by the rules: exit 2, stdout clean, one error document, no
// cluster asked, no escape codes in a pipe, no home needed.
// Method: the built program as a process, with a kubeconfig that would fail if it were read.
import assert from 'node:assert/strict'
import {existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, test} from 'node:test'
import {runCli} from '../fakes/cli.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmt-cli-'))
after(() => rmSync(folder, {recursive: true}))
const badConfig = join(folder, 'bad-kubeconfig')
writeFileSync(badConfig, '{{{ not a kubeconfig')
const env = {KUBECONFIG: badConfig}
const version = (JSON.parse(readFileSync('package.json', 'utf8')) as {version: string}).version

test('--version prints the version', async () => {
  const {code, stdout, stderr} = await runCli(['--version'], {env})
  assert.deepEqual([code, stdout, stderr], [0, `kmeshctl ${version}\n`, ''])
})

for (const args of [[], ['--help'], ['-h'], ['help']]) {
  test(`root help of '${args.join(' ')}' is the same text, with exit codes`, async () => {
    const {code, stdout, stderr} = await runCli(args, {env})
    const {stdout: rendered} = await runCli(['help'], {env: {...env, OCLIF_COLUMNS: '100'}})
    assert.equal(code, 0)
    assert.equal(stderr, '')
    if (args[0] !== 'help') assert.equal(stdout, rendered)
    assert.match(stdout, /EXIT STATUS[\s\S]*\n {2}4 {4}partial/)
    assert.match(stdout, /\n {2}log set-level +Set log levels of daemons/)
    assert.doesNotMatch(stdout, /\u001b/)
  })
}

for (const args of [
  ['log', 'set-level', '--help'],
  ['help', 'log', 'set-level'],
  ['log', '-h'],
  ['log'],
  ['status', '--bad', '--help'],
]) {
  test(`help of '${args.join(' ')}' goes to stdout, exit 0`, async () => {
    const {code, stdout, stderr} = await runCli(args, {env})
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /USAGE/)
  })
}

test('help that was rendered when this was built is what the help command prints now', async () => {
  for (const words of [['log', 'set-level'], ['status'], ['enroll', 'pod']]) {
    const {stdout} = await runCli([...words, '--help'], {env})
    const {stdout: rendered} = await runCli(['help', ...words], {env: {...env, OCLIF_COLUMNS: '80'}})
    assert.equal(stdout, rendered)
  }
})

/** Command line, what stderr must say. */
const USAGE_ERRORS: readonly (readonly [string[], RegExp])[] = [
  [['nope'], /^error: unknown command 'nope'\nhint: kmeshctl --help/],
  [['statsu'], /hint: did you mean 'kmeshctl status'\?/],
  [
    ['log', 'set-levl', 'debug'],
    /unknown command 'log set-levl'\nhint: did you mean 'kmeshctl log set-level'\?/,
  ],
  [['--bogus'], /unknown flag --bogus/],
  [['log', '--bogus'], /^error: 'log' needs a command/],
  [['status', '--bogus'], /Nonexistent flag: --bogus/],
  [['status', 'extra'], /Unexpected argument: extra/],
  [['status', '-o', 'xml'], /Expected --output=xml to be one of/],
  [['status', '--json', '-o', 'yaml'], /contradict/],
  [
    ['status', '--request-timeout', '30'],
    /^error: --request-timeout: '30' is not a duration\nhint: write a number with a unit/,
  ],
  [['status', '--concurrency', '0'], /concurrency/],
  [['status', '--daemon-url', 'https://x'], /--daemon-url: 'https:\/\/x' is not a plain http URL/],
  [['status', '--daemon-url', 'http://127.0.0.1:1', '--node', 'n1'], /daemon-url/],
  [['log', 'set-level'], /Missing 1 required arg/],
  [['log', 'set-level', 'debug'], /^error: which daemons\?[^\n]*\nhint: use --node/],
  [['log', 'set-level', 'loud', '--all-nodes'], /^error: 'loud' is no level of logger 'default'/],
  [['log', 'set-level', 'bpf=trace', '--all-nodes'], /hint: levels are error, warn, info, debug/],
  [['log', 'set-level', 'bpf=debug', 'bpf=info', '--all-nodes'], /logger 'bpf' is given twice/],
  [['log', 'set-level', 'debug', '--all-nodes', '--for', '10'], /--for: '10' is not a duration/],
  [['log', 'set-level', 'debug', '--all-nodes', '--for', '0'], /--for must be at least 1s/],
  [['dump', 'maps', '--address', 'cart'], /--address: 'cart' is not an IP address/],
  [['dump', 'maps', '--address', '1.2'], /--address: '1.2' is not an IP address/],
  [['enroll', 'namespace', '-y', '-l', ''], /--selector is empty/],
  [
    ['enroll', 'namespace', '-y', '-l', 'team=web,app in (x'],
    /^error: --selector: 'app in \(x' in 'team=web,app in \(x' is no label requirement\nhint: for example/,
  ],
  [['interop', 'status', '-l', 'a=b=c'], /--selector: 'a=b=c' in 'a=b=c' is no label requirement/],
  [['log', 'list', '--node-selector', 'zone=a,,b'], /--node-selector: '' in 'zone=a,,b'/],
  [['status', '--daemon-selector', 'app=-x'], /--daemon-selector: 'app=-x'/],
  [['toggle', 'set', '--all-nodes'], /Missing 1 required arg/],
  [['toggle', 'set', 'authz=on'], /^error: which daemons\?/],
  [['toggle', 'set', 'authz=on', 'authz=off', '--all-nodes'], /toggle 'authz' is given twice/],
  [['toggle', 'set', 'accesslog=on', '--all-nodes'], /no toggle 'accesslog'\nhint: toggles are authz, /],
  [['unenroll', 'pod', '--all', '-n', ''], /--namespace is empty/],
  [['log', 'set-level', 'debug', '--node-selector', ' '], /--node-selector is empty/],
  [['enroll', 'ns'], /which namespace\? none is named/],
  [['unenroll', 'pods'], /which pod\? none is named/],
]

for (const [args, expected] of USAGE_ERRORS) {
  test(`'${args.join(' ')}' is a usage error: exit 2, nothing on stdout`, async () => {
    const {code, stdout, stderr} = await runCli(args, {env})
    assert.match(stderr, expected)
    assert.equal(stdout, '')
    assert.equal(code, 2)
  })
}

test('a usage error with a valid -o json is one document of kind Error, and a line on stderr', async () => {
  const {code, stdout, stderr} = await runCli(['status', '--bogus', '-o', 'json'], {env})
  const document = JSON.parse(stdout)
  assert.equal(code, 2)
  assert.match(stderr, /^error: Nonexistent flag: --bogus\n/)
  assert.equal(document.apiVersion, 'cli.kmesh.net/v1alpha1')
  assert.equal(document.kind, 'Error')
  assert.deepEqual(document.items, [])
  assert.equal(document.errors[0].code, 'Usage')
  assert.equal(document.errors[0].exitCode, 2)
  assert.match(document.generatedAt, /^\d{4}-\d\d-\d\dT.*Z$/)
  assert.ok(stdout.length < 1500, 'no internals of the parser')
})

test('the error document also in YAML, in JSON lines, and for an unknown command', async () => {
  const yaml = await runCli(['log', 'list', '--bogus', '-oyaml'], {env})
  assert.match(yaml.stdout, /^apiVersion: cli\.kmesh\.net\/v1alpha1\nkind: Error\n/)
  const lines = await runCli(['dump', 'maps', '--bogus', '--output=jsonl'], {env})
  assert.equal(JSON.parse(lines.stdout).type, 'ERROR')
  const unknown = await runCli(['nope', '--json'], {env})
  assert.equal(JSON.parse(unknown.stdout).errors[0].code, 'UnknownCommand')
})

test('a format that there is beside one that there is not: a usage error like every other, with its document', async () => {
  const {code, stdout, stderr} = await runCli(['status', '-o', 'nope', '-o', 'json'], {env})
  assert.equal(code, 2)
  assert.match(stderr, /^error: Flag --output can only be specified once\n/)
  const document = JSON.parse(stdout)
  assert.deepEqual(
    [document.kind, document.errors[0].code, document.errors[0].exitCode],
    ['Error', 'Usage', 2],
  )
})

test('-o jsonl is refused where nothing streams, without a document', async () => {
  const {code, stdout} = await runCli(['version', '-o', 'jsonl'], {env})
  assert.deepEqual([code, stdout], [2, ''])
})

test('a kubeconfig that cannot be read is named, exit 1, with one document', async () => {
  const {code, stdout, stderr} = await runCli(['status', '-o', 'json'], {env})
  assert.equal(code, 1)
  assert.match(stderr, /^error: cannot read kubeconfig .*bad-kubeconfig/)
  assert.equal(JSON.parse(stdout).errors[0].code, 'BadKubeconfig')
})

test('no kubeconfig at all says what to do', async () => {
  const {code, stderr} = await runCli(['status'])
  assert.equal(code, 1)
  assert.match(stderr, /^error: no cluster: no kubeconfig .*\nhint: set KUBECONFIG/)
})

test('version --client asks no cluster', async () => {
  const {code, stdout} = await runCli(['version', '--client', '-o', 'json'], {env})
  assert.equal(code, 0)
  assert.equal(JSON.parse(stdout).items[0].version, version)
})

test('works without any environment, and with a home that cannot be written', async () => {
  const bare = await runCli(['version', '--client'], {
    env: {HOME: undefined, NODE_DISABLE_COMPILE_CACHE: undefined},
  })
  assert.deepEqual([bare.code, bare.stderr], [0, ''])
  const readOnly = await runCli(['version', '--client'], {
    env: {HOME: '/proc', NODE_DISABLE_COMPILE_CACHE: undefined},
  })
  assert.deepEqual([readOnly.code, readOnly.stderr], [0, ''])
})

test('compiled code is kept in a folder of this user only', async () => {
  const cache = join(folder, 'cache')
  await runCli(['version', '--client'], {env: {XDG_CACHE_HOME: cache, NODE_DISABLE_COMPILE_CACHE: undefined}})
  assert.equal(statSync(join(cache, 'kmeshctl', 'compile')).mode & 0o777, 0o700)
  assert.ok(existsSync(join(cache, 'kmeshctl', 'compile')))
})

test('colour only where it is asked for, and NO_COLOR below the flag', async () => {
  const args = ['status', '--bogus']
  assert.doesNotMatch((await runCli(args, {env})).stderr, /\u001b/)
  assert.match((await runCli(args, {env: {...env, FORCE_COLOR: '1'}})).stderr, /\u001b\[31merror:/)
  assert.doesNotMatch((await runCli(args, {env: {...env, NO_COLOR: '1'}})).stderr, /\u001b/)
})
