// SPDX-License-Identifier: Apache-2.0
// Goal: from the words typed so far follows what may stand next; nothing that a shell could act on is let through.
// Method: tables of command lines over a small manifest, expected candidates by hand.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {planCompletion} from '../../src/lib/model/completion.ts'
import {type LiveKind, safeNames} from '../../src/lib/model/completion-kinds.ts'
import type {ManifestCommands, ManifestFlag} from '../../src/lib/model/completion-line.ts'
import {renderCompletion} from '../../src/lib/render/completion.ts'

const option = (name: string, more: Partial<ManifestFlag> = {}): ManifestFlag => ({
  name,
  type: 'option',
  ...more,
})
const output = option('output', {char: 'o', options: ['table', 'json', 'yaml']})
const namespace = option('namespace', {char: 'n'})
const quiet: ManifestFlag = {name: 'quiet', type: 'boolean', char: 'q'}
const shared = {
  output,
  quiet,
  node: option('node', {multiple: true, delimiter: ','}),
  context: option('context'),
  kubeconfig: option('kubeconfig', {helpValue: 'FILE'}),
  'mesh-namespace': option('mesh-namespace', {env: 'MESH', default: 'kmesh-system'}),
  timeout: option('timeout'),
}

const COMMANDS: ManifestCommands = {
  status: {args: {}, flags: shared, summary: 'All daemons'},
  secret: {args: {}, flags: {}, hidden: true},
  'enroll:namespace': {
    args: {name: {}},
    strict: false,
    flags: {...shared, wait: {name: 'wait', type: 'boolean', allowNo: true}},
  },
  'enroll:pod': {args: {name: {}}, strict: false, flags: {...shared, namespace}},
  'log:get': {args: {logger: {}}, flags: shared},
  'log:set-level': {args: {level: {}}, strict: false, flags: shared},
  'toggle:set': {args: {toggle: {}}, strict: false, flags: shared},
  'dump:maps': {args: {map: {}}, strict: false, flags: shared},
  'sandbox:exec': {args: {pod: {}}, strict: false, flags: {name: option('name'), namespace}},
  completion: {args: {shell: {options: ['bash', 'zsh']}}, flags: {quiet}},
}
const topics = {log: {description: 'Log levels'}}
const env = {HOME: '/home/me', CTX: 'prod', EVIL: '$(id)'}

function plan(words: readonly string[], raw = true) {
  return planCompletion({commands: COMMANDS, topics, words, env, raw})
}

/** Candidates without descriptions, and the directive. */
function shown(words: readonly string[], live: readonly string[] = []): string[] {
  const text = renderCompletion(plan(words), live, 'bash')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/\t.*/, ''))
}

const STATUS_FLAGS = [
  '--output',
  '--quiet',
  '--node',
  '--context',
  '--kubeconfig',
  '--mesh-namespace',
  '--timeout',
]

/** Words, what is shown when no live value is known. */
const FIXED: readonly (readonly [string[], string[]])[] = [
  [[''], ['status', 'enroll', 'log', 'toggle', 'dump', 'sandbox', 'completion', 'help', ':4']],
  [['s'], ['status', 'sandbox', ':4']],
  [['enr'], ['enroll', ':4']],
  [
    ['enroll', ''],
    ['namespace', 'pod', ':4'],
  ],
  [
    ['log', 'set'],
    ['set-level', ':4'],
  ],
  [['nope', ''], [':4']],
  [['--'], ['--help', '--version', ':4']],
  [
    ['log', '-'],
    ['--help', ':4'],
  ],
  [
    ['help', 'lo'],
    ['log', ':4'],
  ],
  [
    ['help', 'log', ''],
    ['get', 'set-level', ':4'],
  ],
  [
    ['status', ''],
    ['--help', ...STATUS_FLAGS, ':4'],
  ],
  [
    ['status', '-q', '--'],
    ['--help', ...STATUS_FLAGS.filter((flag) => flag !== '--quiet'), ':4'],
  ],
  [
    ['status', '--node', 'a', '--no'],
    ['--node', ':4'],
  ],
  [
    ['enroll', 'namespace', '--no-w'],
    ['--no-wait', ':4'],
  ],
  [
    ['status', '-o', ''],
    ['table', 'json', 'yaml', ':4'],
  ],
  [
    ['status', '--output', 'j'],
    ['json', ':4'],
  ],
  [
    ['status', '--output=j'],
    ['--output=json', ':4'],
  ],
  [
    ['status', '-oy'],
    ['-oyaml', ':4'],
  ],
  [
    ['status', '-o=y'],
    ['-o=yaml', ':4'],
  ],
  [
    ['status', '-qoy'],
    ['-qoyaml', ':4'],
  ],
  [['status', '--timeout', ''], [':4']],
  [['status', '--kubeconfig', ''], [':0']],
  [['status', '--kubeconfig=/etc/'], [':0']],
  [
    ['completion', ''],
    ['bash', 'zsh', ':4'],
  ],
  [
    ['log', 'set-level', 'bpf='],
    ['bpf=error', 'bpf=warn', 'bpf=info', 'bpf=debug', ':4'],
  ],
  [
    ['toggle', 'set', 'access-log=on', ''],
    ['authz=', 'monitoring=', 'workload-metrics=', 'connection-metrics=', ':6'],
  ],
  [
    ['toggle', 'set', 'authz=o'],
    ['authz=on', 'authz=off', ':4'],
  ],
  [
    ['log', 'set-level', 'manage=t'],
    ['manage=trace', ':4'],
  ],
  [
    ['log', 'set-level', 'd'],
    ['debug', ':4'],
  ],
  [['sandbox', 'exec', 'client', '--', 'cu'], [':0']],
  [['status', '--kubeconfig', '$(id)', '--no'], [':0']],
]
for (const [words, expected] of FIXED) {
  test(`candidates of '${words.join(' ')}|'`, () => assert.deepEqual(shown(words), expected))
}

/** Words, kind of live values, the part that stays, the part that is completed. */
const LIVE: readonly (readonly [string[], LiveKind | undefined, string, string])[] = [
  [['status', '--node', 'w'], 'nodes', '', 'w'],
  [['status', '--node=a,b,w'], 'nodes', '--node=a,b,', 'w'],
  [['status', '--context', ''], 'contexts', '', ''],
  [['status', '--mesh-namespace='], 'namespaces', '--mesh-namespace=', ''],
  [['enroll', 'namespace', 'sh'], 'namespaces', '', 'sh'],
  [['enroll', 'namespace', '-o', 'json', '--no-wait', 'sh'], 'namespaces', '', 'sh'],
  [['enroll', 'namespace', '--timeout', '--', ''], 'namespaces', '', ''],
  [['enroll', 'pod', '-n', 'sh'], 'namespaces', '', 'sh'],
  [['enroll', 'pod', '-nsh'], 'namespaces', '-n', 'sh'],
  [['enroll', 'pod', '-n', 'shop', 'a', ''], 'pods', '', ''],
  [['log', 'get', ''], 'loggers', '', ''],
  [['log', 'get', 'bpf', ''], undefined, '', ''],
  [['dump', 'maps', 'km'], 'maps', '', 'km'],
  [['sandbox', 'exec', ''], 'sandboxPods', '', ''],
  [['sandbox', 'exec', '-n', ''], 'sandboxNamespaces', '', ''],
  [['sandbox', 'exec', '--name', ''], 'sandboxes', '', ''],
]
for (const [words, kind, prefix, partial] of LIVE) {
  test(`'${words.join(' ')}|' asks for ${kind}`, () => {
    const {live, prefix: stays, partial: completed} = plan(words)
    assert.deepEqual([live, stays, completed], [kind, prefix, partial])
  })
}

test('what is there already is not offered again', () => {
  assert.deepEqual(shown(['status', '--node', 'n1', '--node', 'n2,'], ['n1', 'n2', 'n3']), ['n2,n3', ':4'])
  assert.deepEqual(shown(['dump', 'maps', 'a', ''], ['a', 'b']), ['b', ':4'])
  assert.deepEqual(shown(['log', 'set-level', 'bpf=info', 'b'], ['bpf', 'bee']), ['bee=', ':6'])
})

test('flags that were typed, the environment and defaults are told to whoever asks', () => {
  const typed = plan([
    'enroll',
    'pod',
    '-n',
    'a',
    '--context=$CTX',
    '--node',
    'x,y',
    "--kubeconfig=~/'my file'",
    '',
  ])
  assert.deepEqual(typed.settings, {
    namespace: ['a'],
    context: ['prod'],
    node: ['x', 'y'],
    kubeconfig: ['~/my file'],
    'mesh-namespace': ['kmesh-system'],
  })
  const words = ['status', '--kubeconfig', '~/k', '--node', '']
  assert.deepEqual(plan(words).settings['kubeconfig'], ['/home/me/k'])
  assert.deepEqual(plan(words, false).settings['kubeconfig'], ['~/k'])
  const set = planCompletion({commands: COMMANDS, topics, words, env: {MESH: 'mesh'}, raw: true})
  assert.deepEqual(set.settings['mesh-namespace'], ['mesh'])
})

test('a variable is replaced once: what it holds is not looked at again', () => {
  assert.deepEqual(plan(['status', '--context', '$EVIL', '--node', '']).settings['context'], ['$(id)'])
})

test('kubectl gets what comes behind the flag', () => {
  const text = renderCompletion(plan(['status', '--node=n1,n'], false), ['n1', 'n2'], 'kubectl')
  assert.equal(text, 'n1,n2\n:4\n')
})

test('a typed part that is no plain text has no candidates', () => {
  assert.deepEqual(shown(['status', "--node='a b,w"], ['worker']), [':4'])
})

test('names that a shell, a terminal or a flag parser would act on are left out', () => {
  const hostile = [
    '$(id)',
    '`id`',
    'a b',
    "a'b",
    'a"b',
    'a\nb',
    'a\tb',
    '\u001b[31mred',
    '-rf',
    '~root',
    '*',
    'a;b',
  ]
  const more = ['a|b', 'a&b', 'a>b', '{a,b}', '!!', '=ls', '', 'a\\b', '#x', 'ünï', 'a'.repeat(254), 7, null]
  const good = ['node-1', 'web.shop', 'arn:aws:eks:eu:1:cluster/x', 'admin@prod', '10.0.0.1']
  assert.deepEqual(safeNames([...hostile, ...more, ...good, 'node-1']), [...good].sort())
})
